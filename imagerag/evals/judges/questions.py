"""A question to a judge and its answer, about images of a library or generated ones."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from imagerag.agent.errors import ImageRAGError, JudgeReplyError
from imagerag.agent.ports import ImagePart, Judge
from imagerag.agent.types import SamplingParams, Verdict

Mode = Literal["fused", "stepwise"]


@dataclass(frozen=True)
class JudgeQuestion:
    """An image, a prompt, and the correct answer.

    Attributes:
        kind: group of questions that are scored together.
        image: loads the image.
        aligned: whether the image shows all that the prompt asks for.
        there: the content of the image, as text.
        missing: the missing content, as text; None where naming it is not scored.
    """

    kind: str
    prompt: str
    image: Callable[[], Awaitable[ImagePart]]
    aligned: bool
    there: str
    missing: tuple[str, ...] | None = None


@dataclass(frozen=True)
class JudgeAnswer:
    """A judge's answer; no verdict where the judge failed.

    Attributes:
        named: the concepts named as missing.
        cost_usd: US dollars of all calls; None where the price of one is not known.
        error: the first error. The verdict remains valid when only the request for the concepts failed.
    """

    verdict: Verdict | None = None
    named: tuple[str, ...] = ()
    cost_usd: float | None = None
    calls: int = 1
    error: ImageRAGError | None = None

    @property
    def aligned(self) -> bool | None:
        """Yes, no, or no answer."""
        return self.verdict.aligned if self.verdict else None

    @property
    def problem(self) -> str:
        """Class and message of the error; empty without one."""
        return f"{type(self.error).__name__}: {self.error}" if self.error else ""


async def ask(
    judge: Judge, question: JudgeQuestion, *, mode: Mode, attempt: int = 0, concepts: bool = True
) -> JudgeAnswer:
    """Request a verdict at temperature 0 and, after a no without a list, the missing concepts.

    Args:
        attempt: number of the repeat of a question.
        concepts: after a no without a list, request the missing concepts with one more call.
    """
    image, prompt = await question.image(), question.prompt
    cold = 0.0 if "temperature" in judge.honours else None
    varied = SamplingParams(
        attempt=attempt, varied_parameter="none" if cold is None else "temperature", temperature=cold
    )
    try:
        critique = await judge.critique(prompt, image, subjects=(), requirements=(), mode=mode, variation=varied)
    except ImageRAGError as error:
        return JudgeAnswer(cost_usd=_cost_of(error), error=error)
    verdict, missing_texts = critique.verdict, tuple(concept.text for concept in critique.verdict.missing)
    if not concepts or verdict.aligned is not False or missing_texts:
        return JudgeAnswer(verdict, missing_texts, critique.cost_usd, calls=critique.requests)
    try:
        more = await judge.missing_concepts(prompt, image, verdict=verdict, variation=varied)
    except ImageRAGError as error:  # the verdict stays no, even if the concepts cannot be named
        return JudgeAnswer(
            verdict, (), _sum(critique.cost_usd, _cost_of(error)), calls=critique.requests + 1, error=error
        )
    return JudgeAnswer(
        verdict,
        tuple(concept.text for concept in more.concepts),
        _sum(critique.cost_usd, more.cost_usd),
        calls=critique.requests + more.requests,
    )


def _cost_of(error: ImageRAGError) -> float | None:
    """US dollars of a failed request: as told; else 0, as in a run, unless a response could not be parsed."""
    return error.cost_usd if error.cost_usd is not None or isinstance(error, JudgeReplyError) else 0.0


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other
