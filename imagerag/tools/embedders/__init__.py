"""Embedders: text and images into one space of unit vectors."""
