"""Information about an image: hash, media type, size and thumbnail."""

import io
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

from imagerag.agent.images.decoding import SMALLEST_SIDE, decode, opaque
from imagerag.agent.images.fitting import contain
from imagerag.agent.types import ImageRef

if TYPE_CHECKING:
    from PIL.Image import Image

THUMBNAIL_SIDE = 256


@dataclass(frozen=True)
class ImageInfo:
    """Information about an image.

    Attributes:
        image: hash, media type, and the size after EXIF orientation.
        thumbnail: WebP, at most 256 pixels on its longer side; empty when none was requested.
        for_every_model: whether every image model takes the file itself.
        for_every_viewer: whether every browser shows the file itself as it is meant.
        decoded: the result of `decoding.open_rgb` for an encoder, if `side` was given; see `image_info`.
    """

    image: ImageRef
    thumbnail: bytes = b""
    for_every_model: bool = False
    for_every_viewer: bool = False
    decoded: "Image | None" = field(default=None, compare=False, repr=False)


def inspect(data: bytes) -> ImageRef:
    """Describe the image in `data`.

    Raises:
        UsageError: as `imagerag.agent.images.decoding.decode`; the message is the reason, without a file name.
    """
    return image_info(data, thumbnail=False).image


def image_info(data: bytes, *, thumbnail: bool = True, side: int | None = None, digest: str | None = None) -> ImageInfo:
    """Describe the image in `data` and make a thumbnail, decoding once.

    Args:
        data: bytes of a file.
        thumbnail: make a thumbnail.
        side: shorter side of an encoder's input in pixels; the image for it is also returned, from the same decoding.
        digest: SHA-256 of `data`, if it is known already.

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
    return ImageInfo(
        image,
        small,
        for_every_model=decoded.for_every_model,
        for_every_viewer=decoded.for_every_viewer,
        decoded=None if side is None else opaque(decoded.image),
    )


def _thumbnail(decoded: "Image") -> bytes:
    """Make a thumbnail fast: every image of a library has one, and WebP's slower methods save only 3 % of its size."""
    from PIL import Image

    factor = max(decoded.size) // THUMBNAIL_SIDE  # fast box average first
    small = decoded.reduce(factor) if factor > 1 else decoded
    if max(small.size) > THUMBNAIL_SIDE:
        small = contain(small, (THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.HAMMING)
    out = io.BytesIO()
    small.save(out, "WEBP", quality=80, method=0)
    return out.getvalue()
