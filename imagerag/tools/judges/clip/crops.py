"""Crops in which an image is judged: the whole image and its parts, in which small things appear large."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from imagerag.agent.images.decoding import open_rgb
from imagerag.agent.images.encoding import png
from imagerag.agent.ports import Embedder, PreparingEmbedder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

Box: TypeAlias = tuple[int, int, int, int]
Regions: TypeAlias = "Callable[[Image.Image], Sequence[Box]]"

_SCALES: Final = ((2 / 3, 2), (1 / 2, 3))
"""Side of a tile as a share of the image's side, and the number of tiles along it; neighbours overlap by half."""

AROUND: Final = 0.15
"""Default margin around a region, as a share of its longer side."""


@dataclass(frozen=True, slots=True)
class Crop:
    """A part of an image as encoder input; `name` is "whole", or left,top,right,bottom in pixels."""

    name: str
    data: Any


Encode: TypeAlias = "Callable[[Image.Image], Any]"
Embed: TypeAlias = "Callable[[Sequence[Any]], Awaitable[NDArray[np.float32]]]"


def decoded_input(embedder: Embedder) -> tuple[Encode, Embed]:
    """Prepare and embed functions for decoded images: the encoder's own if it has them, else PNG files."""
    if isinstance(embedder, PreparingEmbedder):
        return embedder.prepare, embedder.embed_prepared
    return png, embedder.embed_images


def crops_of(data: bytes, regions: Regions, *, encode: Encode = png, around: float = AROUND) -> list[Crop]:
    """The whole image first, then its parts: a square around each region, or overlapping tiles if there is none.

    Args:
        data: an encoded image.
        regions: finds separate things as boxes; may find none.
        encode: converts each part to encoder input.
        around: margin around a region, as a share of its longer side.

    Raises:
        UsageError: the image cannot be read.
    """
    image = open_rgb(data)
    boxes = [_square(box, image.size, around) for box in regions(image)] or tiles(image.size)
    parts = [Crop(",".join(map(str, box)), encode(image.crop(box))) for box in dict.fromkeys(boxes)]
    return [Crop("whole", encode(image)), *parts]


def tiles(size: tuple[int, int]) -> list[Box]:
    """Overlapping tiles, 2 x 2 large and 3 x 3 small; none if the tiles would be under 32 pixels."""
    width, height = size
    found: list[Box] = []
    for share, count in _SCALES:
        wide, high = round(width * share), round(height * share)
        if min(wide, high) >= 32:
            steps = [step / (count - 1) for step in range(count)]
            corners = [(round((width - wide) * x), round((height - high) * y)) for y in steps for x in steps]
            found += [(left, top, left + wide, top + high) for left, top in corners]
    return found


def _square(box: Box, size: tuple[int, int], around: float) -> Box:
    """Square around a box, inside the image if possible."""
    left, top, right, bottom = box
    side = min(round(max(right - left, bottom - top) * (1 + 2 * around)), *size)
    side = max(side, 1)
    x = min(max((left + right - side) // 2, 0), size[0] - side)
    y = min(max((top + bottom - side) // 2, 0), size[1] - side)
    return x, y, x + side, y + side
