"""The events of a run for a browser, as server-sent events. They say that something changed; the page asks for what."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final

from imagerag.agent.errors import UnknownRunError
from imagerag.ui.run_tasks import RunTask
from imagerag.ui.run_view import RunView, Stage, run_view
from imagerag.ui.state import UiState

BEAT_S: Final = 10.0
POLL_S: Final = 1.0
"""How often a run is looked at that nobody makes here."""

Event = dict[str, str]


async def run_events(state: UiState, run_id: str) -> AsyncIterator[Event]:
    """`{"event": "change" | "progress" | "ended", "data": JSON}` until the run has ended.

    A run that waits, or was stopped, is followed too: another tab or another process may go on with it.
    """
    while True:
        task = state.tasks.get(run_id)
        if task is not None and not task.ended:
            async for event in _of_task(task):
                yield event
        try:
            view = await run_view(state, run_id)
        except UnknownRunError:
            break  # it was deleted, or ended before it was on the list
        if view.stage in (Stage.ENDED, Stage.REFUSED):
            break
        if not view.is_live or view.stage is Stage.ELSEWHERE:
            yield _event("change")
            async for event in _of_record(state, view):
                yield event
    yield _event("ended")


async def _of_task(task: RunTask) -> AsyncIterator[Event]:
    seen = -1
    async for changes in task.follow(beat_s=BEAT_S):
        progress = task.progress
        if progress is None or task.stages != seen:  # several changes may be told at once
            seen = task.stages
            yield _event("change", changes=changes)
        if progress is not None:
            image = f"/images/{task.partial.sha256}?side=1024" if task.partial else None
            yield _event("progress", changes=changes, step=progress.step, of=progress.of, image=image)


async def _of_record(state: UiState, view: RunView) -> AsyncIterator[Event]:
    """Of a run that nobody makes here: its record, looked at now and then, until it is made here or its stage is
    another."""
    seen = _mark(view)
    with suppress(UnknownRunError):
        while True:
            await asyncio.sleep(POLL_S)
            task = state.tasks.get(view.run_id)
            if task is not None and not task.ended:
                return
            now = await run_view(state, view.run_id)
            if now.stage is not view.stage:
                return
            if _mark(now) != seen:
                seen = _mark(now)
                yield _event("change")


def _mark(view: RunView) -> tuple[int, ...]:
    record = view.record
    return () if record is None else (len(record.call_log), len(record.searches), len(record.attempts))


def _event(name: str, **data: object) -> Event:
    return {"event": name, "data": json.dumps(data)}
