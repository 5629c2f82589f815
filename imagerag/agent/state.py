"""The state of a run: JSON scalars, lists and frozen values. No bytes, no tuples at channel level."""

import operator
from typing import Annotated, Final, NotRequired

from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict  # pydantic makes no schema of typing's own before Python 3.12

from imagerag.agent.types import (
    Attempt,
    Concept,
    ImageRef,
    ModelCall,
    ParentRun,
    Query,
    Requirement,
    Revision,
    RunResult,
    RunSpec,
    Search,
    Sha256,
    SnapshotPins,
    Subject,
    TrackedConcept,
    UsedReference,
)

NESTED: Final = "|"
"""Where it is in a checkpoint's namespace, the graph runs inside another one."""


def upsert_searches(old: list[Search], new: list[Search]) -> list[Search]:
    """Merge searches by round and query: parallel searches add themselves, the shortlist rewrites them decided."""
    merged = {(search.round, search.query.by, search.query.text): search for search in [*old, *new]}
    return list(merged.values())


def add_calls(old: list[ModelCall], new: list[ModelCall]) -> list[ModelCall]:
    """Add calls. One without an answer is found in the journal by every step that looks, and is added once."""
    call_ids = {call.call_id for call in old if call.call_id}
    return [*old, *(call for call in new if call.call_id not in call_ids)]


def merge_requirements(old: RunResult | None, new: RunResult | None) -> RunResult | None:
    """Keep the first result of a run: two searches may fail in one step, and finish then adds when it was."""
    return new or old


class RunInput(TypedDict):
    """Input of a run.

    `setup` says what it was made with, so that another process can resume it; `started_at` is an ISO 8601 time;
    `parent_run` names the run it starts from. Whoever steers it can name library images (SHA-256) that are never to be
    used (`excluded_images`), and references that go with every drawing (`kept_images`). `feedback` is what they wanted
    changed in earlier images, oldest first, and `revision` the image that this run changes for it. `warnings` is what
    was likely to go wrong before it began. `edit_library` names a library image (SHA-256) that is to be edited:
    it becomes one of the `subjects`, with that intent.
    """

    prompt: str
    subjects: NotRequired[list[Subject]]
    edit_library: NotRequired[Sha256 | None]
    initial_image: NotRequired[ImageRef | None]
    setup: NotRequired[RunSpec | None]
    started_at: NotRequired[str]
    parent_run: NotRequired[ParentRun | None]
    excluded_images: NotRequired[list[Sha256]]
    kept_images: NotRequired[list[UsedReference]]
    feedback: NotRequired[list[str]]
    revision: NotRequired[Revision | None]
    warnings: NotRequired[list[str]]


class RunOutput(TypedDict):
    """Output of a run; `best` is the index of the best attempt, None when there is no image at all."""

    result: Annotated[RunResult | None, merge_requirements]
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
        judged_prompt: the prompt that the checklist and the verdicts are for.
        snapshots: of each snapshot that a server's run searches, the hash of what it holds; of others `setup` has it.
        runs: how many runs its thread has had, this one included.
        run_key: tells this run from the others of its thread.
    """

    requirements: list[Requirement]
    concepts: list[Concept]
    concept_tries: int
    queries: list[Query]
    searches: Annotated[list[Search], upsert_searches]
    chosen: list[UsedReference]
    tracked_concepts: list[TrackedConcept]
    calls: Annotated[list[ModelCall], add_calls]
    judged_prompt: str | None
    snapshots: SnapshotPins | None
    runs: Annotated[int, operator.add]
    run_key: str


@with_config(ConfigDict(extra="allow"))  # a node of the user's own may have channels of its own
class RunUpdate(TypedDict, total=False):
    """Update that a node may return. LangGraph drops unknown keys in silence; mypy does not."""

    requirements: list[Requirement]
    attempts: list[Attempt]
    concepts: list[Concept]
    concept_tries: int
    queries: list[Query]
    searches: list[Search]
    chosen: list[UsedReference]
    subjects: list[Subject]
    tracked_concepts: list[TrackedConcept]
    calls: list[ModelCall]
    judged_prompt: str
    result: RunResult | None
    best: int | None


class SearchTask(TypedDict):
    """One search of a round's fan-out.

    Attributes:
        passed_over: the library images (SHA-256) it is not to find.
        place: which of the round's searches it is, from 0, and of how many: they run at once, and share what is left
            of the run's budget.
        made: model calls the run had made before them.
        spent_usd: what those cost.
        web_bytes: that it may download from the web.
        parent_run: the run it starts from.
        started_at: when the run was started; `runs` and `run_key` tell it from the others of its thread.
    """

    query: Query
    round: int
    passed_over: list[str]
    place: NotRequired[list[int]]
    made: NotRequired[int]
    spent_usd: NotRequired[float]
    web_bytes: NotRequired[int]
    parent_run: NotRequired[ParentRun | None]
    started_at: NotRequired[str | None]
    runs: NotRequired[int]
    run_key: NotRequired[str]


def latest_attempt(state: RunState) -> Attempt | None:
    """The attempt drawn last, or None before the first."""
    attempts = state.get("attempts") or []
    return attempts[-1] if attempts else None


def next_round(state: RunState) -> int:
    """The round that the next drawing belongs to: 0 while there is no attempt."""
    last = latest_attempt(state)
    return 0 if last is None else last.round + 1


def next_searches(state: RunState) -> list[Search]:
    """The searches made for the coming round so far."""
    return [search for search in state.get("searches") or [] if search.round == next_round(state)]


def run_name(state: RunState | SearchTask, thread_id: str | None, checkpoint_ns: str) -> str:
    """Key of a run's entries in the journal: the thread's id for the first run of a thread.

    A thread's further runs, those of a graph inside another one, and those without a thread have names of their own:
    none of them is answered with what another one was told.
    """
    own = thread_id if thread_id and NESTED not in checkpoint_ns and state.get("runs", 1) <= 1 else None
    return own or state.get("run_key") or thread_id or "unnamed"
