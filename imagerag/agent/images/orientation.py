"""EXIF orientation: reading it, and turning images upright."""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

_ORIENTATION: Final = 0x0112


def orientation_of(file: "ImageFile") -> tuple[int, bool, bool]:
    """Read how a file is turned: 1 to 8, whether that could be read, and whether it is said at all."""
    try:
        value = file.getexif().get(_ORIENTATION)
        if value is None:
            return 1, True, False
        return (int(value), True, True) if value in range(1, 9) else (1, value == 0, False)
    except Exception:  # as with pixels: anything
        return 1, False, False


def upright(image: "Image", orientation: int) -> "Image":
    """Turn an image by its EXIF orientation, 1 to 8."""
    from PIL.Image import Transpose

    ways = (
        None, Transpose.FLIP_LEFT_RIGHT, Transpose.ROTATE_180, Transpose.FLIP_TOP_BOTTOM, Transpose.TRANSPOSE,
        Transpose.ROTATE_270, Transpose.TRANSVERSE, Transpose.ROTATE_90,
    )  # fmt: skip
    way = ways[orientation - 1]
    return image if way is None else image.transpose(way)
