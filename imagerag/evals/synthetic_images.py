"""Drawn images with known content for evaluations; their seeds never occur in training.

Training uses `random.Random` with integer seeds. Here every seed is a text, which Python hashes (SHA-512), so that it
never equals a seed of training.
"""

import hashlib
import io
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from random import Random
from typing import TYPE_CHECKING, Any, Final

from imagerag.agent.ports import ImagePart
from imagerag.agent.ports.embedder import embed_images
from imagerag.agent.types import ImageRef
from imagerag.store.library.library import Library
from imagerag.store.library.schema import ImageRecord, NewImage
from imagerag.tools.sketch.renderer import draw
from imagerag.tools.sketch.text_parser import parse
from imagerag.tools.sketch.world import (
    COLOURS,
    PATTERNS,
    SHAPES,
    Scene,
    Thing,
    article,
    describe,
    listing,
    random_thing,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

WORDS: Final = {"shape": SHAPES, "colour": COLOURS, "pattern": PATTERNS}
"""The three words of a thing, and what each can be."""

BATCH: Final = 64


@dataclass(frozen=True)
class SyntheticImage:
    """A drawn scene as PNG bytes, with the size it was drawn in."""

    scene: Scene
    data: bytes
    side: int

    @classmethod
    def of(cls, scene: Scene, side: int) -> "SyntheticImage":
        """Draw `scene` as a square of `side` pixels."""
        buffer = io.BytesIO()
        # Noise does not compress; the lowest level is four times as fast and hardly larger.
        draw(scene, side).save(buffer, "PNG", compress_level=1)
        return cls(scene, buffer.getvalue(), side)

    @property
    def part(self) -> ImagePart:
        """The image as input of a judge."""
        return ImagePart(data=self.data, media_type="image/png")

    @property
    def caption(self) -> str:
        """Its things in canonical words, without the background."""
        return caption_text(self.scene.things)

    def row(self) -> ImageRecord:
        """The library row of the image, with its caption."""
        image = ImageRef(
            sha256=hashlib.sha256(self.data).hexdigest(), media_type="image/png", width=self.side, height=self.side
        )
        return ImageRecord(image=image, caption=self.caption, source="imagerag.evals", licence="CC0-1.0")


def chance(seed: int, *about: object) -> Random:
    """A random generator for one purpose: equal for equal arguments, on every machine."""
    return Random(f"imagerag.evals/{seed}/{'/'.join(map(str, about))}")


def caption_text(things: Sequence[Thing], background: str | None = None) -> str:
    """`a red solid circle and a blue striped square`, and ` on a grid background` where one is asked for."""
    words = listing([describe(thing) for thing in things])
    return f"{words} on {article(background)} background" if background else words


def different_things(rng: Random, count: int, *, without: Sequence[Thing] = ()) -> tuple[Thing, ...]:
    """Choose different things, none of them among `without`."""
    things: list[Thing] = []
    while len(things) < count:
        thing = random_thing(rng)
        if thing not in things and thing not in without:
            things.append(thing)
    return tuple(things)


def hard_negative(rng: Random, thing: Thing, *, without: Sequence[Thing] = ()) -> Thing:
    """The thing with one of its words replaced, not among `without`."""
    while True:
        name = rng.choice(tuple(WORDS))
        other = replace(thing, **{name: rng.choice(WORDS[name])})
        if other != thing and other not in without:
            return other


def swapped(rng: Random, name: str) -> tuple[tuple[Thing, Thing], tuple[Thing, Thing]]:
    """Two things that differ in every word, and the same two after they exchange the word `name`."""
    while True:
        a, b = random_thing(rng), random_thing(rng)
        if all(getattr(a, word) != getattr(b, word) for word in WORDS):
            return (a, b), (replace(a, **{name: getattr(b, name)}), replace(b, **{name: getattr(a, name)}))


def things_in_text(text: str) -> tuple[Thing | None, ...]:
    """The things that a text names, in order; None if it leaves a word open or is not about this world."""
    return tuple(
        Thing(mention.shape, mention.colour, mention.pattern)
        if mention.shape and mention.colour and mention.pattern and not mention.unknown
        else None
        for mention in parse(text).mentions
    )


async def vectors(
    embed: Callable[[Sequence[Any]], Awaitable["Vectors"]], items: Sequence[Any], progress: Callable[[int], None]
) -> "list[NDArray[np.float32] | Exception]":
    """Embed items in batches; returns for each a unit vector, or the error of this item.

    Args:
        embed: `Embedder.embed_texts` or `embed_images`.
        items: any number of texts or encoded images.
        progress: called with the size of every batch that is done.
    """
    result: list[NDArray[np.float32] | Exception] = []
    for at in range(0, len(items), BATCH):
        batch = items[at : at + BATCH]
        try:
            result += list(await embed(batch))
        except Exception as error:
            # One bad item must not fail the whole batch.
            result += [error] if len(batch) == 1 else [(await vectors(embed, [item], _silent))[0] for item in batch]
        progress(len(batch))
    return result


def _silent(_: int) -> None:
    """Report nothing."""


async def fill(
    library: Library, synthetic: Iterable[SyntheticImage], progress: Callable[[int], None] = _silent
) -> dict[str, Scene]:
    """Add images to a library with their captions, and calibrate it; returns the scene of each, by id.

    It does not use `index`: reading files and making thumbnails of 5,000 images takes longer than all the rest.
    """
    scenes: dict[str, Scene] = {}
    synthetic = iter(synthetic)
    while batch := list(islice(synthetic, BATCH)):
        vectors = await embed_images(library.embedder, [one.data for one in batch])
        images = [
            NewImage(row=one.row(), data=one.data, thumbnail=b"", vector=vector)
            for one, vector in zip(batch, vectors, strict=True)
        ]
        await library.upsert(images)
        scenes.update({image.row.id: one.scene for image, one in zip(images, batch, strict=True)})
        progress(len(batch))
    await library.optimize()
    await library.calibrate()
    return scenes
