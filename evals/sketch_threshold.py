"""Does a library's calibrated threshold tell what it holds from what it does not, whatever the library's size?"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from random import Random
from typing import Final

from imagerag.agent.ports import Filter
from imagerag.evals.document import Case, unscored
from imagerag.evals.drawing import Picture, chance, fill, near_miss, said
from imagerag.evals.lab import Lab
from imagerag.store.library import Library
from imagerag.tools.sketch.world import Scene, Thing, all_things, describe, random_scene

SIDE: Final = 96
KEPT: Final = 5 / 6
"""Share of all things that a library may show; the others are asked for as what it does not hold."""
MANY: Final = (6, 3, 1)
"""How often a picture shows one, two and three things."""


@dataclass(frozen=True)
class Query:
    """What is asked of a library.

    Attributes:
        kind: of what is there, "alone" (a picture shows just this), "among" (only pictures with other things too show
            it) or "whole" (all of a picture with several things); of what is not, "near" (one word off something
            there) or "held_out" (chosen blindly).
    """

    things: tuple[Thing, ...]
    kind: str

    @property
    def present(self) -> bool:
        """Whether the library holds it."""
        return self.kind in PRESENT

    def shown_by(self, scene: Scene) -> bool:
        """Whether a picture of that scene shows all of it."""
        return set(self.things) <= set(scene.things)


PRESENT: Final = ("alone", "among", "whole")


def libraries(size: int) -> int:
    """How many libraries of a size are drawn: a small one is its own accident, a large one takes time."""
    return min(4, ceil(1000 / size))


def scenes(seed: int, size: int, number: int) -> list[Scene]:
    """What the pictures of a library show."""
    rng = chance(seed, "threshold", size, number)
    kept = _kept(rng)
    return [random_scene(rng, tuple(rng.sample(kept, rng.choices((1, 2, 3), MANY)[0]))) for _ in range(size)]


def _kept(rng: Random) -> list[Thing]:
    things = all_things()
    return rng.sample(things, round(KEPT * len(things)))


def queries(rng: Random, shown: Sequence[Scene], count: int) -> list[Query]:
    """Up to `count` different ones that have a match, and `count` that have none, half of those near misses."""
    there = {thing for scene in shown for thing in scene.things}
    return [*_present(rng, shown, count), *_absent(rng, there, count)]


def _present(rng: Random, shown: Sequence[Scene], count: int) -> list[Query]:
    """One for each of some pictures: what it shows, or one of the several things it shows."""
    alone = {scene.things[0] for scene in shown if len(scene.things) == 1}
    found: dict[frozenset[Thing], Query] = {}
    for scene in rng.sample(shown, min(count, len(shown))):
        things = scene.things if rng.random() < 0.5 else (rng.choice(scene.things),)
        kind = "whole" if len(things) > 1 else "alone" if things[0] in alone else "among"
        found.setdefault(frozenset(things), Query(things, kind))
    return list(found.values())


def _absent(rng: Random, there: set[Thing], count: int) -> list[Query]:
    known, near = sorted(there, key=describe), set[Thing]()
    for _ in range(100 * count):
        if len(near) >= count // 2:
            break
        near |= {near_miss(rng, rng.choice(known))} - there
    rest = [thing for thing in all_things() if thing not in there | near]
    blind = rng.sample(rest, min(count - len(near), len(rest)))
    return [
        *(Query((thing,), "near") for thing in sorted(near, key=describe)),
        *(Query((thing,), "held_out") for thing in blind),
    ]


async def thresholds(lab: Lab) -> list[Case]:
    """`lab.cases` things that are there and as many that are not, for every size of library."""
    plan = [(size, number) for size in lab.sizes for number in range(libraries(size))]
    lab.begin("threshold", sum(size for size, _ in plan))
    found: list[Case] = []
    for size, number in plan:
        share = ceil(lab.cases / libraries(size))
        found += await _one_library(lab, size, number, share)
    return found


async def _one_library(lab: Lab, size: int, number: int, count: int) -> list[Case]:
    drawn = scenes(lab.seed, size, number)
    library = await lab.new_library(f"eval-{size}-{number}")
    shown: dict[str, Scene] = {}
    error: Exception | None = None
    try:
        shown = await fill(library, (Picture.of(scene, SIDE) for scene in drawn), lab.tell)
    except Exception as caught:
        error = caught
    asked = queries(chance(lab.seed, "threshold queries", size, number), drawn, count)
    prefix = f"threshold/{size}-{number}"
    return [
        await searched(f"{prefix}/{at:04}", query, size, library, shown)
        if error is None
        else unscored(f"{prefix}/{at:04}", said(query.things), metrics(size, query), error)
        for at, query in enumerate(asked)
    ]


def metrics(size: int, query: Query) -> tuple[str, ...]:
    """What a query counts for."""
    if query.present:
        accepts = f"threshold.{size}.accepts"
        return accepts, f"{accepts}.{query.kind}", f"threshold.{size}.first_is_right"
    rejects = f"threshold.{size}.rejects"
    return rejects, f"{rejects}.{query.kind}"


async def searched(id: str, query: Query, size: int, library: Library, shown: dict[str, Scene]) -> Case:
    """One search as the loop makes it: what is best, and does it pass the library's own threshold."""
    words, names = said(query.things), metrics(size, query)
    try:
        first = (await library.search(words, k=1, filter=Filter()))[0]
    except Exception as error:
        return unscored(id, words, names, error)
    passed = first.similarity >= library.threshold
    results = dict.fromkeys(names[:2], passed == query.present)
    results |= dict.fromkeys(names[2:], query.shown_by(shown[first.image.sha256]))
    note = f"{first.caption}: {first.similarity:.3f}, threshold {library.threshold:.3f}"
    return Case(id=id, asked=words, results=results, note="" if all(results.values()) else note)
