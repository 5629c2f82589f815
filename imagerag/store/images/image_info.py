"""What is kept of an image beside its bytes: its hash, its type, its size, and a thumbnail."""

import io
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

from imagerag.agent.images.decoding import SMALLEST_SIDE, decode, opaque
from imagerag.agent.types import ImageRef

if TYPE_CHECKING:
    from PIL.Image import Image

THUMBNAIL_SIDE = 256


@dataclass(frozen=True)
class ImageInfo:
    """What a look at an image gives.

    Attributes:
        image: hash, media type, and the size as it is seen (EXIF orientation applied).
        thumbnail: WebP, at most 256 pixels on its longer side; empty when none was asked for.
        decoded: as `decoding.open_rgb` gives it for an encoder, where it was decoded for one; see `image_info`.
    """

    image: ImageRef
    thumbnail: bytes = b""
    decoded: "Image | None" = field(default=None, compare=False, repr=False)


def inspect(data: bytes) -> ImageRef:
    """Say what `data` is.

    Raises:
        UsageError: as `imagerag.agent.images.decoding.decode`; the message is the reason, without a file name.
    """
    return image_info(data, thumbnail=False).image


def image_info(data: bytes, *, thumbnail: bool = True, side: int | None = None, digest: str | None = None) -> ImageInfo:
    """Say what `data` is and make a thumbnail, decoding once.

    Args:
        data: the bytes of a file.
        thumbnail: whether one is made.
        side: the shorter side that an encoder wants; the image for it is given too, from the same decoding.
        digest: the SHA-256 of `data` where it is known already.

    Raises:
        UsageError: as `inspect`.
    """
    decoded = decode(data, side=max(SMALLEST_SIDE, side or 0))
    image = ImageRef(
        sha256=digest or sha256(data).hexdigest(),
        media_type=decoded.media_type,
        width=decoded.width,
        height=decoded.height,
    )
    small = _thumbnail(decoded.image) if thumbnail else b""
    return ImageInfo(image, small, None if side is None else opaque(decoded.image))


def _thumbnail(decoded: "Image") -> bytes:
    """Made for looking at, and cheap: every image of a library has one, and WebP's slower methods save 3 % of it."""
    from PIL import Image, ImageOps

    factor = max(decoded.size) // THUMBNAIL_SIDE  # averaged first, which is fast
    small = decoded.reduce(factor) if factor > 1 else decoded
    if max(small.size) > THUMBNAIL_SIDE:
        small = ImageOps.contain(small, (THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.HAMMING)
    out = io.BytesIO()
    small.save(out, "WEBP", quality=80, method=0)
    return out.getvalue()
