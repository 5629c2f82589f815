"""Training data of the sketch CLIP: drawings, texts, and the texts' claims.

Scenes come in *families* of four: a base scene and three hard negatives (one word exchanged, words swapped between two
things, a thing added or removed). A batch consists of whole families, so every batch has hard negatives.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from random import Random
from typing import TYPE_CHECKING, Final

from imagerag.tools.sketch.caption_text import (
    CaptionClaim,
    CaptionSpec,
    caption_spec,
    false_claim,
    full_claim,
    part_claim,
    say,
    vague_claim,
)
from imagerag.tools.sketch.renderer import draw
from imagerag.tools.sketch.world import (
    BACKGROUNDS,
    COLOURS,
    MAX_THINGS,
    PATTERNS,
    SHAPES,
    Scene,
    Thing,
    random_scene,
    random_thing,
)

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

FAMILY: Final = 4
TEXTS: Final = (full_claim, full_claim, part_claim, vague_claim, false_claim)
"""Text functions of a drawing; the first two describe it completely."""

_WORDS: Final = {"shape": SHAPES, "colour": COLOURS, "pattern": PATTERNS}
_CHUNK: Final = 100  # families per task of a worker


@dataclass
class Pool:
    """Parallel arrays over N drawings with T = len(TEXTS) texts each. Open words have the index -1.

    Attributes:
        pixels: uint8 `(N, side, side, 3)`.
        scenes: int8 `(N, 3, 3)`: shape, colour, pattern of up to three things; -1 rows are absent.
        grounds: int8 `(N,)`.
        tokens: uint16 `(N, T, context)`.
        claims: int8 `(N, T, 3, 3)`; -1 words are open, all -1 rows claim nothing.
        claim_grounds: int8 `(N, T)`.
        claim_sizes: int8 `(N, T)`: number of things in the text.
    """

    pixels: npt.NDArray[np.uint8]
    scenes: npt.NDArray[np.int8]
    grounds: npt.NDArray[np.int8]
    tokens: npt.NDArray[np.uint16]
    claims: npt.NDArray[np.int8]
    claim_grounds: npt.NDArray[np.int8]
    claim_sizes: npt.NDArray[np.int8]


def family(rng: Random) -> list[tuple[Thing, ...]]:
    """The things of four scenes: a base and its three hard negatives."""
    base = tuple(random_thing(rng) for _ in range(rng.choices((1, 2, 3), (50, 33, 17))[0]))
    misses = []
    for name in rng.sample(tuple(_WORDS), 3):
        chance = rng.random()
        if len(base) > 1 and chance < 0.55:
            misses.append(_swap(rng, base, name))
        elif len(base) > 1 and chance < 0.65:
            misses.append(tuple(rng.sample(base, len(base) - 1)))
        elif len(base) < MAX_THINGS and 0.65 <= chance < 0.75:
            misses.append((*base, random_thing(rng)))
        else:
            misses.append(_exchange(rng, base, name))
    return [base, *misses]


def _exchange(rng: Random, things: tuple[Thing, ...], name: str) -> tuple[Thing, ...]:
    at = rng.randrange(len(things))
    others = [word for word in _WORDS[name] if word != getattr(things[at], name)]
    return (*things[:at], replace(things[at], **{name: rng.choice(others)}), *things[at + 1 :])


def _swap(rng: Random, things: tuple[Thing, ...], name: str) -> tuple[Thing, ...]:
    a, b = rng.sample(range(len(things)), 2)
    swapped = list(things)
    swapped[a] = replace(things[a], **{name: getattr(things[b], name)})
    swapped[b] = replace(things[b], **{name: getattr(things[a], name)})
    return tuple(swapped)


def build(seed: int, families: int, side: int, context: int, workers: int = 2) -> Pool:
    """Draw `families` x 4 images of `side` pixels with their texts, in worker processes.

    The result does not depend on the number of workers.
    """
    import multiprocessing

    import numpy as np

    tasks = [(seed * 100_000 + chunk, min(_CHUNK, families - at), side, context)
             for chunk, at in enumerate(range(0, families, _CHUNK))]  # fmt: skip
    with multiprocessing.get_context("spawn").Pool(workers, initializer=os.nice, initargs=(5,)) as processes:
        parts = list(processes.imap(_build_chunk, tasks))
    return Pool(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Pool)))


def _build_chunk(task: tuple[int, int, int, int]) -> Pool:
    import numpy as np
    from open_clip import SimpleTokenizer
    from PIL import Image

    seed, families, side, context = task
    rng, tokenizer = Random(seed), SimpleTokenizer(context_length=context)
    scenes = [scene for _ in range(families) for scene in _place(rng, family(rng))]
    # Drawn at twice the size and reduced like open_clip's preprocessing.
    images = [draw(scene, 2 * side).resize((side, side), Image.Resampling.BICUBIC) for scene in scenes]
    claims = [[make(rng, scene) for make in TEXTS] for scene in scenes]
    texts = [say(rng, claim) for row in claims for claim in row]
    shape = (len(scenes), len(TEXTS))
    return Pool(
        np.stack([np.asarray(image) for image in images]),
        np.array([encode_wishes([caption_spec(thing) for thing in scene.things]) for scene in scenes], np.int8),
        np.array([BACKGROUNDS.index(scene.background) for scene in scenes], np.int8),
        tokenizer(texts).numpy().astype(np.uint16).reshape(*shape, context),
        np.array([[encode_wishes(claim.wishes) for claim in row] for row in claims], np.int8),
        np.array([[_ground(claim) for claim in row] for row in claims], np.int8),
        np.array([[len(claim.wishes) for claim in row] for row in claims], np.int8),
    )


def _place(rng: Random, scenes: list[tuple[Thing, ...]]) -> Iterator[Scene]:
    shared = rng.choice(BACKGROUNDS) if rng.random() < 0.5 else None
    for things in scenes:
        yield random_scene(rng, things, shared)


def _ground(claim: CaptionClaim) -> int:
    return -1 if claim.background is None else BACKGROUNDS.index(claim.background)


def encode_wishes(wishes: list[CaptionSpec] | tuple[CaptionSpec, ...]) -> list[list[int]]:
    """Encode specifications as a 3 x 3 table of word indices, -1 for open ones."""
    rows = [
        [-1 if word is None else words.index(word) for word, words in
         ((part.shape, SHAPES), (part.colour, COLOURS), (part.pattern, PATTERNS))]
        for part in wishes
    ]  # fmt: skip
    return rows + [[-1, -1, -1]] * (MAX_THINGS - len(rows))
