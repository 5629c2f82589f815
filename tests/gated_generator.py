"""A generator that waits, so that a test can look at a run in the middle of a drawing."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from imagerag.agent.calls.call_context import current_call
from imagerag.agent.ports import GeneratedImage, ImagePart
from imagerag.agent.types import SamplingParams, Size
from imagerag.tools.sketch.generator import SketchGenerator
from imagerag.tools.testing.mock_openai import tiny_png


def unfinished(number: int) -> bytes:
    """The unfinished image of this number, a PNG file."""
    return tiny_png(f"unfinished {number}")


@dataclass
class GatedGenerator(SketchGenerator):
    """Shows the unfinished images that are asked for, at least one, then draws when it may."""

    may_draw: asyncio.Event = field(default_factory=asyncio.Event)

    async def generate(
        self, prompt: str, references: Sequence[ImagePart], *, variation: SamplingParams, size: Size | None
    ) -> GeneratedImage:
        progress = current_call().progress
        for number in range(max(1, progress.partial_images)):
            await progress.partial(unfinished(number), number)
        progress.step(3, 20)
        await self.may_draw.wait()
        return await super().generate(prompt, references, variation=variation, size=size)
