"""Describer of the sketch world: it looks at each thing of a drawing through the sketch CLIP, and names the thing of
the world that it resembles most."""

import json
from typing import TYPE_CHECKING, Final

from imagerag.agent.images.decoding import open_rgb
from imagerag.agent.ports import FREE, Capabilities, Embedder, ImageDescription, ImagePart
from imagerag.agent.threads import in_thread
from imagerag.agent.types import SamplingParams
from imagerag.tools.judges.clip.subject_segmentation import placed_cuts
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

_THINGS: Final = tuple(Thing(shape, colour, pattern) for shape in SHAPES for colour in COLOURS for pattern in PATTERNS)
_TEXTS: Final = (*map(describe, _THINGS), *(f"something with {article(f'{word} background')}" for word in BACKGROUNDS))


class SketchDescriber:
    """Describes drawings; it sees pixels only, through the embedder, and can be wrong.

    Args:
        embedder: the sketch CLIP.
    """

    identity = "sketch"
    capabilities = Capabilities(tariff=FREE, needs_images=True)

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._texts: Vectors | None = None

    async def describe(self, image: ImagePart, *, variation: SamplingParams) -> ImageDescription:
        """The things of a drawing and its background.

        Raises:
            UsageError: the image cannot be read.
        """
        if self._texts is None:
            self._texts = await self._embedder.embed_texts(_TEXTS)
        cuts = (await in_thread(_cuts, image.data))[:MAX_THINGS] or [image.data]
        vectors = await self._embedder.embed_images([*cuts, image.data])
        cosines = vectors @ self._texts.T
        seen = [_THINGS[int(index)] for index in cosines[:-1, : len(_THINGS)].argmax(axis=1)]
        ground = BACKGROUNDS[int(cosines[-1, len(_THINGS) :].argmax())]
        phrases = list(dict.fromkeys(map(describe, seen)))
        text = f"{listing(phrases)} on {article(ground)} background"
        words = [word for one in seen for word in (one.shape, one.colour, one.pattern)]
        return ImageDescription(
            text=text,
            key_elements=(*phrases, f"{article(ground)} background"),
            category="drawing",
            tags=tuple(dict.fromkeys([*words, ground])),
            raw=json.dumps({"description": text}),
            cost_usd=0.0,
        )


def _cuts(data: bytes) -> list[bytes]:
    return [on_white(cut) for cut, _ in placed_cuts(open_rgb(data))]
