"""Describer of the sketch world: it looks at each thing of a drawing through the sketch CLIP, and names the thing of
the world that it resembles most."""

import json
from typing import TYPE_CHECKING, Final

from imagerag.agent.images.decoding import open_rgb
from imagerag.agent.images.subject_segmentation import placed_cuts
from imagerag.agent.ports import FREE, Capabilities, Embedder, ImageDescription, ImagePart
from imagerag.agent.ports.embedder import embed_images, embed_texts
from imagerag.agent.threads import in_thread
from imagerag.agent.types import SamplingParams
from imagerag.tools.sketch.image_comparison import on_white
from imagerag.tools.sketch.world import (
    BACKGROUNDS,
    COLOURS,
    MAX_THINGS,
    PATTERNS,
    SHAPES,
    Thing,
    article,
    describe,
    listing,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

_PLAIN: Final = tuple((shape, colour) for shape in SHAPES for colour in COLOURS)
_GROUNDS: Final = tuple(f"something with {article(f'{word} background')}" for word in BACKGROUNDS)


class SketchDescriber:
    """Describes drawings; it sees pixels only, through the embedder, and can be wrong.

    Args:
        embedder: the sketch CLIP.
    """

    identity = "sketch"
    capabilities = Capabilities(tariff=FREE, needs_images=True)

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._texts: dict[tuple[str, ...], Vectors] = {}

    async def describe(self, image: ImagePart, *, variation: SamplingParams) -> ImageDescription:
        """The things of a drawing and its background.

        Raises:
            UsageError: the image cannot be read.
        """
        cuts = (await in_thread(_cuts, image.data))[:MAX_THINGS] or [image.data]
        *things, whole = await embed_images(self._embedder, [*cuts, image.data])
        named_things = [await self._nearest_thing(thing) for thing in things]
        ground = BACKGROUNDS[int(((await self._vectors(_GROUNDS)) @ whole).argmax())]
        phrases = list(dict.fromkeys(map(describe, named_things)))
        text = f"{listing(phrases)} on {article(ground)} background"
        words = [word for one in named_things for word in (one.shape, one.colour, one.pattern)]
        return ImageDescription(
            text=text,
            key_elements=(*phrases, f"{article(ground)} background"),
            category="drawing",
            tags=tuple(dict.fromkeys([*words, ground])),
            raw=json.dumps({"description": text}),
            cost_usd=0.0,
        )

    async def _nearest_thing(self, thing: "NDArray[np.float32]") -> Thing:
        """Shape and colour first, then the pattern: as exact as all things at once, with a sixth of the texts."""
        plain = await self._vectors(tuple(article(f"{colour} {shape}") for shape, colour in _PLAIN))
        shape, colour = _PLAIN[int((plain @ thing).argmax())]
        patterned = tuple(Thing(shape, colour, pattern) for pattern in PATTERNS)
        return patterned[int(((await self._vectors(tuple(map(describe, patterned)))) @ thing).argmax())]

    async def _vectors(self, texts: tuple[str, ...]) -> "Vectors":
        """Vectors of texts, kept."""
        if texts not in self._texts:
            self._texts[texts] = await embed_texts(self._embedder, texts)
        return self._texts[texts]


def _cuts(data: bytes) -> list[bytes]:
    return [on_white(cut) for cut, _ in placed_cuts(open_rgb(data))]
