"""Calibration: the cosine from which a hit counts, from a library's own captions and from images."""
