"""A generator that draws with the first of several that answers."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from imagerag.agent.ports import (
    GeneratedImage,
    ImageGenerator,
    ImagePart,
    ReferenceTemplate,
)
from imagerag.agent.prompts import reference_prompt
from imagerag.agent.types import SamplingParams, Size
from imagerag.tools.fallback.base import Fallback

AS_IT_IS: Final = ReferenceTemplate(whole="{prompt}", edit="{prompt}")
"""A fallback is handed the user's own words: each member has its own way of putting references into them."""


class FallbackGenerator(Fallback[ImageGenerator]):
    """Draws with the first generator that answers.

    It promises what all of them keep: as many references as the smallest limit, sizes that each draws, a seed only
    where all honour it. References are put into words for the one that draws; the answer says which that was.

    Args:
        members: at least one, the preferred first.
        on_refusal: whether a refusal steps down, too.

    Raises:
        SpecError: no member.
    """

    template = AS_IT_IS

    @property
    def max_references(self) -> int:
        """What every member takes."""
        return min(member.max_references for member in self.members)

    @property
    def sizes(self) -> tuple[Size, ...] | None:
        """What every member draws; None when any size will do for all, empty when they have none in common."""
        limited = [member.sizes for member in self.members if member.sizes is not None]
        return tuple(size for size in limited[0] if all(size in sizes for sizes in limited)) if limited else None

    async def generate(
        self, prompt: str, references: Sequence[ImagePart], *, variation: SamplingParams, size: Size | None
    ) -> GeneratedImage:
        """Draw one image; `prompt` is in the user's own words.

        Raises:
            RefusalError: content policy.
            BackendError: nobody answered.
            UsageError: what is asked for is outside the limits of the member whose turn it is.
        """

        async def draw(member: ImageGenerator) -> GeneratedImage:
            worded = reference_prompt(member.template, prompt, references)
            drawn = await member.generate(worded, references, variation=variation, size=size)
            return drawn if drawn.prompt else replace(drawn, prompt=worded)

        return await self._first(draw)
