"""Regions of an image that are encoded beside the whole: its separate things, or overlapping tiles.

Where the background is plain and shows several things, each of them is a region, and its crop shows it alone: the
others are painted over with the background's colour. Else the regions are tiles, 2 x 2 large and 3 x 3 small ones. A
region that is nearly the whole image would repeat its vector and is left out. Regions depend on the pixels alone, never
on an encoder.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from imagerag.agent.images.crop_boxes import Box, square, tiles
from imagerag.agent.images.subject_segmentation import Subjects
from imagerag.agent.types.regions import Region

if TYPE_CHECKING:
    from PIL.Image import Image

MOST: Final = 13
"""Regions of an image at most: as many as there are tiles."""

DECODED: Final = 640
"""Pixels of the shorter side that are enough to crop regions from."""

_AROUND: Final = 0.12
"""Margin around a thing, as a share of its longer side. Measured on mixed sketch libraries: 0.05 separates as well,
and 0.3 loses half of what regions gain, as the thing is then as small as in its image."""

_WHOLE, _SMALL = 0.5, 0.1
"""Share of the image's area below which a thing is a region: one among others, and one alone, which the whole shows
unless it is small."""

_SHOWN: Final = 0.15
"""Default margin of a crop that a model or a person is shown."""


def are_separate(count: Any) -> Any:
    """Whether so many regions of an image are its separate things: one is a part of it, and tiles are more.

    Args:
        count: number of regions, or an array of them.
    """
    return (count > 1) & (count < MOST)


def regions_of(image: "Image") -> "list[tuple[Region, Image]]":
    """The regions of an upright RGB image with their crops for an encoder, at most `MOST`; may be none."""
    subjects = Subjects.of(image)
    below = _WHOLE if len(subjects.boxes) > 1 else _SMALL
    boxes = [box for box in subjects.boxes if _share(square(box, image.size, _AROUND), image) < below]
    boxes = boxes if subjects.boxes else tiles(image.size)
    return [(Region.of_pixels(box, image.size), _crop(image, box, subjects)) for box in boxes[:MOST]]


def crops_at(image: "Image", regions: Sequence[Region]) -> "list[Image]":
    """The crops of known regions for an encoder, as `regions_of` makes them."""
    subjects = Subjects.of(image)
    return [_crop(image, region.pixels(image.size), subjects) for region in regions]


def shown_crop(image: "Image", region: Region) -> "Image":
    """The crop of a region with a margin, of the image's own pixels."""
    left, top, right, bottom = region.pixels(image.size)
    margin = round(max(right - left, bottom - top) * _SHOWN)
    right, bottom = min(image.width, right + margin), min(image.height, bottom + margin)
    return image.crop((max(0, left - margin), max(0, top - margin), right, bottom))


def outlined(image: "Image", region: Region) -> "Image":
    """A copy of an RGB image with the box of a region drawn on it: dark in light, so that it shows on any colours."""
    from PIL import ImageDraw

    copy = image.copy()
    left, top, right, bottom = region.pixels(image.size)
    pen, line = ImageDraw.Draw(copy), max(1, round(max(image.size) / 96))
    for inset, colour in ((0, (255, 255, 255)), (line, (20, 20, 20))):
        box = (left + inset, top + inset, max(left + inset, right - 1 - inset), max(top + inset, bottom - 1 - inset))
        pen.rectangle(box, outline=colour, width=line)
    return copy


def _crop(image: "Image", box: Box, subjects: Subjects) -> "Image":
    if not subjects.boxes:
        return image.crop(box)
    return subjects.alone(box).crop(square(box, image.size, _AROUND))


def _share(box: Box, image: "Image") -> float:
    left, top, right, bottom = box
    return (right - left) * (bottom - top) / (image.width * image.height)
