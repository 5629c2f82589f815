"""What is kept of an image beside its bytes: its hash, its type, its size, and a thumbnail."""

import io
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from imagerag.agent.images.decoding import decode
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
    """

    image: ImageRef
    thumbnail: bytes = b""


def inspect(data: bytes) -> ImageRef:
    """Say what `data` is.

    Raises:
        UsageError: as `imagerag.agent.images.decoding.decode`; the message is the reason, without a file name.
    """
    return image_info(data, thumbnail=False).image


def image_info(data: bytes, *, thumbnail: bool = True) -> ImageInfo:
    """Say what `data` is and make a thumbnail, decoding once.

    Raises:
        UsageError: as `inspect`.
    """
    decoded = decode(data, side=THUMBNAIL_SIDE)
    digest = sha256(data).hexdigest()
    image = ImageRef(sha256=digest, media_type=decoded.media_type, width=decoded.width, height=decoded.height)
    return ImageInfo(image, _thumbnail(decoded.image) if thumbnail else b"")


def _thumbnail(picture: "Image") -> bytes:
    small = picture.copy()
    small.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    out = io.BytesIO()
    small.save(out, "WEBP", quality=80, method=2)
    return out.getvalue()
