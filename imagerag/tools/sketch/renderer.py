"""Draw a scene with Pillow, anti-aliased and deterministic.

Shapes are polygons in a unit frame (`x` right, `y` down, extent about 1); patterns use the same frame with a period
relative to the thing's size, so that they stay legible at 64 x 64.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import atan2, cos, degrees, hypot, pi, radians, sin
from random import Random
from typing import TYPE_CHECKING, Final, TypeAlias

from imagerag.tools.sketch.world import Placed, Scene

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

Point: TypeAlias = tuple[float, float]
Rgb: TypeAlias = tuple[int, int, int]

INK: Final[dict[str, Rgb]] = {
    "red": (212, 32, 38), "orange": (246, 128, 16), "yellow": (248, 208, 24), "lime": (158, 216, 36),
    "green": (28, 122, 54), "teal": (16, 160, 164), "blue": (36, 76, 208), "purple": (122, 44, 168),
    "pink": (244, 124, 182), "brown": (122, 72, 34), "black": (26, 26, 30), "grey": (136, 139, 144),
}  # fmt: skip
TINT: Final[Rgb] = (255, 251, 228)
"""Second colour of all patterns. The outline separates it from the background."""

PAPER: Final[dict[str, Rgb]] = {
    "white": (251, 251, 251), "cream": (244, 232, 204), "mint": (208, 238, 220), "lilac": (226, 214, 244),
    "sky": (190, 222, 248), "grid": (247, 248, 251), "lined": (250, 249, 243), "speckled": (240, 237, 232),
}  # fmt: skip


def draw(scene: Scene, size: int = 256) -> Image.Image:
    """Draw a scene.

    Args:
        scene: what to draw.
        size: side of the square image in pixels, at least 16.

    Returns:
        An RGB image of `size` x `size`.
    """
    from PIL import Image

    scale = 4 if size <= 96 else 2
    canvas = backdrop(scene.background, size * scale, scene.seed)
    for place in scene.placed:
        tile, corner = stamp(place, canvas.width)
        canvas.paste(tile, corner, tile)
    return _develop(canvas.resize((size, size), Image.Resampling.BOX), scene)


def _develop(image: Image.Image, scene: Scene) -> Image.Image:
    """Apply brightness and sensor noise, the same for the same seed."""
    if scene.noise == 0 and scene.brightness == 1:
        return image
    import numpy as np
    from PIL import Image

    pixels = np.asarray(image, dtype=np.float32) * scene.brightness
    if scene.noise > 0:
        pixels += np.random.default_rng(scene.seed).standard_normal(pixels.shape, dtype=np.float32) * scene.noise
    return Image.fromarray(np.clip(pixels + 0.5, 0, 255).astype(np.uint8))


def backdrop(background: str, side: int, seed: int = 0) -> Image.Image:
    """A `side` x `side` image of a background alone; `background` is a word of `BACKGROUNDS`."""
    from PIL import Image, ImageDraw

    canvas = Image.new("RGB", (side, side), PAPER[background])
    drawer = ImageDraw.Draw(canvas)
    if background == "sky":
        for row in range(side):
            drawer.line([(0, row), (side, row)], fill=_mix(PAPER["sky"], (238, 246, 252), row / side))
    elif background in ("grid", "lined"):
        ink: Rgb = (196, 206, 222) if background == "grid" else (172, 196, 228)
        for step in range(1, 16, 2):
            at, half = side * step / 16, side / 110
            drawer.rectangle([0, at - half, side, at + half], fill=ink)
            if background == "grid":
                drawer.rectangle([at - half, 0, at + half, side], fill=ink)
    elif background == "speckled":
        rng = Random(seed)
        for _ in range(90):
            x, y, r = rng.uniform(0, side), rng.uniform(0, side), side * rng.uniform(0.006, 0.012)
            drawer.ellipse([x - r, y - r, x + r, y + r], fill=(196, 188, 178))
    return canvas


def stamp(place: Placed, side: int) -> tuple[Image.Image, tuple[int, int]]:
    """One placed thing alone, for a canvas of `side` pixels: an RGBA tile and its top left corner.

    The edges are hard; draw larger and reduce for smooth ones.
    """
    from PIL import Image, ImageChops, ImageDraw

    reach = int(place.radius * side * 1.2) + 2
    left, top = int(place.x * side) - reach, int(place.y * side) - reach
    frame = _Frame(place, side, left, top)
    shape = polygon(place.thing.shape)
    outline = [frame.at(point) for point in shape]
    mask = Image.new("L", (2 * reach, 2 * reach))
    ImageDraw.Draw(mask).polygon(outline, fill=255)
    ink = INK[place.thing.colour]
    cloth = Image.new("RGB", mask.size, ink)
    if place.thing.pattern != "solid":
        _WEAVES[place.thing.pattern](ImageDraw.Draw(cloth), frame, shape)
    if place.outline > 0 or place.thing.pattern != "solid":
        width = max(round(place.outline * place.radius * side), round(side / 110))
        edge = Image.new("L", mask.size)
        ImageDraw.Draw(edge).line([*outline, *outline[:2]], fill=255, width=width, joint="curve")
        cloth.paste(_mix(ink, (0, 0, 0), place.shade), mask=edge)
        mask = ImageChops.lighter(mask, edge)
    cloth.putalpha(mask)
    return cloth, (left, top)


class _Frame:
    """Maps the unit frame of a thing to the pixels of its own small canvas."""

    def __init__(self, place: Placed, side: int, left: int, top: int) -> None:
        self.unit = place.radius * side
        self._x, self._y = place.x * side - left, place.y * side - top
        self._cos, self._sin = cos(radians(place.rotation)), sin(radians(place.rotation))

    def at(self, point: Point) -> Point:
        x, y = point[0] * self.unit, point[1] * self.unit
        return self._x + x * self._cos - y * self._sin, self._y + x * self._sin + y * self._cos


def _striped(drawer: ImageDraw.ImageDraw, frame: _Frame, _shape: list[Point]) -> None:
    period = 0.5
    for step in range(-5, 6):
        low, high, far = step * period, step * period + period * 0.45, 1.5
        drawer.polygon(
            [frame.at(_diagonal(p)) for p in ((low, -far), (high, -far), (high, far), (low, far))], fill=TINT
        )


def _diagonal(point: Point) -> Point:
    x, y = point
    return (x - y) * 0.7071, (x + y) * 0.7071


def _dotted(drawer: ImageDraw.ImageDraw, frame: _Frame, _shape: list[Point]) -> None:
    period, radius = 0.46, 0.145 * frame.unit
    for row in range(-4, 5):
        for column in range(-4, 5):
            x, y = frame.at(((column + row % 2 / 2) * period, row * period * 0.87))
            drawer.ellipse([x - radius, y - radius, x + radius, y + radius], fill=TINT)


def _checkered(drawer: ImageDraw.ImageDraw, frame: _Frame, _shape: list[Point]) -> None:
    cell = 0.34
    for row in range(-5, 5):
        for column in range(-5 + row % 2, 5, 2):
            x, y = (column + 0.5) * cell, (row + 0.5) * cell
            corners = ((x, y), (x + cell, y), (x + cell, y + cell), (x, y + cell))
            drawer.polygon([frame.at(corner) for corner in corners], fill=TINT)


def _ringed(drawer: ImageDraw.ImageDraw, frame: _Frame, shape: list[Point]) -> None:
    x, y = frame.at(_centroid(shape))
    for step in range(7, 0, -1):
        outer, inner = step * 0.44 * frame.unit, (step * 0.44 - 0.2) * frame.unit
        drawer.ellipse([x - outer, y - outer, x + outer, y + outer], outline=TINT, width=round(outer - inner))


def _split(drawer: ImageDraw.ImageDraw, frame: _Frame, shape: list[Point]) -> None:
    level = _centroid(shape)[1]
    drawer.polygon([frame.at(p) for p in ((-2, level), (2, level), (2, 2), (-2, 2))], fill=TINT)


_WEAVES: Final[dict[str, Callable[[ImageDraw.ImageDraw, _Frame, list[Point]], None]]] = {
    "striped": _striped, "dotted": _dotted, "checkered": _checkered, "ringed": _ringed, "split": _split,
}  # fmt: skip


def _mix(first: Rgb, second: Rgb, share: float) -> Rgb:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def _centroid(points: list[Point]) -> Point:
    area = x = y = 0.0
    for (x0, y0), (x1, y1) in zip(points, [*points[1:], points[0]], strict=True):
        slice_ = x0 * y1 - x1 * y0
        area, x, y = area + slice_, x + (x0 + x1) * slice_, y + (y0 + y1) * slice_
    return x / (3 * area), y / (3 * area)


def _arc(start: float, stop: float, radius: float = 1.0, at: Point = (0.0, 0.0), steps: int = 40) -> list[Point]:
    """Points of a circular arc, angles in degrees clockwise from the right."""
    angles = (radians(start + (stop - start) * step / steps) for step in range(steps + 1))
    return [(at[0] + radius * cos(angle), at[1] + radius * sin(angle)) for angle in angles]


@cache
def polygon(shape: str) -> list[Point]:
    """The outline of a shape in its unit frame, a list of (x, y) with an extent of about 1."""
    return _OUTLINES[shape]()


def _circle() -> list[Point]:
    return _arc(0, 360, 0.92)[:-1]


def _oval() -> list[Point]:
    return [(x / 0.92, y * 0.64) for x, y in _circle()]


def _star() -> list[Point]:
    return [
        (r * cos(a), r * sin(a) + 0.05) for k in range(10) for a, r in [(-pi / 2 + k * pi / 5, 0.43 if k % 2 else 1.04)]
    ]


def _heart() -> list[Point]:
    ts = (k * pi / 30 for k in range(60))
    return [
        (sin(t) ** 3 * 0.98, -(13 * cos(t) - 5 * cos(2 * t) - 2 * cos(3 * t) - cos(4 * t)) / 16.5 - 0.1) for t in ts
    ]


def _crescent() -> list[Point]:
    tip_x, tip_y = cos(radians(52)), sin(radians(52))
    centre = 0.52
    inner = hypot(tip_x - centre, tip_y)
    angle = degrees(atan2(tip_y, tip_x - centre))
    points = _arc(52, 308, 1.0) + _arc(360 - angle, angle, inner, (centre, 0.0))
    return [(x + 0.2, y) for x, y in points]


def _cross() -> list[Point]:
    a, b = 0.31, 0.95
    return [(-a, -b), (a, -b), (a, -a), (b, -a), (b, a), (a, a), (a, b), (-a, b), (-a, a), (-b, a), (-b, -a), (-a, -a)]


def _drop() -> list[Point]:
    return [(0.0, -1.0), *_arc(-28, 208, 0.62, (0.0, 0.36))]


def _flower() -> list[Point]:
    angles = [k * pi / 48 for k in range(96)]
    return [(r * cos(a), r * sin(a)) for a in angles for r in [0.73 + 0.27 * cos(6 * a)]]


_OUTLINES: Final[dict[str, Callable[[], list[Point]]]] = {
    "circle": _circle,
    "square": lambda: [(-0.78, -0.78), (0.78, -0.78), (0.78, 0.78), (-0.78, 0.78)],
    "triangle": lambda: [(0.0, -0.95), (0.98, 0.75), (-0.98, 0.75)],
    "rectangle": lambda: [(-1.0, -0.52), (1.0, -0.52), (1.0, 0.52), (-1.0, 0.52)],
    "diamond": lambda: [(0.0, -1.05), (0.6, 0.0), (0.0, 1.05), (-0.6, 0.0)],
    "oval": _oval,
    "hexagon": lambda: [(cos(k * pi / 3), sin(k * pi / 3)) for k in range(6)],
    "star": _star,
    "heart": _heart,
    "crescent": _crescent,
    "cross": _cross,
    "arrow": lambda: [(-1, -0.3), (0.1, -0.3), (0.1, -0.75), (1, 0), (0.1, 0.75), (0.1, 0.3), (-1, 0.3)],
    "semicircle": lambda: [(x, y + 0.42) for x, y in _arc(180, 360, 1.0)],
    "drop": _drop,
    "bolt": lambda: [(0.1, -1), (-0.85, 0.2), (-0.1, 0.2), (-0.36, 1), (0.85, -0.3), (0.12, -0.3), (0.6, -1)],
    "flower": _flower,
}
