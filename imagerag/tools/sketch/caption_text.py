"""Wordings of a scene's content, each with the exact claim that it makes.

Training needs both: the text encoder gets the text, and the claim decides in which images of the batch it is true. A
claim may be partial (`a red circle`, `something striped`, `a grid background`) or deliberately false.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import Final

from imagerag.tools.sketch.world import BACKGROUNDS, COLOURS, PATTERNS, SHAPES, Scene, Thing, article, listing

SYNONYMS: Final[dict[str, tuple[str, ...]]] = {
    "circle": ("disc", "disk"), "oval": ("ellipse",), "diamond": ("rhombus",), "crescent": ("moon", "crescent moon"),
    "cross": ("plus", "plus sign"), "semicircle": ("half circle", "half-circle"), "flower": ("blossom",),
    "drop": ("teardrop", "droplet", "raindrop"), "bolt": ("lightning bolt", "lightning", "flash"),
    "grey": ("gray",), "purple": ("violet",), "teal": ("turquoise",), "solid": ("plain", "filled"),
    "striped": ("stripy", "stripey"), "dotted": ("polka-dot", "polka-dotted", "spotted"),
    "checkered": ("checked", "chequered", "checkerboard"), "ringed": ("bullseye", "ring-patterned"),
    "split": ("two-tone", "half-and-half"), "speckled": ("flecked",), "grid": ("gridded",), "lined": ("ruled",),
}  # fmt: skip
"""Synonyms of the vocabulary; the parser knows them, and some training captions use them."""

FAMILIES: Final = (
    "Widget", "Gadget", "Tool", "Gizmo", "Badge", "Token", "Charm", "Sticker", "Tile", "Button", "Patch", "Kit", "Part",
    "Device", "Marker", "Emblem", "Toy", "Sign",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class CaptionSpec:
    """Description of a thing in which attributes may be open; `None` means any."""

    shape: str | None = None
    colour: str | None = None
    pattern: str | None = None


@dataclass(frozen=True, slots=True)
class CaptionClaim:
    """Claim of a text: specifications that distinct things must meet, and perhaps a background."""

    wishes: tuple[CaptionSpec, ...] = ()
    background: str | None = None


def caption_spec(thing: Thing) -> CaptionSpec:
    """The specification that only this thing meets."""
    return CaptionSpec(thing.shape, thing.colour, thing.pattern)


def full_claim(rng: Random, scene: Scene) -> CaptionClaim:
    """Claim all things in the scene, in any order, and the background in half of the cases."""
    wishes = [caption_spec(thing) for thing in scene.things]
    rng.shuffle(wishes)
    return CaptionClaim(tuple(wishes), scene.background if rng.random() < 0.5 else None)


def part_claim(rng: Random, scene: Scene) -> CaptionClaim:
    """Claim one thing of the scene, or two of three, with all attributes."""
    things = rng.sample(scene.things, rng.randint(1, max(1, len(scene.things) - 1)))
    return CaptionClaim(
        tuple(caption_spec(thing) for thing in things), scene.background if rng.random() < 0.25 else None
    )


def vague_claim(rng: Random, scene: Scene) -> CaptionClaim:
    """Claim some attributes only: `a red circle`, `a heart`, `something striped`, `a grid background`."""
    if rng.random() < 0.12:
        return CaptionClaim((), scene.background)
    wishes = []
    for thing in rng.sample(scene.things, rng.randint(1, len(scene.things)) if rng.random() < 0.3 else 1):
        keep = rng.sample(("shape", "colour", "pattern"), rng.choice((1, 2, 2, 2)))
        wishes.append(CaptionSpec(**{name: getattr(thing, name) for name in keep}))
    return CaptionClaim(tuple(wishes), scene.background if rng.random() < 0.15 else None)


def false_claim(rng: Random, scene: Scene) -> CaptionClaim:
    """Make a hard negative: the full or a partial claim with one word exchanged."""
    claim = full_claim(rng, scene) if rng.random() < 0.5 else part_claim(rng, scene)
    if claim.background is not None and rng.random() < 0.2:
        return replace(claim, background=rng.choice(BACKGROUNDS))
    wishes = list(claim.wishes)
    at = rng.randrange(len(wishes))
    name, words = rng.choice((("shape", SHAPES), ("colour", COLOURS), ("pattern", PATTERNS)))
    wishes[at] = replace(wishes[at], **{name: rng.choice(words)})
    return replace(claim, wishes=tuple(wishes))


_FRAMES: Final = (
    "a picture of {}", "a drawing of {}", "a photo of {}", "an image of {}", "an illustration of {}", "a sketch of {}",
    "a simple drawing of {}", "a clear picture of {}", "a detailed image of {}", "draw {}", "show {}", "generate {}",
    "a picture showing {}", "an image with {}", "there is {}", "{}, flat style", "{}.", "a clean illustration of {}",
)  # fmt: skip
_GROUNDS: Final = (
    " on a {} background", " on a {} background", " on a {} background", " against a {} background", " on {}",
    ", {} background", " with a {} background", " on a {} backdrop",
)  # fmt: skip


def say(rng: Random, claim: CaptionClaim) -> str:
    """Word a claim in one of many ways."""
    ground = ""
    if claim.background is not None:
        ground = rng.choice(_GROUNDS).format(_word(rng, claim.background))
    if not claim.wishes:
        return rng.choice(("something", "a picture", "anything")) + ground
    things = [_say_thing(rng, part) for part in claim.wishes]
    text = listing(things, rng.choice(("and", "and", "and", "next to", "beside", "with"))) + ground
    return text if rng.random() < 0.55 else rng.choice(_FRAMES).format(text)


def _say_thing(rng: Random, part: CaptionSpec) -> str:
    shape = _word(rng, part.shape) if part.shape else rng.choice(("shape", "thing", "object"))
    adjectives = [_word(rng, word) for word in (part.colour, part.pattern) if word]
    style = rng.random()
    if style < 0.12:
        adjectives.reverse()
    if adjectives and style > 0.92:
        phrase = f"{article(shape)}{rng.choice((', ', ' that is '))}{' and '.join(adjectives)}"
    elif adjectives and not part.shape and style > 0.6:
        phrase = f"something {' '.join(adjectives)}"
    else:
        words = " ".join([*adjectives, shape])
        phrase = article(words) if rng.random() < 0.88 else rng.choice(("the ", "", "one ")) + words
    if part.shape and rng.random() < 0.06:
        mark = rng.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ") if rng.random() < 0.7 else str(rng.randint(1, 99))
        phrase = f"{rng.choice(FAMILIES)} {mark}, {phrase}"
    return phrase


def _word(rng: Random, word: str) -> str:
    return rng.choice(SYNONYMS[word]) if word in SYNONYMS and rng.random() < 0.1 else word
