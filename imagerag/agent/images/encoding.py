"""Images as the bytes of image files, in the formats that models take and browsers show."""

import io
from typing import TYPE_CHECKING, Final

from imagerag.agent.images.decoding import decode
from imagerag.agent.images.pixel_modes import opaque

if TYPE_CHECKING:
    from PIL.Image import Image

_LOSSLESS_PIXELS: Final = 4_000_000
"""Up to here a converted image is a PNG. A larger one is a photo: as PNG it would pass what services take."""


def encode_for_model(data: bytes) -> tuple[bytes, str]:
    """The same image in a form every image model takes: (bytes, media type).

    PNG, JPEG and WebP that any program shows as they are pass through untouched. Anything else is encoded anew: what
    only its metadata turns upright (most services ignore it), has 16 bits or printing colours, moves, or is of another
    format.

    Raises:
        UsageError: as `decode`.
    """
    decoded = decode(data)
    return (data, decoded.media_type) if decoded.for_every_model else converted(decoded.image)


def converted(image: "Image") -> tuple[bytes, str]:
    """An image as PNG, or, where it is a large photo, as JPEG: (bytes, media type)."""
    photo = image.mode == "RGB" and image.width * image.height > _LOSSLESS_PIXELS
    media_type = "image/jpeg" if photo else "image/png"
    return encode(image, media_type), media_type


def encode(image: "Image", media_type: str) -> bytes:
    """An image in one of `SHOWN_TYPES`; a JPEG has white where it was transparent."""
    out = io.BytesIO()
    if media_type == "image/jpeg":
        opaque(image).save(out, "JPEG", quality=95, subsampling=0)
    elif media_type == "image/webp":
        image.save(out, "WEBP", lossless=True)
    else:
        image.save(out, "GIF" if media_type == "image/gif" else "PNG")
    return out.getvalue()


def png(image: "Image") -> bytes:
    """An image as PNG, packed for speed and not for size."""
    out = io.BytesIO()
    image.save(out, "PNG", compress_level=1)
    return out.getvalue()
