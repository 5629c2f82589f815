"""A small copy of an image for a model to look at, within a byte ceiling whatever the image is."""

import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_ENCODED: Final = 48_000
"""Characters of a thumbnail in base64: far under what clients take as one tool result (25,000 tokens)."""

MAX_BYTES: Final = MAX_ENCODED // 4 * 3

_QUALITIES: Final = (85, 70, 50, 30)
SMALLEST: Final = 16
"""Pixels: a JPEG of that side always fits."""


@dataclass(frozen=True, kw_only=True)
class Thumbnail:
    """A small copy of an image.

    Attributes:
        data: PNG or JPEG; at most `MAX_BYTES`.
        media_type: which of the two.
        width: in pixels, and height.
    """

    data: bytes = field(repr=False)
    media_type: str
    width: int
    height: int


def thumbnail(data: bytes, max_side: int = 512) -> Thumbnail:
    """A copy at most `max_side` pixels on its longer side, upright, what is transparent shown on white.

    A drawing with few colours stays a PNG; anything else becomes the best JPEG that fits, and is made smaller when
    none does.

    Raises:
        UsageError: not an image we can read.
    """
    from imagerag.agent.images.decoding import open_rgb

    small = open_rgb(data, side=max_side)
    side = max_side
    small.thumbnail((side, side))
    if len(png := _encoded(small, "PNG", optimize=True)) <= MAX_BYTES:
        return _thumbnail(png, "image/png", small)
    while True:
        for quality in _QUALITIES:
            if len(jpeg := _encoded(small, "JPEG", quality=quality)) <= MAX_BYTES:
                return _thumbnail(jpeg, "image/jpeg", small)
        side = max(SMALLEST, max(small.size) * 3 // 4)
        small.thumbnail((side, side))


def _encoded(image: "Image", form: str, **options: int | bool) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def _thumbnail(data: bytes, media_type: str, image: "Image") -> Thumbnail:
    return Thumbnail(data=data, media_type=media_type, width=image.width, height=image.height)
