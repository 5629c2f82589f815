"""Several backends as one: the next is asked when one cannot answer, and the record says why.

A fallback steps down at once, whatever the reason a backend did not answer (no quota, no key, overloaded, unreachable,
no answer in time): waiting is only worth it when nobody answers, and that waiting is the graph's. A refusal, and words
or a picture that cannot be read, are answers: they are not carried to the next backend. `on-refusal` in the spec says
otherwise for refusals: `openai:gpt-image-2,diffusers:sdxl-ip-adapter,on-refusal`.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Generic, Literal, TypeVar

from imagerag.agent.errors import (
    BackendError,
    ImageRAGError,
    JudgeReplyError,
    RefusalError,
    SpecError,
    UnreadableImageError,
)
from imagerag.agent.judge_image_check import ChecksImages
from imagerag.agent.ports import (
    Capabilities,
    Captions,
    Critique,
    GeneratedImage,
    ImageCheck,
    ImageGenerator,
    ImagePart,
    Judge,
    Lever,
    MissingConcepts,
    ModelResponse,
    Preference,
    PriceEstimator,
    Ranking,
    ReferenceTemplate,
    can_edit,
    capabilities_of,
    estimator_of_all,
)
from imagerag.agent.prompts import reference_prompt
from imagerag.agent.qa.types import Answerer, AnswerWithCitations, ConversationTurn, MetadataResult, Source
from imagerag.agent.rephrasing import Rephrased, Rephraser
from imagerag.agent.types import Concept, Requirement, SamplingParams, Size, Verdict

ON_REFUSAL: Final = "on-refusal"
"""The word of a spec that lets a fallback step down from a refusal, too."""

AS_IT_IS: Final = ReferenceTemplate(whole="{prompt}", edit="{prompt}")
"""A fallback is handed the user's own words: each member has its own way of putting references into them."""

Member = TypeVar("Member", bound=ImageGenerator | Judge | Answerer)
Answer = TypeVar("Answer")
Told = TypeVar("Told", bound=GeneratedImage | ModelResponse)


class _Fallback(Generic[Member]):
    def __init__(self, members: Sequence[Member], *, on_refusal: bool = False) -> None:
        if not members:
            raise SpecError("a fallback needs at least one backend")
        self.members: tuple[Member, ...] = tuple(members)
        self.on_refusal = on_refusal
        self.identity = ",".join([*(member.identity for member in members), *([ON_REFUSAL] if on_refusal else [])])

    @property
    def capabilities(self) -> Capabilities:
        """What all members can do, at the prices of all of them together."""
        each = [capabilities_of(member) for member in self.members]
        limits = [one.max_images for one in each if one.max_images is not None]
        return Capabilities(
            tariff=estimator_of_all([one.tariff or PriceEstimator() for one in each]),
            supports_seed=all(one.supports_seed for one in each),
            edits=all(map(can_edit, self.members)),
            takes_mask=all(one.takes_mask for one in each),
            sees_references=all(one.sees_references for one in each),
            max_images=min(limits, default=None),
            votes=max(one.votes for one in each),
            needs_images=any(one.needs_images for one in each),
            takes_pictures=any(one.takes_pictures for one in each),
            members=self.members,
        )

    async def _first(self, ask: Callable[[Member], Awaitable[Answer]]) -> tuple[Answer, Member, tuple[str, ...]]:
        """The first answer there is, who gave it, and why those before did not.

        Raises:
            RefusalError, JudgeReplyError: that was the answer; its message says who did not answer before.
            BackendError: nobody answered; worth another try when it is for one of them.
        """
        failed: list[ImageRAGError] = []
        for member in self.members:
            try:
                return await ask(member), member, tuple(map(_reason, failed))
            except UnreadableImageError as error:
                raise UnreadableImageError(_joined([*failed, error]), data=error.data) from error
            except BackendError as error:
                failed.append(error)
            except RefusalError as error:
                failed.append(error)
                if not self.on_refusal:
                    raise RefusalError(_joined(failed)) from error
            except JudgeReplyError as error:
                raise JudgeReplyError(_joined([*failed, error]), raw=error.raw) from error
        raise self._nobody(failed)

    def _nobody(self, failed: list[ImageRAGError]) -> ImageRAGError:
        silent = [error for error in failed if isinstance(error, BackendError)]
        if not silent:
            return RefusalError(_joined(failed))
        if len(failed) == 1:
            return failed[0]
        again = [error for error in silent if error.retryable]
        waits = [error.retry_after_s for error in again if error.retry_after_s is not None]
        # Another try is worth it as soon as one of them may answer.
        wait = min(waits) if again and len(waits) == len(again) else None
        nobody = BackendError(f"nobody answered: {_joined(failed)}", retryable=bool(again), retry_after_s=wait)
        nobody.sent = any(getattr(error, "sent", True) for error in failed)
        return nobody


class FallbackGenerator(_Fallback[ImageGenerator]):
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
        """Draw one picture; `prompt` is in the user's own words.

        Raises:
            RefusalError: content policy.
            BackendError: nobody answered.
            UsageError: what is asked for is outside the limits of the member whose turn it is.
        """

        async def draw(member: ImageGenerator) -> GeneratedImage:
            worded = reference_prompt(member.template, prompt, references)
            drawn = await member.generate(worded, references, variation=variation, size=size)
            return drawn if drawn.prompt else replace(drawn, prompt=worded)

        return _signed(*await self._first(draw))


