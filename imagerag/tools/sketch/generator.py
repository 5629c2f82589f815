"""Generator of the sketch world: it knows half of the world's words and takes references for the rest."""

import io
from collections.abc import Sequence
from typing import Final

from imagerag.agent.ports import FREE, Capabilities, GeneratedImage, ImagePart, ReferenceTemplate, SizeRules
from imagerag.agent.threads import in_thread
from imagerag.agent.types import SamplingParams, Size
from imagerag.tools.sketch.image_editing import repaint
from imagerag.tools.sketch.painting import StyleReference, paint

SIDE: Final = 256
"""Pixels of a side of an image without a size."""


class SketchGenerator:
    """`ImageGenerator` that paints scenes. Free, deterministic, a few milliseconds per image."""

    identity = "sketch:painter-1"
    max_references = 4
    sizes: tuple[Size, ...] | None = None
    capabilities = Capabilities(
        tariff=FREE, supports_seed=True, edits=True, size_rules=SizeRules(multiple=1, area=SIDE * SIDE)
    )
    template = ReferenceTemplate(
        whole="According to these images of {items}, generate: {prompt}",
        edit="According to these images of {items}, edit the first: {prompt}",
        item="<{n}: {caption}>",
        subject_item="<{n}, a subject: {caption}>",
        edit_item="<{n}, to edit: {caption}>",
    )

    async def generate(
        self, prompt: str, references: Sequence[ImagePart], *, variation: SamplingParams, size: Size | None
    ) -> GeneratedImage:
        """Paint one image as PNG; of `variation` only `seed` has an effect.

        The default size is 256 x 256; an edited image keeps its own size.
        """
        style_references = [StyleReference(part.data, part.concept or part.caption, part.role) for part in references]
        canvas = (size.width, size.height) if size else None
        data = await in_thread(_painted, prompt, style_references, variation.seed or 0, canvas)
        return GeneratedImage(data=data, cost_usd=0.0)


def _painted(prompt: str, references: Sequence[StyleReference], seed: int, size: tuple[int, int] | None) -> bytes:
    buffer = io.BytesIO()
    if references and references[0].role == "edit":
        image = repaint(prompt, references[0].data, list(references[1:]), seed=seed, size=size)
    else:
        image = paint(prompt, references, seed=seed, size=size or (SIDE, SIDE))
    image.save(buffer, "PNG")
    return buffer.getvalue()
