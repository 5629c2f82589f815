"""A safe look at bytes that claim to be an image.

Files come from anywhere: what they are is decided by their content, never by their name, and a file that cannot be
decoded to the last pixel is refused here, before it reaches a model.
"""

import io
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from imagerag.agent.errors import UsageError
from imagerag.agent.types import ImageRef

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_BYTES = 64 * 1024 * 1024
MAX_PIXELS = 50_000_000
THUMBNAIL_SIDE = 256

MEDIA_TYPES = {
    "PNG": "image/png",
    "JPEG": "image/jpeg",
    "MPO": "image/jpeg",  # the multi-picture JPEG of many phones: the first picture is a plain JPEG
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "BMP": "image/bmp",
    "TIFF": "image/tiff",
}
"""What is read, by Pillow's name of the format."""

MODEL_TYPES = frozenset({"image/png", "image/jpeg", "image/webp"})
"""What image models accept everywhere."""


@dataclass(frozen=True)
class Look:
    """What a look at an image gives.

    Attributes:
        image: hash, media type, and the size as it is seen (EXIF orientation applied).
        thumbnail: WebP, at most 256 pixels on its longer side; empty when none was asked for.
    """

    image: ImageRef
    thumbnail: bytes = b""


def inspect(data: bytes) -> ImageRef:
    """Say what `data` is.

    Raises:
        UsageError: it is not a PNG, JPEG, WebP, GIF, BMP or TIFF that decodes completely, or it is over
            64 MB or 50 megapixels; the message is the reason, without a file name.
    """
    return look(data, thumbnail=False).image


def look(data: bytes, *, thumbnail: bool = True) -> Look:
    """Say what `data` is and make a thumbnail, decoding once.

    Raises:
        UsageError: as `inspect`.
    """
    picture, media_type = _decode(data)
    width, height = picture.size
    if picture.getexif().get(_ORIENTATION, 1) in _TURNED:
        width, height = height, width
    image = ImageRef(sha256=sha256(data).hexdigest(), media_type=media_type, width=width, height=height)
    return Look(image, _thumbnail(picture) if thumbnail else b"")


def for_models(data: bytes) -> tuple[bytes, str]:
    """The same picture in a form every image model takes: (bytes, media type).

    PNG, JPEG and WebP that stand upright pass through untouched; the first frame of anything else, and pictures that
    only EXIF turns upright (most services ignore it), become PNG.

    Raises:
        UsageError: as `inspect`.
    """
    picture, media_type = _decode(data)
    upright = picture.getexif().get(_ORIENTATION, 1) in (0, 1)
    if media_type in MODEL_TYPES and upright:
        return data, media_type
    out = io.BytesIO()
    _displayable(picture).save(out, "PNG")
    return out.getvalue(), "image/png"


_ORIENTATION = 0x0112
_TURNED = frozenset({5, 6, 7, 8})


def _decode(data: bytes) -> "tuple[Image, str]":
    from PIL import Image

    if not data:
        raise UsageError("the file is empty")
    if len(data) > MAX_BYTES:
        raise UsageError(f"the file has {len(data) / 2**20:.0f} MB; at most {MAX_BYTES // 2**20} MB are read")
    try:
        picture = Image.open(io.BytesIO(data), formats=[name for name in MEDIA_TYPES if name != "MPO"])
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise UsageError(_too_large()) from None
    except Exception:
        # Pillow's parsers raise almost anything on hostile bytes (SyntaxError, struct.error, OverflowError, ...).
        raise UsageError("not an image we read (PNG, JPEG, WebP, GIF, BMP, TIFF)") from None
    width, height = picture.size
    if width * height > MAX_PIXELS:
        raise UsageError(f"{width} x {height} pixels: {_too_large()}")
    if not width or not height:
        raise UsageError("the image has no pixels")
    try:
        picture.load()
    except Exception as error:
        raise UsageError(f"the image is damaged or cut short: {error}") from None
    return picture, MEDIA_TYPES[picture.format or ""]


def _too_large() -> str:
    return f"more than the {MAX_PIXELS // 1_000_000} megapixels that are read"


def _displayable(picture: "Image") -> "Image":
    """Upright, in RGB or RGBA."""
    from PIL import ImageOps

    upright = ImageOps.exif_transpose(picture)
    clear = "A" in upright.getbands() or "transparency" in upright.info
    return upright.convert("RGBA" if clear else "RGB")


def _thumbnail(picture: "Image") -> bytes:
    small = _displayable(picture)
    small.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    out = io.BytesIO()
    small.save(out, "WEBP", quality=80, method=2)
    return out.getvalue()
