"""The image in a camera RAW file: the preview that the camera put into it, read by LibRaw (extra `raw`).

A RAW without a preview that is worth looking at is developed at half its size, as LibRaw does by default.
"""

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["raw_preview"]

SMALLEST: Final = 480
"""Pixels of the longer side that a preview has at least; the thumbnails for a camera's own display have less."""

_TURNED: Final = {0: 1, 3: 3, 5: 8, 6: 6}
"""EXIF's orientation by LibRaw's."""


def raw_preview(data: bytes, sized: Callable[[int], None]) -> "tuple[bytes | Image, int]":
    """The preview, as the bytes of a JPEG or as an image, and how the camera was held: EXIF's 1 to 8.

    Args:
        data: the file.
        sized: called with the number of pixels before the file is developed.

    Raises:
        Exception: whatever LibRaw raises on a damaged file.
    """
    import rawpy
    from PIL import Image

    with rawpy.imread(io.BytesIO(data)) as raw:
        orientation = _TURNED.get(raw.sizes.flip, 1)
        try:
            thumbnail = raw.extract_thumb().data
        except (rawpy.LibRawNoThumbnailError, rawpy.LibRawUnsupportedThumbnailError):
            thumbnail = None
        image = None if thumbnail is None else _image(thumbnail)
        if image is not None and max(image.size) >= min(SMALLEST, raw.sizes.width, raw.sizes.height):
            return (thumbnail if isinstance(thumbnail, bytes) else image), orientation
        sized(raw.sizes.raw_width * raw.sizes.raw_height)
        developed = raw.postprocess(half_size=True, use_camera_wb=True, output_bps=8, user_flip=0)
        return Image.fromarray(developed), orientation


def _image(thumbnail: Any) -> "Image":
    """A preview, a JPEG's header only."""
    from PIL import Image
    from PIL.JpegImagePlugin import JpegImageFile

    return JpegImageFile(io.BytesIO(thumbnail)) if isinstance(thumbnail, bytes) else Image.fromarray(thumbnail)
