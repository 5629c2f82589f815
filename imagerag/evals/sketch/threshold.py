"""Section `threshold`: checks of the calibrated threshold, for libraries of several sizes.

There are two kinds of library. Where every image shows one thing, like the catalogue's product images, targets apply.
Where images show one to three things (`threshold.mixed`) the figures are reported without a target: an image has one
vector, and the vector of a crowded image lies between its things. A text that names one of them is then hardly nearer
to it than to an image of something similar alone, so that no cosine reaches both targets: with the sketch weights the
best cosine in hindsight accepts 0.88 of the queries with a match and rejects 0.94 of those without (500 images). No
calibration can separate more. `threshold.regions` are the same libraries and queries with vectors of image regions, and
have targets.
"""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from random import Random
from typing import Final

from imagerag.agent.ports import Filter
from imagerag.agent.ports.embedder import embed_images
from imagerag.evals.check_record import Check, unscored_check
from imagerag.evals.sketch.context import CheckContext
from imagerag.evals.synthetic_images import BATCH, SyntheticImage, caption_text, chance, hard_negative
from imagerag.formatting.numbers import cosine
from imagerag.store.library.library import Library
from imagerag.store.library.region_encoding import encode_regions
from imagerag.store.library.schema import NewImage
from imagerag.tools.sketch.world import Scene, Thing, all_things, describe, random_scene

SIDE: Final = 96
KEPT: Final = 5 / 6
"""Share of all things that a library may show; the others are asked for as what it does not hold."""
MANY: Final = (6, 3, 1)
"""Of ten images of a mixed library, the numbers with one, two and three things."""
KINDS: Final = ("threshold", "threshold.mixed")
"""Libraries of one thing per image, and of one to three: what the names of their metrics begin with."""
REGIONS: Final = "threshold.regions"
"""The same of a mixed library whose images have regions."""


@dataclass(frozen=True)
class Query:
    """A query to a library.

    Attributes:
        kind: with a match: "alone" (an image shows just this), "among" (only images with other things show it) or
            "whole" (all of an image with several things); without a match: "near" (differs by one word from a held
            thing), "held_out" (chosen at random) or "near_list" (all of an image with several things, one word changed;
            their share is reported apart).
    """

    things: tuple[Thing, ...]
    kind: str

    @property
    def present(self) -> bool:
        """Whether the library has a match."""
        return self.kind in PRESENT

    def shown_by(self, scene: Scene) -> bool:
        """Whether an image of that scene matches the query."""
        return set(self.things) <= set(scene.things)


PRESENT: Final = ("alone", "among", "whole")


def libraries(size: int) -> int:
    """Number of libraries of a size: several small ones, because their figures vary; one large one, because it is
    slow."""
    return min(4, ceil(1000 / size))


def scenes(seed: int, size: int, number: int) -> dict[str, list[Scene]]:
    """The scenes of both kinds of library; both share the scenes of one thing."""
    rng = chance(seed, "threshold", size, number)
    things = _sampled_things(rng)
    ones, twos = (round(size * part / sum(MANY)) for part in MANY[:2])
    alone = [random_scene(rng, (rng.choice(things),)) for _ in range(size)]
    counts = [2] * twos + [3] * (size - ones - twos)
    crowded = [random_scene(rng, tuple(rng.sample(things, count))) for count in counts]
    return dict(zip(KINDS, (alone, [*alone[:ones], *crowded]), strict=True))


def _sampled_things(rng: Random) -> list[Thing]:
    things = all_things()
    return rng.sample(things, round(KEPT * len(things)))


