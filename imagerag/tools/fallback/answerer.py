"""Answerer that tries several in order."""

from collections.abc import Mapping, Sequence
from typing import Any

from imagerag.agent.ports import (
    ImagePart,
    capabilities_of,
)
from imagerag.agent.qa.ports import Answerer, AnswerWithCitations, Source
from imagerag.agent.qa.types import ConversationTurn, MetadataResult
from imagerag.agent.types import SamplingParams
from imagerag.tools.fallback.base import Fallback


class FallbackAnswerer(Fallback[Answerer]):
    """Uses the first answerer that responds. It gets images if one of the members takes them.

    Args:
        members: at least one, the preferred first.
        on_refusal: whether a refusal also goes on to the next member.

    Raises:
        SpecError: no member.
    """

    @property
    def synonyms(self) -> Mapping[str, str]:
        """The synonyms of all members, the preferred one's first."""
        return {word: canonical for member in reversed(self.members) for word, canonical in member.synonyms.items()}

    async def answer(
        self,
        question: str,
        sources: Sequence[Source],
        *,
        finding: MetadataResult | None,
        earlier: Sequence[ConversationTurn],
        variation: SamplingParams,
        question_images: Sequence[ImagePart] = (),
    ) -> AnswerWithCitations:
        """See the port; the first response counts."""
        arguments: dict[str, Any] = {"finding": finding, "earlier": earlier, "variation": variation}
        return await self._first(
            lambda member: member.answer(question, sources, **arguments, **_own(member, question_images)),
            AnswerWithCitations,
        )

    async def answer_without(
        self,
        question: str,
        *,
        earlier: Sequence[ConversationTurn],
        variation: SamplingParams,
        question_images: Sequence[ImagePart] = (),
    ) -> AnswerWithCitations:
        """See the port; the first response counts."""
        arguments: dict[str, Any] = {"earlier": earlier, "variation": variation}
        return await self._first(
            lambda member: member.answer_without(question, **arguments, **_own(member, question_images)),
            AnswerWithCitations,
        )


def _own(member: Answerer, question_images: Sequence[ImagePart]) -> dict[str, Any]:
    """The images of the question, if the member takes any."""
    return {"question_images": question_images} if question_images and capabilities_of(member).takes_images else {}
