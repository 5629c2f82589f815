"""Boxes in which a part of an image is looked at: a square around a thing, or overlapping tiles."""

from typing import Final, TypeAlias

Box: TypeAlias = tuple[int, int, int, int]
"""left, top, right, bottom in pixels; right and bottom are exclusive."""

SCALES: Final = ((2 / 3, 2), (1 / 2, 3))
"""Side of a tile as a share of the image's side, and the number of tiles along it; neighbours overlap by half."""

SMALLEST: Final = 32
"""Pixels of the shorter side of a tile at least."""


def tiles(size: tuple[int, int]) -> list[Box]:
    """Overlapping tiles, 2 x 2 large and 3 x 3 small; none if the tiles would be under 32 pixels."""
    width, height = size
    boxes: list[Box] = []
    for share, count in SCALES:
        wide, high = round(width * share), round(height * share)
        if min(wide, high) >= SMALLEST:
            steps = [step / (count - 1) for step in range(count)]
            corners = [(round((width - wide) * x), round((height - high) * y)) for y in steps for x in steps]
            boxes += [(left, top, left + wide, top + high) for left, top in corners]
    return boxes


def square(box: Box, size: tuple[int, int], around: float) -> Box:
    """The square around a box, inside the image if possible.

    Args:
        around: margin on each side, as a share of the box's longer side.
    """
    left, top, right, bottom = box
    side = min(round(max(right - left, bottom - top) * (1 + 2 * around)), *size)
    side = max(side, 1)
    x = min(max((left + right - side) // 2, 0), size[0] - side)
    y = min(max((top + bottom - side) // 2, 0), size[1] - side)
    return x, y, x + side, y + side
