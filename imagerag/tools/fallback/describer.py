"""Describer that tries several in order."""

from imagerag.agent.ports import Describer, ImageDescription, ImagePart
from imagerag.agent.types import SamplingParams
from imagerag.tools.fallback.base import Fallback


class FallbackDescriber(Fallback[Describer]):
    """Uses the first describer that responds.

    Args:
        members: at least one, the preferred first.
        on_refusal: whether a refusal also goes on to the next member.

    Raises:
        SpecError: no member.
    """

    async def describe(self, image: ImagePart, *, variation: SamplingParams) -> ImageDescription:
        """See the port; the first response counts."""
        return await self._first(lambda member: member.describe(image, variation=variation), ImageDescription)
