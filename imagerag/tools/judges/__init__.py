"""Judges: models that look at a picture and say what is missing."""