def queries(rng: Random, scenes: Sequence[Scene], count: int) -> list[Query]:
    """Make up to `count` different queries with a match, `count` things without, and half as many lists of things."""
    there = {thing for scene in scenes for thing in scene.things}
    return [*_present(rng, scenes, count), *_absent(rng, there, count), *_absent_lists(rng, scenes, count // 2)]


def _present(rng: Random, scenes: Sequence[Scene], count: int) -> list[Query]:
    """Queries for some of the images: all of an image's things, or one of them."""
    alone = {scene.things[0] for scene in scenes if len(scene.things) == 1}
    by_things: dict[frozenset[Thing], Query] = {}
    for scene in rng.sample(scenes, min(count, len(scenes))):
        things = scene.things if rng.random() < 0.5 else (rng.choice(scene.things),)
        kind = "whole" if len(things) > 1 else "alone" if things[0] in alone else "among"
        by_things.setdefault(frozenset(things), Query(things, kind))
    return list(by_things.values())


def _absent(rng: Random, there: set[Thing], count: int) -> list[Query]:
    present, near = sorted(there, key=describe), set[Thing]()
    for _ in range(100 * count):
        if len(near) >= count // 2:
            break
        near |= {hard_negative(rng, rng.choice(present))} - there
    rest = [thing for thing in all_things() if thing not in there | near]
    blind = rng.sample(rest, min(count - len(near), len(rest)))
    return [
        *(Query((thing,), "near") for thing in sorted(near, key=describe)),
        *(Query((thing,), "held_out") for thing in blind),
    ]


def _absent_lists(rng: Random, scenes: Sequence[Scene], count: int) -> list[Query]:
    """Lists of the things of an image, one of which differs by one word, so that no image shows them all."""
    several = [scene.things for scene in scenes if len(scene.things) > 1]
    present = [frozenset(things) for things in several]
    queries: dict[frozenset[Thing], Query] = {}
    for _ in range(2 * count if several else 0):
        things = list(rng.choice(several))
        at = rng.randrange(len(things))
        things[at] = hard_negative(rng, things[at], without=things)
        if len(queries) < count and not any(one.issuperset(things) for one in present):
            queries.setdefault(frozenset(things), Query(tuple(things), "near_list"))
    return list(queries.values())


async def check_threshold(context: CheckContext) -> AsyncIterator[Check]:
    """Make `context.cases` queries with a match and as many without, for every size and kind of library."""
    plan = [(size, number) for size in context.checks.sizes for number in range(libraries(size))]
    scenes_of = {one: scenes(context.seed, *one) for one in plan}
    context.begin("threshold", sum(len(_distinct(both)) for both in scenes_of.values()))
    for (size, number), both in scenes_of.items():
        if not context.wants_any(case for _, case, _ in _queries(context, size, number, both)):
            context.step(len(_distinct(both)))
            continue
        for check in await _one_pair(context, size, number, both):
            if context.wants(check.id):
                yield check


async def _one_pair(
    context: CheckContext, size: int, number: int, scenes_of: Mapping[str, Sequence[Scene]]
) -> list[Check]:
    """Check a library of each kind, both of the same size."""
    both = {kind: await context.new_library(f"eval-{kind.replace('.', '-')}-{size}-{number}") for kind in KINDS}
    scenes_by_id: dict[str, Scene] = {}
    error: Exception | None = None
    try:
        scenes_by_id = await _fill(context, both, scenes_of)
    except Exception as caught:
        error = caught
    tasks = list(_queries(context, size, number, scenes_of))
    results = [await _check_query(one, both[one[0]], scenes_by_id, size, error) for one in tasks if one[0] != REGIONS]
    try:
        await _with_regions(both[KINDS[1]])
    except Exception as caught:
        error = error or caught
    results += [
        await _check_query(one, both[KINDS[1]], scenes_by_id, size, error) for one in tasks if one[0] == REGIONS
    ]
    for library in both.values():
        context.remove_library(library.name)
    return results


def _queries(
    context: CheckContext, size: int, number: int, scenes_of: Mapping[str, Sequence[Scene]]
) -> Iterator[tuple[str, str, Query]]:
    """The queries to a library of each kind, with the kind and the case's id; those with regions come last."""
    for kind in (*KINDS, REGIONS):
        of = KINDS[1] if kind == REGIONS else kind
        rng = chance(context.seed, of, "queries", size, number)
        for at, query in enumerate(queries(rng, scenes_of[of], ceil(context.cases / libraries(size)))):
            yield kind, f"{kind.replace('.', '/')}/{size}-{number}/{at:04}", query


async def _check_query(
    task: tuple[str, str, Query],
    library: Library,
    scenes_by_id: Mapping[str, Scene],
    size: int,
    error: Exception | None,
) -> Check:
    kind, case, query = task
    names = metrics(f"{kind}.{size}", query)
    if error is not None:
        return unscored_check(case, caption_text(query.things), names, error)
    return await check_search(case, query, names, library, scenes_by_id)


async def _with_regions(library: Library) -> None:
    """Encode the regions of a library's images, and calibrate it with them."""
    await encode_regions(library, [row.id for row in await library.rows()])
    await library.optimize()
    await library.calibrate()


async def _fill(
    context: CheckContext, both: Mapping[str, Library], scenes_of: Mapping[str, Sequence[Scene]]
) -> dict[str, Scene]:
    """Add the images to the libraries and calibrate them; returns id → content for each library.

    Drawing and encoding takes nearly all of the time, so an image of both libraries is drawn and encoded once.
    """
    scene_sets = {kind: set(batch) for kind, batch in scenes_of.items()}
    scenes_by_id: dict[str, Scene] = {}
    distinct = _distinct(scenes_of)
    for start in range(0, len(distinct), BATCH):
        batch = [SyntheticImage.of(scene, SIDE) for scene in distinct[start : start + BATCH]]
        vectors = await embed_images(context.embedder, [one.data for one in batch])
        for kind, library in both.items():
            await library.upsert([
                NewImage(row=one.row(), data=one.data, thumbnail=b"", vector=vector)
                for one, vector in zip(batch, vectors, strict=True)
                if one.scene in scene_sets[kind]
            ])  # fmt: skip
        scenes_by_id |= {one.row().id: one.scene for one in batch}
        context.step(len(batch))
    for library in both.values():
        await library.optimize()
        await library.calibrate()
    return scenes_by_id


def _distinct(scenes_of: Mapping[str, Sequence[Scene]]) -> list[Scene]:
    """The scenes of both kinds, each once."""
    return list(dict.fromkeys(scene for scenes in scenes_of.values() for scene in scenes))


def metrics(prefix: str, query: Query) -> tuple[str, ...]:
    """The metrics of a query: `prefix` with their suffixes.

    Args:
        prefix: kind and size of the library, as `threshold.mixed.50`.
        query: the query.
    """
    if query.kind == "near_list":
        return (f"{prefix}.rejects.{query.kind}",)
    if query.present:
        return f"{prefix}.accepts", f"{prefix}.accepts.{query.kind}", f"{prefix}.first_is_right"
    return f"{prefix}.rejects", f"{prefix}.rejects.{query.kind}"


async def check_search(
    id: str, query: Query, names: tuple[str, ...], library: Library, scenes_by_id: Mapping[str, Scene]
) -> Check:
    """Search as the loop does, and check the best hit against the library's own threshold."""
    words = caption_text(query.things)
    try:
        first = (await library.search(words, k=1, filter=Filter()))[0]
    except Exception as error:
        return unscored_check(id, words, names, error)
    passed = first.reaches(library.threshold)
    results = dict.fromkeys(names[:2], passed == query.present)
    results |= dict.fromkeys(names[2:], query.shown_by(scenes_by_id[first.image.sha256]))
    limit = library.threshold if first.threshold is None else first.threshold
    note = f"{first.caption}: {cosine(first.similarity)}, threshold {cosine(limit)}"
    return Check(id=id, prompt=words, results=results, note="" if all(results.values()) else note)
