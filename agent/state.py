"""The state of a run: JSON scalars, lists and frozen values. No bytes, no tuples at channel level."""

import operator
from typing import Annotated, NotRequired

from typing_extensions import TypedDict  # pydantic makes no schema of typing's own before Python 3.12

from imagerag.agent.types import (
    Attempt,
    Call,
    Concept,
    Ending,
    ImageRef,
    LedgerEntry,
    Lineage,
    Query,
    Requirement,
    Search,
    Setup,
    Subject,
    UsedReference,
)


def upsert_searches(old: list[Search], new: list[Search]) -> list[Search]:
    """Merge searches by round and query: parallel searches add themselves, the shortlist rewrites them decided."""
    merged = {(search.round, search.query.by, search.query.text): search for search in [*old, *new]}
    return list(merged.values())


def keep_known(old: Ending | None, new: Ending | None) -> Ending | None:
    """How a run ends is not unsaid: two searches may fail in one step, and finish then adds when it was."""
    return new or old


class RunInput(TypedDict):
    """What a run is asked for.

    `setup` says what it was made with, so that another process can resume it; `started_at` is an ISO 8601 time;
    `continues` names the run it starts from. Whoever steers it can name library images (SHA-256) that are never to be
    used (`excluded`), and references that go with every drawing (`pinned`). `warnings` is what
    was likely to go wrong before it began.
    """

    prompt: str
    subjects: NotRequired[list[Subject]]
    initial_image: NotRequired[ImageRef | None]
    setup: NotRequired[Setup | None]
    started_at: NotRequired[str]
    continues: NotRequired[Lineage | None]
    excluded: NotRequired[list[str]]
    pinned: NotRequired[list[UsedReference]]
    warnings: NotRequired[list[str]]


class RunOutput(TypedDict):
    """What a run gives back; `best` is the index of the best attempt, None when there is no picture at all."""

    ending: Annotated[Ending | None, keep_known]
    best: int | None
    attempts: list[Attempt]


class RunState(RunInput, RunOutput):
    """Everything.

    Attributes:
        requirements: the judge's checklist, fixed by the first critique.
        concepts: what the newest attempt lacks.
        concept_tries: how often the judge was asked for them in this round.
        queries: this round's captions.
        searches: every search of the run, each candidate with what was decided about it.
        chosen: the references the next drawing takes.
    """

    requirements: list[Requirement]
    concepts: list[Concept]
    concept_tries: int
    queries: list[Query]
    searches: Annotated[list[Search], upsert_searches]
    chosen: list[UsedReference]
    ledger: list[LedgerEntry]
    calls: Annotated[list[Call], operator.add]


class RunUpdate(TypedDict, total=False):
    """What a node may return. LangGraph drops unknown keys in silence; mypy does not."""

    requirements: list[Requirement]
    attempts: list[Attempt]
    concepts: list[Concept]
    concept_tries: int
    queries: list[Query]
    searches: list[Search]
    chosen: list[UsedReference]
    ledger: list[LedgerEntry]
    calls: list[Call]
    ending: Ending | None
    best: int | None


class SearchTask(TypedDict):
    """One search of a round's fan-out.

    Attributes:
        passed_over: the library images (SHA-256) it is not to find.
        place: which of the round's searches it is, from 0, and of how many: they run at once, and share what is left
            of the run's budget.
        made: model calls the run had made before them.
        spent_usd: what those cost.
        continues: the run it starts from.
    """

    query: Query
    round: int
    passed_over: list[str]
    place: NotRequired[list[int]]
    made: NotRequired[int]
    spent_usd: NotRequired[float]
    continues: NotRequired[Lineage | None]


def newest(state: RunState) -> Attempt | None:
    """The attempt drawn last, or None before the first."""
    attempts = state.get("attempts") or []
    return attempts[-1] if attempts else None


def coming_round(state: RunState) -> int:
    """The round that the next drawing belongs to: 0 while there is no attempt."""
    last = newest(state)
    return 0 if last is None else last.round + 1


def coming_searches(state: RunState) -> list[Search]:
    """The searches made for the coming round so far."""
    return [search for search in state.get("searches") or [] if search.round == coming_round(state)]
