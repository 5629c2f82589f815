"""Generator that tries several in order."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from imagerag.agent.calls.costs import estimator_of
from imagerag.agent.calls.response_check import checked_response
from imagerag.agent.ports import (
    Capabilities,
    GeneratedImage,
    ImageGenerator,
    ImagePart,
    ReferenceTemplate,
    capabilities_of,
    estimator_of_all,
)
from imagerag.agent.prompts import reference_prompt
from imagerag.agent.types import SamplingParams, Size
from imagerag.tools.fallback.base import Fallback
from imagerag.tools.fallback.request_fitting import fitted_request

AS_IT_IS: Final = ReferenceTemplate(whole="{prompt}", edit="{prompt}")
"""A fallback gets the user's own prompt, because each member has its own reference template."""


class FallbackGenerator(Fallback[ImageGenerator]):
    """Generates with the first generator that responds.

    It promises what its first member supports: references, sizes, a mask; a seed only if all support it. A member that
    is called in its place gets what it takes of a request: the first references, the nearest size, no mask. The result
    says who was called and what was lost. The prompt is built from the template of the generator that is called.

    Args:
        members: at least one, the preferred first.
        on_refusal: whether a refusal also goes on to the next member.

    Raises:
        SpecError: no member.
    """

    template = AS_IT_IS

    @property
    def capabilities(self) -> Capabilities:
        """Combined capabilities of the members; the mask is the first one's, the price that of all of them together."""
        first = capabilities_of(self.members[0])
        tariff = estimator_of_all([estimator_of(member) for member in self.members])
        return replace(super().capabilities, takes_mask=first.takes_mask, tariff=tariff)

    @property
    def max_references(self) -> int:
        """The limit of the first member."""
        return self.members[0].max_references

    @property
    def sizes(self) -> tuple[Size, ...] | None:
        """The sizes of the first member."""
        return self.members[0].sizes

    async def generate(
        self, prompt: str, references: Sequence[ImagePart], *, variation: SamplingParams, size: Size | None
    ) -> GeneratedImage:
        """Generate one image; `prompt` is the user's own, and `size` may be one in words, for each member to translate.

        Raises:
            RefusalError: content policy.
            BackendError: no member responded.
            UsageError: the request exceeds a limit of the member that is called.
        """

        async def draw(member: ImageGenerator) -> GeneratedImage:
            fitted = fitted_request(member, references, size)
            worded = reference_prompt(member.template, prompt, fitted.references)
            returned = await member.generate(worded, fitted.references, variation=variation, size=fitted.size)
            generated = checked_response(returned, GeneratedImage, member.identity)
            return replace(
                generated,
                prompt=generated.prompt or worded,
                size=generated.size or fitted.size,
                references_sent=len(fitted.references)
                if generated.references_sent is None
                else generated.references_sent,
                fallback_errors=(*generated.fallback_errors, *fitted.lost),
            )

        return await self._first(draw, None)
