"""The encoder for real images."""

from typing import Final

DEFAULT_MODEL: Final = "ViT-B-32-SigLIP2-256/webli"
"""Multilingual, and the best of open_clip's at about its price (docs/how-to/encoders.md)."""

DEFAULT_ENCODER: Final = f"open_clip:{DEFAULT_MODEL}"
