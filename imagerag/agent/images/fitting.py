"""Images scaled into a box."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image, Resampling


def contain(image: "Image", box: tuple[int, int], resample: "Resampling") -> "Image":
    """Scale an image to the largest size of its shape that fits into a box, of one pixel at least.

    As `ImageOps.contain`, which fails for thin images before Pillow 13.

    Args:
        box: width and height in pixels.
    """
    width, height = box
    if image.width * height > image.height * width:
        height = max(1, round(image.height / image.width * width))
    else:
        width = max(1, round(image.width / image.height * height))
    return image.resize((width, height), resample)
