"""Records of runs, read from their checkpoints, and their lines in the list of runs."""

import asyncio
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

from imagerag.agent.calls.pending_calls import unrecorded_calls
from imagerag.agent.errors import ImageRAGError, RunStateError, UnknownRunError
from imagerag.agent.run_call import LONGEST_PROMPT
from imagerag.agent.run_record import RunRecord, run_record
from imagerag.agent.state import RunState, run_name
from imagerag.agent.types import Outcome
from imagerag.formatting.interface_terms import PROMPT, python_call
from imagerag.graphs.dependencies import Dependencies
from imagerag.graphs.runs.run_snapshot import RunSnapshot, read_snapshot
from imagerag.store.file_lock import is_held, is_locked, run_lock_off_loop, under_way
from imagerag.store.run_index import RunEntry


def new_run_id() -> str:
    """An id that sorts by time and is short enough to type the start of."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:6]}"


def journal_name(values: Mapping[str, Any], run_id: str) -> str:
    """The name under which the journal keeps the calls of a run in this state."""
    return run_name(cast(RunState, values), run_id, "")


async def read_record(dependencies: Dependencies, run_id: str) -> RunRecord:
    """The record of a run in any state.

    Raises:
        UnknownRunError: no such run.
    """
    standing = await with_pending_calls(dependencies, await read_standing(dependencies, run_id))
    record, lock = record_of(dependencies, standing), dependencies.home.lock(run_id)
    if record.status == "running" and await asyncio.to_thread(is_held, lock):
        return record.model_copy(update={"next_steps": [under_way(lock, run_id)]})
    return record


async def read_standing(dependencies: Dependencies, run_id: str) -> RunSnapshot:
    """Snapshot of a run.

    Raises:
        UnknownRunError: no run of that id, or one that has made no step; the message says which.
        RunStateError: an earlier version of imagerag made it.
        DamagedFileError: its steps cannot be read.
    """
    try:
        return await read_snapshot(dependencies, run_id)
    except UnknownRunError:
        entry = await dependencies.runs.get(run_id)
        if entry.run_id != run_id:
            raise
        raise UnknownRunError(await asyncio.to_thread(_without_steps, dependencies, entry)) from None


def _without_steps(dependencies: Dependencies, entry: RunEntry) -> str:
    """Why a run on the list has no steps, and what to do."""
    home, run_id = dependencies.home, entry.run_id
    if is_held(home.lock(run_id)):
        return f"{under_way(home.lock(run_id), run_id)}; it has made no step yet"
    remove = f"or remove it from the list: {python_call('runs.remove', run_id)}"
    if never_began(entry):
        again = python_call("generate", PROMPT if len(entry.prompt) > LONGEST_PROMPT else entry.prompt)
        return (
            f"run {run_id} was stopped before its first step, and there is nothing to show or resume. Begin anew: "
            f"{again}, {remove}"
        )
    return (
        f"run {run_id} is on the list, but {home.checkpoints} has no step of it: that file is not the one it was "
        f"(imagerag doctor checks it), {remove}"
    )


async def check_left(dependencies: Dependencies, standing: RunSnapshot) -> None:
    """See that no process makes an unfinished run.

    Raises:
        RunStateError: one does; the message names it.
    """
    lock = dependencies.home.lock(standing.run_id)
    if not standing.question and await asyncio.to_thread(is_held, lock):
        raise RunStateError(under_way(lock, standing.run_id))


def never_began(entry: RunEntry) -> bool:
    """Whether a run was stopped before its first step, if there is no step of it."""
    return not entry.calls and entry.outcome in (None, Outcome.CANCELLED)


def record_of(dependencies: Dependencies, standing: RunSnapshot) -> RunRecord:
    """The record of a run from its state, with the path of its image."""
    record = run_record(standing.run_id, standing.values, question=standing.question)
    if record.image is None:
        return record
    path = str(dependencies.blobs.path(record.image.sha256))
    return record.model_copy(update={"image": record.image.model_copy(update={"path": path})})


async def with_pending_calls(dependencies: Dependencies, standing: RunSnapshot) -> RunSnapshot:
    """Add the calls of an unfinished run that are in the journal and not yet in its state."""
    values = standing.values
    if values.get("result") or not dependencies.home.store.exists():
        return standing
    under_way, name = is_locked(dependencies.home.lock(standing.run_id)), journal_name(values, standing.run_id)
    async with dependencies.journal() as journal:
        calls = await unrecorded_calls(journal, name, values.get("calls") or [], skip_under_way=under_way)
    return replace(standing, values={**values, "calls": [*(values.get("calls") or []), *calls]})


async def relist_run(dependencies: Dependencies, run_id: str) -> None:
    """Update the list of runs with a run that another process made, such as a server.

    Raises:
        UnknownRunError: no such run.
    """
    record = await read_record(dependencies, run_id)
    created = datetime.fromisoformat(record.started_at) if record.started_at else None
    await list_record(dependencies, record, created=created)


async def relist_left(dependencies: Dependencies, run_id: str) -> None:
    """Correct the line of a run whose process was killed before its first step, which ends it, or after its last one
    and before that was listed.

    A run that is being made or removed is left to whoever does so; a home that cannot be written stays as it is.
    """
    with suppress(ImageRAGError):
        async with run_lock_off_loop(dependencies.home.lock(run_id), run_id):
            entry = await dependencies.runs.get(run_id)
            if entry.run_id != run_id:
                return
            try:
                standing = await read_snapshot(dependencies, run_id)
            except UnknownRunError:
                if entry.status == "running" and dependencies.home.checkpoints.exists():
                    await list_cancelled(dependencies, entry)
                return
            record = record_of(dependencies, await with_pending_calls(dependencies, standing))
            if record.status not in (entry.status, "running"):
                await list_record(dependencies, record)


async def list_cancelled(
    dependencies: Dependencies, entry: RunEntry, *, cost_usd: float | None = None, calls: int | None = None
) -> None:
    """Write the line of a run that was stopped before its first step."""
    await dependencies.runs.upsert(
        entry.run_id,
        status="ended",
        prompt=entry.prompt,
        outcome=Outcome.CANCELLED,
        library=entry.library,
        parent_run=entry.parent_run,
        cost_usd=cost_usd,
        calls=calls,
    )


async def list_record(dependencies: Dependencies, record: RunRecord, *, created: datetime | None = None) -> None:
    """Write a run's line in the list of runs."""
    await dependencies.runs.upsert(
        record.run_id,
        status=record.status,
        prompt=record.prompt,
        outcome=record.outcome,
        library=record.setup.library if record.setup else None,
        score=_score(record),
        cost_usd=record.cost_usd,
        calls=sum(record.calls.values()),
        parent_run=record.parent_run.run_id if record.parent_run else None,
        image=record.image.sha256 if record.image else None,
        created=created,
    )


def _score(record: RunRecord) -> float | None:
    if record.best_attempt is None:
        return None
    verdict = record.attempts[record.best_attempt].verdict
    return verdict.score if verdict else None
