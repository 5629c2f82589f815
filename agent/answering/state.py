"""The state of an answering thread, and what a question sets in it."""

from typing import NotRequired

from typing_extensions import TypedDict  # pydantic makes no schema of typing's own before Python 3.12

from imagerag.agent.answering.values import AskEnding, Exchange, Finding, Found, Reply
from imagerag.agent.types import Call


class AskInput(TypedDict):
    """A question. Everything that the question before it left in the thread is set anew, except `earlier`.

    `library` and `answerer` are names for the record, `started_at` is an ISO 8601 time; each has a default.
    """

    question: str
    compare: NotRequired[bool]
    library: NotRequired[str | None]
    answerer: NotRequired[str]
    started_at: NotRequired[str]


class AskState(TypedDict):
    """A thread: its current question, and those before it.

    Attributes:
        sources: what was retrieved, the accepted ones numbered and first.
        earlier: questions that have ended, oldest first; the current one joins them at its end.
        asked: how many questions the thread has had.
        run_key: tells this question from others that were asked without a thread.
    """

    question: str
    compare: bool
    library: str | None
    answerer: str
    started_at: str
    sources: list[Found]
    finding: Finding | None
    lookup: str
    threshold: float | None
    notes: list[str]
    reply: Reply | None
    without: Reply | None
    ending: AskEnding | None
    calls: list[Call]
    earlier: list[Exchange]
    asked: int
    run_key: str


class AskUpdate(TypedDict, total=False):
    """What a node may return."""

    sources: list[Found]
    finding: Finding | None
    lookup: str
    threshold: float | None
    notes: list[str]
    reply: Reply | None
    without: Reply | None
    ending: AskEnding | None
    calls: list[Call]
    earlier: list[Exchange]
    asked: int


def fresh(question: str, *, compare: bool, library: str | None, answerer: str, started_at: str) -> AskInput:
    """The input of a question."""
    return AskInput(question=question, compare=compare, library=library, answerer=answerer, started_at=started_at)
