"""Crops in which an image is judged: the whole image and its parts, in which small things appear large."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from imagerag.agent.images.crop_boxes import Box, square, tiles
from imagerag.agent.images.decoding import open_rgb
from imagerag.agent.images.encoding import png
from imagerag.agent.ports import Embedder, PreparingEmbedder
from imagerag.agent.ports.embedder import embed_images, embed_prepared

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

Regions: TypeAlias = "Callable[[Image.Image], Sequence[Box]]"

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
        return embedder.prepare, partial(embed_prepared, embedder)
    return png, partial(embed_images, embedder)


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
    boxes = [square(box, image.size, around) for box in regions(image)] or tiles(image.size)
    parts = [Crop(",".join(map(str, box)), encode(image.crop(box))) for box in dict.fromkeys(boxes)]
    return [Crop("whole", encode(image)), *parts]
