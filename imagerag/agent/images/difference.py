"""The difference of two images: how much of them differs, and a picture of where."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from imagerag.agent.images.decoding import open_rgb
from imagerag.agent.images.encoding import png
from imagerag.agent.images.fitting import contain
from imagerag.agent.images.mask_compositing import SHAPE_TOLERANCE, VISIBLE

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_SIDE: Final = 2048
"""Pixels of the longer side at which images are compared."""

MARK: Final = (224, 0, 122)
"""The colour of what differs. It is rare in pictures, and readable on light and dark pages."""

_FADED: Final = 0.75


@dataclass(frozen=True)
class ImageDifference:
    """The difference of two images.

    Attributes:
        share: of the pixels, those that differ visibly, in [0, 1]; 0 for equal images.
        image: PNG: the first image, faded, and what differs in colour, the stronger the more.
    """

    share: float
    image: bytes


def image_difference(first: bytes, second: bytes) -> ImageDifference:
    """Compare two images of any size and format, laid on each other. Blocks.

    Both are scaled to the first one's size, to at most 2,048 pixels on its longer side. An image of another shape is
    fitted into the middle; what it does not cover differs.

    Raises:
        UsageError: one of them cannot be read.
    """
    from PIL import Image, ImageChops

    one, other = open_rgb(first), open_rgb(second)
    one.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    fitted = contain(other, one.size, Image.Resampling.LANCZOS) if other.size != one.size else other
    if _nearly(fitted.size, one.size):
        fitted = fitted.resize(one.size, Image.Resampling.LANCZOS)
    place = (one.width - fitted.width) // 2, (one.height - fitted.height) // 2
    apart = Image.new("L", one.size, 255)
    under = one.crop((*place, place[0] + fitted.width, place[1] + fitted.height))
    apart.paste(_largest(ImageChops.difference(under, fitted)), place)
    counts = apart.histogram()
    share = sum(counts[VISIBLE + 1 :]) / (one.width * one.height)
    return ImageDifference(share=share, image=png(_marked(one, apart)))


def _nearly(size: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether sizes differ by what services round sides to, and not in shape."""
    return all(abs(a - b) <= max(a, b) * (SHAPE_TOLERANCE - 1) for a, b in zip(size, other, strict=True))


def _largest(difference: "Image") -> "Image":
    """The largest difference of a pixel's channels."""
    from PIL import ImageChops

    red, green, blue = difference.split()
    return ImageChops.lighter(ImageChops.lighter(red, green), blue)


def _marked(image: "Image", apart: "Image") -> "Image":
    from PIL import Image, ImageOps

    grey = Image.merge("RGB", [ImageOps.grayscale(image)] * 3)
    faded = Image.blend(grey, Image.new("RGB", image.size, "white"), _FADED)
    strength = apart.point([0 if level <= VISIBLE else min(255, 96 + 2 * level) for level in range(256)])
    return Image.composite(Image.new("RGB", image.size, MARK), faded, strength)
