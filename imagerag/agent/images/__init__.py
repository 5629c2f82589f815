"""Decoding image files within limits, and compositing masks."""
