"""Feedback: what a person wants changed in an image, in their own words.

Every feedback stays for good: it is a requirement of kind "feedback" on the checklist of each later attempt, and models
read it after the prompt. In a model's text it is marked, so that an adapter without a model can read it back.
"""

from collections.abc import Sequence
from typing import Final

from imagerag.agent import concept_tracker
from imagerag.agent.ports import capabilities_of
from imagerag.agent.state import RunState
from imagerag.agent.types import Attempt, Concept, Requirement, TrackedConcept

MAX_FEEDBACK: Final = 1_000
"""Characters of one feedback."""

MAX_FEEDBACKS: Final = 20
"""Feedbacks of a run, those of the runs before it included."""

_HEAD: Final = "\n\nThen changed as follows. A change overrides what is above it:"
_ITEM: Final = "\n- "


def with_feedback(prompt: str, feedback: Sequence[str]) -> str:
    """The prompt and the changes to it, oldest first, as one text for a model; without feedback the prompt itself."""
    return prompt + _HEAD + "".join(_ITEM + words for words in feedback) if feedback else prompt


def split_feedback(text: str) -> tuple[str, tuple[str, ...]]:
    """The prompt and the feedback that `with_feedback` joined."""
    prompt, head, rest = text.rpartition(_HEAD)
    return (prompt, tuple(rest.split(_ITEM)[1:])) if head else (text, ())


def requested(state: RunState) -> str:
    """What a run's image must show: its prompt and the feedback."""
    return with_feedback(state["prompt"], state.get("feedback") or [])


def search_text(state: RunState) -> str:
    """The prompt and the feedback as words to search with."""
    return ", ".join([state["prompt"], *(state.get("feedback") or [])])


def feedback_requirements(judge: object, state: RunState) -> list[Requirement]:
    """The feedback as a checklist that the judge adds the prompt's own requirements to; empty where it cannot."""
    taken = capabilities_of(judge).takes_feedback
    return [Requirement(text=words, kind="feedback") for words in (state.get("feedback") or []) if taken]


def instruction(base: Attempt, concepts: Sequence[TrackedConcept], new: Sequence[str]) -> str:
    """The text with which a generator changes an image: the new feedback, and what the image lacked before.

    Args:
        base: the image's attempt.
        concepts: what the run found missing, for a judge that named it when asked.
        new: the new feedback.
    """
    verdict = base.verdict
    unmet = [check.requirement.text for check in verdict.checks if not check.met] if verdict else []
    earlier = [one.requirement.text for one in verdict.checks if one.requirement.kind == "feedback"] if verdict else []
    missing: Sequence[Concept] = verdict.missing if verdict and not verdict.aligned else ()
    if verdict and verdict.aligned is False and not missing:
        missing = [entry.concept for entry in concept_tracker.missing(concepts)]
    missing = [concept for concept in missing if concept.text not in earlier]
    content = [concept.text for concept in missing if concept.kind != "style"]
    styles = [concept.text for concept in missing if concept.kind == "style"]
    parts = [words for words in earlier if words in unmet and words not in new]
    parts += [f"also show {', '.join(content)}"] if content else []
    parts += [f"in this style: {', '.join(styles)}"] if styles else []
    return "; ".join([*parts, *new])
