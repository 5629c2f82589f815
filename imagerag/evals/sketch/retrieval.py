"""Section `retrieval`: checks of the encoder, text to image over all things, and pairs of scenes with swapped words."""

from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from imagerag.agent.ports.embedder import embed_images, embed_texts
from imagerag.evals.check_record import Check, unscored_check
from imagerag.evals.sketch.context import CheckContext
from imagerag.evals.synthetic_images import WORDS, SyntheticImage, caption_text, chance, swapped, vectors
from imagerag.formatting.numbers import cosine
from imagerag.tools.sketch.world import Thing, all_things, describe, random_scene

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Found = NDArray[np.float32] | Exception

SIDE = 128
"""Pixels; the encoder reads 64."""


async def check_retrieval(context: CheckContext) -> AsyncIterator[Check]:
    """Check the grid (every possible thing, when there are enough cases) and twice as many swapped pairs."""
    pairs = 2 * context.cases
    things = grid(context)
    context.begin("retrieval", 2 * len(things) + 4 * pairs)
    if context.wants_any(_grid_id(at) for at in range(len(things))):
        for check in await _grid(context, things):
            if context.wants(check.id):
                yield check
    else:
        context.step(2 * len(things))
    if context.wants_any(_pair_id(at) for at in range(pairs)):
        for check in await _pairs(context, pairs):
            if context.wants(check.id):
                yield check
    else:
        context.step(4 * pairs)


def _grid_id(at: int) -> str:
    return f"retrieval/grid/{at:04}"


def _pair_id(at: int) -> str:
    return f"retrieval/swapped/{at:04}"


def grid(context: CheckContext) -> list[Thing]:
    """The things of the grid: all 1,152 from 192 cases on, else six for every case."""
    things = all_things()
    count = 6 * context.cases
    return things if count >= len(things) else chance(context.seed, "grid things").sample(things, count)


async def _grid(context: CheckContext, things: Sequence[Thing]) -> list[Check]:
    import numpy as np

    rng = chance(context.seed, "grid")
    images = [SyntheticImage.of(random_scene(rng, (thing,)), SIDE).data for thing in things]
    image_vectors = await vectors(partial(embed_images, context.embedder), images, context.step)
    embedded = await vectors(
        partial(embed_texts, context.embedder), [describe(thing) for thing in things], context.step
    )
    # An image that could not be embedded fails only its own case.
    nothing = np.zeros(context.embedder.identity.dimension, np.float32)
    gallery = np.stack([nothing if isinstance(vector, Exception) else vector for vector in image_vectors])
    return [_ranked(at, things, text, image_vectors[at], gallery) for at, text in enumerate(embedded)]


def _ranked(at: int, things: Sequence[Thing], text: "Found", image: "Found", gallery: "NDArray[np.float32]") -> Check:
    name, words, metrics = _grid_id(at), describe(things[at]), ("retrieval.r@1", "retrieval.r@5")
    if isinstance(text, Exception) or isinstance(image, Exception):
        return unscored_check(name, words, metrics, next(one for one in (text, image) if isinstance(one, Exception)))
    cosines = gallery @ text
    rank = int((cosines > cosines[at]).sum())
    first = int(cosines.argmax())
    note = "" if rank == 0 else f"rank {rank + 1}; first is {describe(things[first])}, "
    note += "" if rank == 0 else f"{cosine(cosines[first])} over {cosine(cosines[at])}"
    return Check(id=name, prompt=words, results={metrics[0]: rank < 1, metrics[1]: rank < 5}, note=note)


async def _pairs(context: CheckContext, count: int) -> list[Check]:
    """Scenes of two things, each paired with the same scene in which the things have exchanged one word."""
    rng = chance(context.seed, "swapped")
    names = [tuple(WORDS)[at % len(WORDS)] for at in range(count)]
    sides = [things for name in names for things in swapped(rng, name)]
    images = [SyntheticImage.of(random_scene(rng, things), SIDE).data for things in sides]
    image_vectors = await vectors(partial(embed_images, context.embedder), images, context.step)
    embedded = await vectors(
        partial(embed_texts, context.embedder), [caption_text(things) for things in sides], context.step
    )
    return [
        _pair_check(_pair_id(at), name, sides[2 * at : 2 * at + 2], pair_vectors)
        for at, name in enumerate(names)
        for pair_vectors in [(*image_vectors[2 * at : 2 * at + 2], *embedded[2 * at : 2 * at + 2])]
    ]


def _pair_check(id: str, name: str, sides: Sequence[tuple[Thing, Thing]], vectors: "Sequence[Found]") -> Check:
    """Score one pair: a hit when each image is nearer to its own text than to the other's."""
    metrics = ("retrieval.swapped", f"retrieval.swapped.{name}")
    words = f"{caption_text(sides[0])} | {caption_text(sides[1])}"
    for vector in vectors:
        if isinstance(vector, Exception):
            return unscored_check(id, words, metrics, vector)
    one, other, text, rest = (vector for vector in vectors if not isinstance(vector, Exception))
    margins = [float(one @ (text - rest)), float(other @ (rest - text))]
    right = min(margins) > 0
    note = "" if right else f"margins {margins[0]:+.3f} {margins[1]:+.3f}"
    return Check(id=id, prompt=words, results=dict.fromkeys(metrics, right), note=note)
