"""The input of the judge for one attempt, and attempts with their verdicts."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from imagerag.agent import sent_images
from imagerag.agent.feedback import feedback_requirements
from imagerag.agent.intents import Likeness, fixed_requirements
from imagerag.agent.ports import ImagePart, Judge, capabilities_of
from imagerag.agent.state import RunState
from imagerag.agent.types import Attempt, Requirement, RunConfig, UsedReference, Verdict


@dataclass(frozen=True, kw_only=True)
class JudgeInput:
    """The images that a judge gets for an attempt.

    Attributes:
        attempt: the attempt.
        image: its image.
        shown: the references that the judge sees.
        subjects: their images.
    """

    attempt: Attempt
    image: ImagePart
    shown: list[UsedReference]
    subjects: list[ImagePart]

    @classmethod
    async def read(
        cls, judge: Judge, parts: sent_images.ImageParts, state: RunState, attempt: Attempt, config: RunConfig
    ) -> Self:
        """Read the images that the judge sees."""
        references = shown_to_judge(judge, state, attempt, config.likeness)
        image, *subjects = await asyncio.gather(parts.image(attempt.image), *map(parts.reference, references))
        return cls(attempt=attempt, image=image, shown=references, subjects=subjects)

    def of_critique(self, prompt: str, requirements: Sequence[Requirement], mode: str) -> dict[str, Any]:
        """The inputs of a critique, as the journal keeps them."""
        return {
            "prompt": prompt,
            "image": self.attempt.image.sha256,
            "subjects": [reference.image.sha256 for reference in self.shown if reference.role != "reference"],
            "requirements": [requirement.model_dump(exclude_none=True) for requirement in requirements],
            "mode": mode,
            **named_references(self.shown),
        }

    def of_missing_concepts(self, prompt: str, verdict: Verdict) -> dict[str, Any]:
        """The inputs of the request for missing concepts, as the journal keeps them."""
        return {
            "prompt": prompt,
            "image": self.attempt.image.sha256,
            "verdict": verdict.model_dump(mode="json"),
            **named_references(self.shown),
        }


def with_verdict(attempts: Sequence[Attempt], verdict: Verdict) -> list[Attempt]:
    """The attempts, the newest with its verdict."""
    return [*attempts[:-1], attempts[-1].model_copy(update={"verdict": verdict})]


def abstention(reason: str, raw: str = "") -> Verdict:
    """The verdict of a judge that could not judge."""
    return Verdict(status="abstained", aligned=None, reason=reason, raw=raw)


def shown_to_judge(judge: object, state: RunState, attempt: Attempt, likeness: Likeness) -> list[UsedReference]:
    """Images that a judge sees beside the judged one: the user's own and the references, in the order sent."""
    if not capabilities_of(judge).sees_references:
        return sent_images.subjects_of(state)
    return list(attempt.references) or sent_images.subjects_of(state, likeness)


def checklist_for_judge(
    judge: object, state: RunState, references: Sequence[UsedReference], attempt: Attempt
) -> list[Requirement]:
    """The run's checklist, before the first critique the feedback; and for a judge that sees it, the comparisons with
    what was sent."""
    checklist = state.get("requirements") or feedback_requirements(judge, state)
    return [*checklist, *(fixed_requirements(references, attempt) if capabilities_of(judge).sees_references else ())]


def named_references(references: Sequence[UsedReference]) -> dict[str, Any]:
    """Library images that a judge is shown. Named only where there is some: calls of before have no such word."""
    concepts = [[one.sent.sha256, one.concept] for one in references if one.role == "reference"]
    return {"references": concepts} if concepts else {}
