"""The sketch world as a suite: rare concepts in levels of difficulty, with a library that shows them.

A thing is *rare* when the generator does not know its shape or its pattern and has to guess. Every prompt names at
least one, so that an initial image is correct only by chance. Levels, from easy to hard:

1. `one`: one rare thing by itself
2. `with_known`: one rare thing beside one that the generator knows
3. `on_background`: one rare thing, and a background
4. `two`: two rare things that share no word
5. `alike`: two rare things that differ in a single word, so that each is a hard negative of the other
6. `crowded`: two rare things and a known one, as many as the generator can draw
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Final

from imagerag.agent.errors import UsageError
from imagerag.evals.suites.case import Case, Checks, LibraryRecipe, Suite, Truth
from imagerag.evals.synthetic_images import WORDS, caption_text, chance
from imagerag.formatting.messages import unknown
from imagerag.tools.sketch.caption_text import CaptionClaim, caption_spec, say
from imagerag.tools.sketch.painting import KNOWN_PATTERNS, KNOWN_SHAPES
from imagerag.tools.sketch.world import BACKGROUNDS, Thing, all_things, describe

VERSION: Final = "1"
CASES: Final = 360
LEVELS: Final = ("one", "with_known", "on_background", "two", "alike", "crowded")
SIZES: Final = (50, 200)
"""Images in the smaller libraries; the whole one holds every rare thing once."""

SECTIONS: Final[Mapping[str, str]] = {
    "arms": "prompts that every arm answers",
    "retrieval": "the encoder: text to image, and scenes with swapped attributes",
    "judge": "the judge: what is there, what is not, what is missing",
    "loop": "the whole graph: with the right library, with a wrong one, without need of any",
    "threshold": "calibration: what libraries of several sizes accept and reject",
}
CHECK_CASES: Final = 200
CHECK_SIZES: Final = (50, 500, 5000)

Scene = tuple[tuple[Thing, ...], str | None]


def rare(thing: Thing) -> bool:
    """Whether the generator cannot draw the thing without a reference."""
    return thing.shape not in KNOWN_SHAPES or thing.pattern not in KNOWN_PATTERNS


def sketch_suite(
    cases: int | None = None, seed: int = 0, *, sections: Sequence[str] = ("arms",), sizes: Sequence[int] = CHECK_SIZES,
    embedder: str = "sketch",
) -> Suite:  # fmt: skip
    """Make the suite: `cases` in equal parts of every level, each with its own seed.

    Libraries: `sketch-rare` (every rare thing, 864 images), `sketch-rare-50` and `-200` (random parts of it), and
    `sketch-irrelevant` (200 images of what the generator knows already: nothing in it helps).

    Args:
        cases: number of cases for the arms, and of each kind for every other section.
        seed: decides every case.
        sections: `arms` runs prompts; the others check the product's parts.
        sizes: library sizes of the section `threshold`, in images.
        embedder: spec of the encoder.

    Raises:
        UsageError: an unknown section, a number below 1, or fewer than one case per level.
    """
    checks = _checks(cases, seed, sections, tuple(sizes), embedder)
    if "arms" not in sections:
        return Suite(name="sketch", version=VERSION, cases=(), checks=checks).checked()
    cases = CASES if cases is None else cases
    if cases < len(LEVELS):
        raise UsageError(f"the sketch suite has {len(LEVELS)} levels, so at least as many cases; not {cases}")
    things = all_things()
    pool = [thing for thing in things if rare(thing)]
    known_things = [thing for thing in things if not rare(thing)]
    case_list = [
        _case(level, at, seed, pool, known_things) for at in range(cases) for level in [LEVELS[at % len(LEVELS)]]
    ]
    libraries = {"sketch-rare": LibraryRecipe(kind="rare", size=len(pool), seed=seed, embedder=embedder)}
    libraries |= {
        f"sketch-rare-{size}": LibraryRecipe(kind="rare", size=size, seed=seed, embedder=embedder) for size in SIZES
    }
    libraries["sketch-irrelevant"] = LibraryRecipe(kind="irrelevant", size=200, seed=seed, embedder=embedder)
    return Suite(name="sketch", version=VERSION, cases=tuple(case_list), libraries=libraries, checks=checks)


def _checks(
    cases: int | None, seed: int, sections: Sequence[str], sizes: tuple[int, ...], embedder: str
) -> Checks | None:
    """The sections beside `arms`, in their order; None without any."""
    if not sections:
        raise UsageError(f"name at least one section of the suite sketch: {', '.join(SECTIONS)}")
    if wrong := [name for name in sections if name not in SECTIONS]:
        raise UsageError(unknown("section", wrong[0], SECTIONS))
    names = tuple(name for name in SECTIONS if name != "arms" and name in sections)
    count = CHECK_CASES if cases is None else cases
    if count < 1 or min(sizes, default=1) < 1:
        raise UsageError(f"at least one case and one image are needed, not {count} and {min(sizes, default=0)}")
    return Checks(sections=names, cases=count, seed=seed, sizes=sizes, embedder=embedder) if names else None


def _case(level: str, at: int, seed: int, pool: Sequence[Thing], known_things: Sequence[Thing]) -> Case:
    rng = chance(seed, "suite", level, at)
    things, background = _SCENES[level](rng, pool, known_things)
    unknown = tuple(thing for thing in things if rare(thing))
    return Case(
        id=f"{level}/{at:04}",
        prompt=caption_text(things, background),
        rephrased=say(rng, CaptionClaim(tuple(caption_spec(thing) for thing in things), background)),
        truth=Truth(
            labels=tuple(describe(thing) for thing in unknown),
            wrong=tuple(caption_text(other, background) for other in hard_negatives(things)),
            data={"things": [[thing.shape, thing.colour, thing.pattern] for thing in things], "background": background},
        ),
        seeds=(at,),
        tags=(level, f"level:{LEVELS.index(level) + 1}", f"things:{len(things)}", f"rare:{len(unknown)}"),
    )


def hard_negatives(things: Sequence[Thing]) -> list[tuple[Thing, ...]]:
    """The scene with one word of a rare thing replaced by each other word of the same kind."""
    return [
        (*things[:at], replace(thing, **{name: word}), *things[at + 1 :])
        for at, thing in enumerate(things)
        if rare(thing)
        for name, words in WORDS.items()
        for word in words
        if word != getattr(thing, name)
    ]


def _one(rng: Random, pool: Sequence[Thing], known_things: Sequence[Thing]) -> Scene:
    return (rng.choice(pool),), None


def _with_known(rng: Random, pool: Sequence[Thing], known_things: Sequence[Thing]) -> Scene:
    return tuple(rng.sample((rng.choice(pool), rng.choice(known_things)), 2)), None


def _on_background(rng: Random, pool: Sequence[Thing], known_things: Sequence[Thing]) -> Scene:
    return (rng.choice(pool),), rng.choice(BACKGROUNDS)


def _two(rng: Random, pool: Sequence[Thing], known_things: Sequence[Thing]) -> Scene:
    one = rng.choice(pool)
    others = [thing for thing in pool if all(getattr(thing, name) != getattr(one, name) for name in WORDS)]
    return (one, rng.choice(others)), None


def _alike(rng: Random, pool: Sequence[Thing], known_things: Sequence[Thing]) -> Scene:
    one = rng.choice(pool)
    alike = [thing for thing in pool if sum(getattr(thing, name) != getattr(one, name) for name in WORDS) == 1]
    return (one, rng.choice(alike)), None


def _crowded(rng: Random, pool: Sequence[Thing], known_things: Sequence[Thing]) -> Scene:
    (one, two), _ = _two(rng, pool, known_things)
    return tuple(rng.sample((one, two, rng.choice(known_things)), 3)), None


_SCENES: Final[dict[str, Callable[[Random, Sequence[Thing], Sequence[Thing]], Scene]]] = {
    "one": _one,
    "with_known": _with_known,
    "on_background": _on_background,
    "two": _two,
    "alike": _alike,
    "crowded": _crowded,
}
