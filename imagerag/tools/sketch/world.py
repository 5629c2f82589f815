"""Vocabulary and scenes of the sketch world, and their canonical captions.

A *thing* is a shape with a colour and a pattern; a *scene* is one to three placed things on a background. This module
holds plain data and reads no pixels. `renderer.py` draws scenes; `text_parser.py` parses texts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from random import Random
from typing import Final

SHAPES: Final = (
    "circle", "square", "triangle", "rectangle", "diamond", "oval", "hexagon", "star",
    "heart", "crescent", "cross", "arrow", "semicircle", "drop", "bolt", "flower",
)  # fmt: skip
COLOURS: Final = (
    "red", "orange", "yellow", "lime", "green", "teal", "blue", "purple", "pink", "brown", "black", "grey",
)  # fmt: skip
PATTERNS: Final = ("solid", "striped", "dotted", "checkered", "ringed", "split")
BACKGROUNDS: Final = ("white", "cream", "mint", "lilac", "sky", "grid", "lined", "speckled")

MAX_THINGS: Final = 3


@dataclass(frozen=True, slots=True)
class Thing:
    """One subject: a word of `SHAPES`, one of `COLOURS` and one of `PATTERNS`."""

    shape: str
    colour: str
    pattern: str

    def __post_init__(self) -> None:
        for word, vocabulary in ((self.shape, SHAPES), (self.colour, COLOURS), (self.pattern, PATTERNS)):
            if word not in vocabulary:
                raise ValueError(f"the sketch world has no {word!r}; it has: {', '.join(vocabulary)}")


@dataclass(frozen=True, slots=True)
class Placed:
    """A thing on the canvas. Lengths are fractions of the canvas side, `x` right and `y` down.

    Attributes:
        thing: what is placed.
        x, y: the centre, in [0, 1].
        radius: half the thing's extent, in (0, 0.5].
        rotation: degrees clockwise, within +-18 in sampled scenes.
        outline: outline width as a fraction of `radius`; 0 draws none, which only solids may have.
        shade: how dark the outline is, 0 (the colour itself) to 1 (black).
    """

    thing: Thing
    x: float = 0.5
    y: float = 0.5
    radius: float = 0.38
    rotation: float = 0.0
    outline: float = 0.07
    shade: float = 0.5


@dataclass(frozen=True, slots=True)
class Scene:
    """The contents of a drawing; `draw(scene, size)` depends on nothing else.

    Attributes:
        placed: the things, drawn in order.
        background: a word of `BACKGROUNDS`.
        noise: standard deviation of the pixel noise, in grey levels (0 to 255).
        brightness: factor on all channels, around 1.
        seed: seed of the noise and the speckles.
    """

    placed: tuple[Placed, ...]
    background: str = "white"
    noise: float = 0.0
    brightness: float = 1.0
    seed: int = 0

    @property
    def things(self) -> tuple[Thing, ...]:
        """The things without their places."""
        return tuple(place.thing for place in self.placed)


def all_things() -> list[Thing]:
    """All possible things, 16 x 12 x 6 = 1152, in a fixed order."""
    return [Thing(shape, colour, pattern) for shape, colour, pattern in product(SHAPES, COLOURS, PATTERNS)]


def random_thing(rng: Random) -> Thing:
    """A thing with three words drawn uniformly."""
    return Thing(rng.choice(SHAPES), rng.choice(COLOURS), rng.choice(PATTERNS))


def random_scene(rng: Random, things: tuple[Thing, ...] | None = None, background: str | None = None) -> Scene:
    """Sample a scene: places that do not overlap, sizes, rotations, outlines, noise.

    Args:
        rng: the only source of randomness.
        things: one to three things; by default one to three random ones.
        background: a word of `BACKGROUNDS`; by default a random one.
    """
    if things is None:
        things = tuple(random_thing(rng) for _ in range(rng.choices((1, 2, 3), (5, 3, 2))[0]))
    if not 1 <= len(things) <= MAX_THINGS:
        raise ValueError(f"a scene holds 1 to {MAX_THINGS} things, not {len(things)}")
    placed = tuple(
        Placed(thing, x, y, radius, rng.uniform(-18, 18), _outline(rng, thing), rng.uniform(0.35, 0.7))
        for thing, (x, y, radius) in zip(things, scatter(rng, len(things)), strict=True)
    )
    return Scene(
        placed,
        background if background is not None else rng.choice(BACKGROUNDS),
        noise=rng.uniform(0, 4),
        brightness=rng.uniform(0.96, 1.03),
        seed=rng.getrandbits(31),
    )


def _outline(rng: Random, thing: Thing) -> float:
    bare = thing.pattern == "solid" and rng.random() < 0.5
    return 0.0 if bare else rng.uniform(0.05, 0.10)


_RADII: Final = {1: (0.22, 0.46), 2: (0.17, 0.245), 3: (0.155, 0.20)}


def scatter(rng: Random, count: int) -> list[tuple[float, float, float]]:
    """Places `(x, y, radius)` for `count` things that neither overlap nor leave the canvas."""
    while True:
        places: list[tuple[float, float, float]] = []
        for _ in range(60):
            radius = rng.uniform(*_RADII[count])
            x, y = (rng.uniform(radius * 1.04, 1 - radius * 1.04) for _ in range(2))
            if all((x - a) ** 2 + (y - b) ** 2 > (1.06 * (radius + r) + 0.01) ** 2 for a, b, r in places):
                places.append((x, y, radius))
            if len(places) == count:
                return places


def article(words: str) -> str:
    """The words with the indefinite article that fits their first letter."""
    return f"{'an' if words[:1] in 'aeiou' else 'a'} {words}"


def articles(texts: Iterable[str]) -> list[str]:
    """Each text with its indefinite article."""
    return [article(words) for words in texts]


def describe(thing: Thing) -> str:
    """The canonical caption of a thing: `a red solid circle`."""
    return article(f"{thing.colour} {thing.pattern} {thing.shape}")


def listing(phrases: list[str], joiner: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`."""
    return phrases[0] if len(phrases) == 1 else f"{', '.join(phrases[:-1])} {joiner} {phrases[-1]}"
