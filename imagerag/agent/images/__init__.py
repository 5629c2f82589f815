"""Decoding of image files within limits, and compositing of masks."""
