"""Images as they are sent to an embedding server."""

import base64
from typing import TYPE_CHECKING

from imagerag.agent.images.encoding import encode

if TYPE_CHECKING:
    from PIL.Image import Image


def prepared(image: "Image", longest_side: int) -> bytes:
    """An RGB image as a JPEG of at most `longest_side` pixels; never enlarged."""
    from PIL.Image import Resampling

    if max(image.size) > longest_side:
        image = image.copy()
        image.thumbnail((longest_side, longest_side), Resampling.LANCZOS)
    return encode(image, "image/jpeg")


def data_url(jpeg: bytes) -> str:
    """A JPEG as a data URL."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