class FallbackJudge(_Fallback[Judge]):
    """Judges with the first judge that answers; each question of a run may be answered by another one.

    Args:
        members: at least one, the preferred first.
        on_refusal: whether a refusal steps down, too.

    Raises:
        SpecError: no member.
    """

    _images_taken = 0

    @property
    def honours(self) -> frozenset[Lever]:
        """What changes the answers of all of them."""
        return frozenset.intersection(*(member.honours for member in self.members))

    def image_check_needed(self, count: int) -> bool:
        """Whether it is not known of the preferred one that it takes so many, nor that another would answer."""
        return count > self._images_taken and _check_needed(self.members[0], count)

    def images_checked(self, count: int, limit: int | None) -> None:
        """Learn that one of them takes so many; which limit it has, it finds out anew."""
        self._images_taken = max(self._images_taken, count)

    async def check_images(self, count: int) -> ImageCheck:
        """As the first that takes images answers.

        Raises:
            BackendError: none of them takes any, or answered.
        """

        async def check(judge: Judge) -> ImageCheck:
            if isinstance(judge, ChecksImages) and judge.image_check_needed(count):
                return await judge.check_images(count)
            return ImageCheck(requests=0, cost_usd=0.0)

        return _signed(*await self._first(check))

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
    ) -> Critique:
        """As the first that answers judges."""
        asked: dict[str, Any] = {"subjects": subjects, "requirements": requirements, "mode": mode}
        asked |= {"variation": variation, "max_tokens": max_tokens}
        return _signed(*await self._first(lambda judge: judge.critique(prompt, image, **asked)))

    async def missing_concepts(
        self,
        prompt: str,
        image: ImagePart,
        *,
        verdict: Verdict,
        variation: SamplingParams,
        subjects: Sequence[ImagePart] = (),
    ) -> MissingConcepts:
        """As the first that answers names it."""
        asked: dict[str, Any] = {"verdict": verdict, "variation": variation, "subjects": subjects}
        return _signed(*await self._first(lambda judge: judge.missing_concepts(prompt, image, **asked)))

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
    ) -> Captions:
        """As the first that answers writes them."""
        asked: dict[str, Any] = {"max_tokens": max_tokens, "variation": variation, "image": image}
        asked |= {"verdict": verdict, "subjects": subjects}
        return _signed(*await self._first(lambda judge: judge.captions(prompt, concepts, **asked)))

    async def rephrase(self, prompt: str, *, variation: SamplingParams) -> Rephrased:
        """As the first that answers words it; one that words nothing leaves the prompt as it is."""

        async def ask(judge: Judge) -> Rephrased:
            if not isinstance(judge, Rephraser):
                return Rephrased(prompt=prompt, cost_usd=0.0)
            return await judge.rephrase(prompt, variation=variation)

        return _signed(*await self._first(ask))

    async def compare(self, prompt: str, first: ImagePart, second: ImagePart) -> Preference:
        """As the first that answers prefers."""
        return _signed(*await self._first(lambda judge: judge.compare(prompt, first, second)))

    async def choose(self, query: str, images: Sequence[ImagePart]) -> Ranking:
        """As the first that answers ranks."""
        return _signed(*await self._first(lambda judge: judge.choose(query, images)))


class FallbackAnswerer(_Fallback[Answerer]):
    """Answers with the first answerer that does. It is handed pictures when one of them looks.

    Args:
        members: at least one, the preferred first.
        on_refusal: whether a refusal steps down, too.

    Raises:
        SpecError: no member.
    """

    @property
    def synonyms(self) -> Mapping[str, str]:
        """Those of all of them, the preferred one's first."""
        return {word: meant for member in reversed(self.members) for word, meant in member.synonyms.items()}

    async def answer(
        self,
        question: str,
        sources: Sequence[Source],
        *,
        finding: MetadataResult | None,
        earlier: Sequence[ConversationTurn],
        variation: SamplingParams,
        pictures: Sequence[ImagePart] = (),
    ) -> AnswerWithCitations:
        """As the first that answers says."""
        asked: dict[str, Any] = {"finding": finding, "earlier": earlier, "variation": variation}
        return _signed(
            *await self._first(lambda member: member.answer(question, sources, **asked, **_own(member, pictures)))
        )

    async def answer_without(
        self,
        question: str,
        *,
        earlier: Sequence[ConversationTurn],
        variation: SamplingParams,
        pictures: Sequence[ImagePart] = (),
    ) -> AnswerWithCitations:
        """As the first that answers says."""
        asked: dict[str, Any] = {"earlier": earlier, "variation": variation}
        return _signed(
            *await self._first(lambda member: member.answer_without(question, **asked, **_own(member, pictures)))
        )


def _own(member: Answerer, pictures: Sequence[ImagePart]) -> dict[str, Any]:
    """The pictures that a question came with, for a member that takes them."""
    return {"pictures": pictures} if pictures and capabilities_of(member).takes_pictures else {}


def _signed(answer: Told, member: ImageGenerator | Judge | Answerer, steps: tuple[str, ...]) -> Told:
    """The answer with who gave it; a fallback inside this one has said so itself."""
    by = answer.served_by or member.identity
    return replace(answer, served_by=by, fallback_errors=(*steps, *answer.fallback_errors))


def _check_needed(judge: object, count: int) -> bool:
    return isinstance(judge, ChecksImages) and judge.image_check_needed(count)


def _reason(error: ImageRAGError) -> str:
    return f"{type(error).__name__}: {error}"


def _joined(errors: Sequence[ImageRAGError]) -> str:
    """One error as it is, several with their kinds, oldest first."""
    return str(errors[0]) if len(errors) == 1 else "; then ".join(map(_reason, errors))
