"""How a run stands, as its page shows it: from its record, and from what makes it, here or elsewhere."""

from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from imagerag.agent.errors import UnknownRunError
from imagerag.agent.retrieval.search_queries import WEB, names_of
from imagerag.agent.run_record import RunRecord
from imagerag.agent.types import BUILT_IN_LIBRARY, Candidate, Search
from imagerag.graphs.configuration.trust_policy import is_plain_library
from imagerag.store.library.names import is_snapshot
from imagerag.ui.run_tasks import RunTask
from imagerag.ui.state import UiState

OWN: Final = "my-images"
"""Name of the library that is made where a run has none that can be added to."""


class Stage(StrEnum):
    """The stage of a run.

    `LOADING`: begun here, models are loaded; `REFUSED`: it could not begin; `HERE`, `ELSEWHERE`: under way, in this
    server or in another process; `STOPPED`: in the middle, nobody makes it; `WAITING` for a choice; `ENDED`.
    """

    LOADING = "loading"
    REFUSED = "refused"
    HERE = "here"
    ELSEWHERE = "elsewhere"
    STOPPED = "stopped"
    WAITING = "waiting"
    ENDED = "ended"


@dataclass(frozen=True)
class RunView:
    """One run, at one moment.

    Attributes:
        record: None for as long as there is none.
        task: what makes it here, or made it a while ago.
    """

    run_id: str
    prompt: str
    stage: Stage
    record: RunRecord | None = None
    task: RunTask | None = None

    @property
    def is_live(self) -> bool:
        """Whether it changes without anybody doing something on its page."""
        return self.stage in (Stage.LOADING, Stage.HERE, Stage.ELSEWHERE)


async def run_view(state: UiState, run_id: str) -> RunView:
    """How a run stands.

    Raises:
        UnknownRunError: no such run.
    """
    task = state.tasks.get(run_id)
    try:
        record = await state.rag.runs.get(run_id)
    except UnknownRunError:
        if task is None:
            raise
        return RunView(run_id, task.prompt, Stage.REFUSED if task.ended else Stage.LOADING, task=task)
    task = task or state.tasks.get(record.run_id)
    prompt = record.prompt or (task.prompt if task else "")  # it is listed before its first checkpoint is written
    return RunView(record.run_id, prompt, await _stage(state, record, task), record, task)


async def _stage(state: UiState, record: RunRecord, task: RunTask | None) -> Stage:
    if task is not None and not task.ended:
        return Stage.HERE
    if record.status == "ended":
        return Stage.ENDED
    if record.status == "interrupted":
        return Stage.WAITING
    if await state.rag.runs.is_under_way(record.run_id):
        return Stage.ELSEWHERE
    # It may have ended between the two looks.
    with suppress(UnknownRunError):
        again = await state.rag.runs.get(record.run_id)
        return {"ended": Stage.ENDED, "interrupted": Stage.WAITING}.get(again.status, Stage.STOPPED)
    return Stage.STOPPED


@dataclass(frozen=True)
class Offer:
    """A candidate of a run that waits for a choice, with the search that found it."""

    number: int
    concept: str
    candidate: Candidate
    search: Search


def offers(record: RunRecord) -> list[Offer]:
    """The candidates that a run offers, numbered as in its question."""
    question = record.question or {}
    numbers = {one["id"]: (one["number"], one["concept"]) for one in question.get("candidates", ())}
    found: dict[str, Offer] = {}
    for search in record.searches:
        for candidate in search.candidates:
            sha256 = candidate.image.sha256
            if candidate.decision == "offered" and sha256 in numbers:
                number, concept = numbers[sha256]
                found[sha256] = Offer(number, concept, candidate, search)
    return sorted(found.values(), key=lambda one: one.number)


@dataclass(frozen=True)
class Unmatched:
    """Something that a run searched for, and no image passed.

    Attributes:
        caption: what was searched with last.
    """

    concept: str
    caption: str


def unmatched(record: RunRecord) -> list[Unmatched]:
    """What a run did not find in the library, once each, in the words it was first named with."""
    passed = {(one.round, one.query.concept.text) for one in record.searches if _has_passed(one)}
    # A round that finds nothing names the same things in other words, and searches for those.
    reworded = {one.round for one in record.searches if one.query.ask and _has_passed(one)}
    found = {
        one.query.concept.text: Unmatched(one.query.concept.text, one.query.text)
        for one in record.searches
        if one.query.by != "prompt"
        and not one.query.ask
        and one.round not in reworded
        and (one.round, one.query.concept.text) not in passed
    }
    return [one for concept, one in found.items() if concept not in {text for _, text in passed}]


def _has_passed(search: Search) -> bool:
    return any(candidate.passed for candidate in search.candidates)


def library_to_add_to(record: RunRecord) -> str:
    """The first of a run's libraries that can be added to; `OWN` where there is none."""
    names = names_of(record.setup.library) if record.setup and record.setup.library else ()
    return next(filter(takes_images, names), OWN)


def takes_images(name: str) -> bool:
    """Whether images can be added to a library of this name."""
    return name != BUILT_IN_LIBRARY and is_plain_library(name) and not is_snapshot(name) and not name.startswith(WEB)
