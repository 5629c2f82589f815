"""Messages of a judge's conversation: its start, and its reconstruction from earlier responses."""

from collections.abc import Sequence
from typing import Final

from imagerag.agent.errors import JudgeReplyError, RefusalError
from imagerag.agent.ports import ImagePart
from imagerag.agent.types import Concept, Verdict
from imagerag.tools.judges.vlm import prompts, response_parsing
from imagerag.tools.judges.vlm.chat_protocol import ChatImage, ChatMessage
from imagerag.tools.model_text import clean

NEXT_ANSWER: Final = "\n---\n"
"""Separator between the responses of a vote in a verdict's raw text."""


def system() -> ChatMessage:
    """The system message."""
    return ChatMessage("system", (prompts.SYSTEM,))


def user(*parts: str | ChatImage) -> ChatMessage:
    """A user message with its images."""
    return ChatMessage("user", parts)


def decided(opening: list[ChatMessage], verdict: Verdict, subjects: Sequence[ImagePart] = ()) -> list[ChatMessage]:
    """The conversation up to the verdict."""
    return [
        *joined([*opening, user(prompts.decide(0, subjects))]),
        ChatMessage("assistant", (_verdict_words(verdict),)),
    ]


def listed(before: list[ChatMessage], concepts: Sequence[Concept]) -> list[ChatMessage]:
    """The conversation up to the list of what is missing."""
    lines = "\n".join(f"{concept.kind}: {concept.text}" for concept in concepts)
    return [*before, user(prompts.list_missing(0)), ChatMessage("assistant", (lines,))]


def _verdict_words(verdict: Verdict) -> str:
    """The model's own yes or no; after votes, the first response that agrees with the majority."""
    for raw in verdict.raw.split(NEXT_ANSWER):
        try:
            if not verdict.checks and response_parsing.verdict(raw) is verdict.aligned:
                return clean(raw)
        except (JudgeReplyError, RefusalError):
            continue
    return "Yes." if verdict.aligned else "No."


def joined(turns: Sequence[ChatMessage]) -> list[ChatMessage]:
    """Merge consecutive messages of one role, because some chat templates require alternating roles."""
    alternating: list[ChatMessage] = []
    for turn in turns:
        if alternating and alternating[-1].role == turn.role:
            alternating[-1] = ChatMessage(turn.role, (*alternating[-1].parts, *turn.parts))
        else:
            alternating.append(turn)
    return alternating


def without_system(turns: Sequence[ChatMessage]) -> list[ChatMessage]:
    """The conversation for models without system messages: its text is put before the first question."""
    return joined([ChatMessage("user", turn.parts) if turn.role == "system" else turn for turn in turns])
