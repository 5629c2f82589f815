"""Judge that tries several in order."""

from collections.abc import Awaitable, Sequence
from typing import Any, Literal

from imagerag.agent.caption_language import language_argument
from imagerag.agent.judge_image_check import ChecksImages
from imagerag.agent.ports import (
    Captions,
    Critique,
    ImageCheck,
    ImagePart,
    Judge,
    MissingConcepts,
    Preference,
    Ranking,
    SamplingParameter,
)
from imagerag.agent.rephrasing import Rephrased, Rephraser
from imagerag.agent.types import Concept, Requirement, SamplingParams, Verdict
from imagerag.tools.fallback.base import Fallback


class FallbackJudge(Fallback[Judge]):
    """Uses the first judge that responds; each question of a run may go to another one.

    Args:
        members: at least one, the preferred first.
        on_refusal: whether a refusal also goes on to the next member.

    Raises:
        SpecError: no member.
    """

    _images_taken = 0

    @property
    def honours(self) -> frozenset[SamplingParameter]:
        """The sampling parameters that all members support."""
        return frozenset.intersection(*(member.honours for member in self.members))

    def image_check_needed(self, count: int) -> bool:
        """Whether it is unknown if the preferred member takes `count` images, and no earlier check found it out."""
        return count > self._images_taken and _check_needed(self.members[0], count)

    def images_checked(self, count: int, limit: int | None) -> None:
        """Store that a member takes `count` images; its exact limit is found again when needed."""
        self._images_taken = max(self._images_taken, count)

    async def check_images(self, count: int) -> ImageCheck:
        """Check with the first member that responds whether it takes `count` images.

        Raises:
            BackendError: no member takes any, or responded.
        """

        async def check(judge: Judge) -> ImageCheck:
            if isinstance(judge, ChecksImages) and judge.image_check_needed(count):
                return await judge.check_images(count)
            return ImageCheck(requests=0, cost_usd=0.0)

        return await self._first(check, ImageCheck)

    async def critique(
        self,
        prompt: str,
        image: ImagePart,
        *,
        subjects: Sequence[ImagePart],
        requirements: Sequence[Requirement],
        mode: Literal["fused", "stepwise"],
        variation: SamplingParams,
        max_tokens: int | None = None,
        language: str = "",
    ) -> Critique:
        """See the port; the first response counts."""
        arguments: dict[str, Any] = {"subjects": subjects, "requirements": requirements, "mode": mode}
        arguments |= {"variation": variation, "max_tokens": max_tokens}

        def ask(judge: Judge) -> Awaitable[Critique]:
            return judge.critique(prompt, image, **arguments, **language_argument(judge, language))

        return await self._first(ask, Critique)

    async def missing_concepts(
        self,
        prompt: str,
        image: ImagePart,
        *,
        verdict: Verdict,
        variation: SamplingParams,
        subjects: Sequence[ImagePart] = (),
    ) -> MissingConcepts:
        """See the port; the first response counts."""
        arguments: dict[str, Any] = {"verdict": verdict, "variation": variation, "subjects": subjects}
        return await self._first(lambda judge: judge.missing_concepts(prompt, image, **arguments), MissingConcepts)

    async def captions(
        self,
        prompt: str,
        concepts: Sequence[Concept],
        *,
        max_tokens: int,
        variation: SamplingParams,
        image: ImagePart | None = None,
        verdict: Verdict | None = None,
        subjects: Sequence[ImagePart] = (),
        language: str = "",
    ) -> Captions:
        """See the port; the first response counts."""
        arguments: dict[str, Any] = {"max_tokens": max_tokens, "variation": variation, "image": image}
        arguments |= {"verdict": verdict, "subjects": subjects}

        def ask(judge: Judge) -> Awaitable[Captions]:
            return judge.captions(prompt, concepts, **arguments, **language_argument(judge, language))

        return await self._first(ask, Captions)

    async def rephrase(self, prompt: str, *, variation: SamplingParams) -> Rephrased:
        """Return the first response; a judge that is no `Rephraser` leaves the prompt as it is."""

        async def ask(judge: Judge) -> Rephrased:
            if not isinstance(judge, Rephraser):
                return Rephrased(prompt=prompt, cost_usd=0.0)
            return await judge.rephrase(prompt, variation=variation)

        return await self._first(ask, Rephrased)

    async def compare(self, prompt: str, first: ImagePart, second: ImagePart) -> Preference:
        """See the port; the first response counts."""
        return await self._first(lambda judge: judge.compare(prompt, first, second), Preference)

    async def choose(self, query: str, images: Sequence[ImagePart]) -> Ranking:
        """See the port; the first response counts."""
        return await self._first(lambda judge: judge.choose(query, images), Ranking)


def _check_needed(judge: object, count: int) -> bool:
    return isinstance(judge, ChecksImages) and judge.image_check_needed(count)
