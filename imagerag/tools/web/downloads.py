"""Downloaded images: how many bytes of them, and what is kept of one."""

from typing import Final

from imagerag.agent.errors import UsageError
from imagerag.agent.images.decoding import decode
from imagerag.agent.images.encoding import converted
from imagerag.agent.images.metadata_stripping import without_metadata

MAX_IMAGE: Final = 16 << 20
"""Bytes of one image."""
SMALLEST: Final = 64
"""Pixels of the shorter side of an image: smaller ones are icons."""


class Allowance:
    """Bytes that one search may still download; searches of a round have shares of what is left of their run."""

    def __init__(self, most: int) -> None:
        self._left, self.used = max(0, most), 0

    def reserve(self, most: int) -> int:
        """Reserve bytes for a download: `most`, or what is left."""
        reserved = min(most, self._left)
        self._left -= reserved
        return reserved

    def settle(self, reserved: int, downloaded: int) -> None:
        """Give back what a download did not use."""
        self._left += reserved - downloaded
        self.used += downloaded


def bare_image(data: bytes) -> bytes:
    """An image without what is written beside its pixels, upright and in a form that models take. Blocks.

    Raises:
        UsageError: no image that can be read, or too large or too small a one.
    """
    decoded = decode(data)
    if min(decoded.width, decoded.height) < SMALLEST:
        raise UsageError(f"it has {decoded.width}x{decoded.height} pixels")
    return without_metadata(data) if decoded.for_every_model else converted(decoded.image)[0]
