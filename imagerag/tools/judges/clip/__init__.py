"""Judges without a key, on CLIP similarity."""
