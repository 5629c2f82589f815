"""Generator that tries several in order."""

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
"""A fallback gets the user's own prompt, because each member has its own reference template."""


class FallbackGenerator(Fallback[ImageGenerator]):
    """Generates with the first generator that responds.

    It promises what all members support: the smallest reference limit, the sizes in common, a seed only if all support
    it. The prompt is built from the template of the generator that is called; the result says which that was.

    Args:
        members: at least one, the preferred first.
        on_refusal: whether a refusal also goes on to the next member.

    Raises:
        SpecError: no member.
    """

    template = AS_IT_IS

    @property
    def max_references(self) -> int:
        """The smallest limit of the members."""
        return min(member.max_references for member in self.members)

    @property
    def sizes(self) -> tuple[Size, ...] | None:
        """Sizes that all members support; None if none of them is limited, empty if they have none in common."""
        limited = [member.sizes for member in self.members if member.sizes is not None]
        return tuple(size for size in limited[0] if all(size in sizes for sizes in limited)) if limited else None

    async def generate(
        self, prompt: str, references: Sequence[ImagePart], *, variation: SamplingParams, size: Size | None
    ) -> GeneratedImage:
        """Generate one image; `prompt` is the user's own.

        Raises:
            RefusalError: content policy.
            BackendError: no member responded.
            UsageError: the request exceeds a limit of the member that is called.
        """

        async def draw(member: ImageGenerator) -> GeneratedImage:
            worded = reference_prompt(member.template, prompt, references)
            drawn = await member.generate(worded, references, variation=variation, size=size)
            return drawn if drawn.prompt else replace(drawn, prompt=worded)

        return await self._first(draw)
