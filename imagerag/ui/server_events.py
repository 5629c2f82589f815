"""The events of a run for a browser, as server-sent events. They say that something changed; the page asks for what."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Final

from imagerag.ui.run_tasks import RunTask
from imagerag.ui.state import UiState

BEAT_S: Final = 10.0
POLL_S: Final = 1.0
"""How often a run is looked at that another process makes."""


async def run_events(state: UiState, run_id: str) -> AsyncIterator[dict[str, str]]:
    """`{"event": "change" | "progress" | "ended", "data": JSON}` until the run has ended or waits for a choice."""
    task = state.tasks.get(run_id)
    async for event in _of_task(task) if task is not None else _of_record(state, run_id):
        yield event


async def _of_task(task: RunTask) -> AsyncIterator[dict[str, str]]:
    async for changes in task.follow(beat_s=BEAT_S):
        progress = task.progress
        if progress is None:
            yield {"event": "ended" if task.ended else "change", "data": json.dumps({"changes": changes})}
        else:
            image = f"/images/{progress.image.sha256}?side=1024" if progress.image else None
            data = {"changes": changes, "node": task.node, "step": progress.step, "of": progress.of, "image": image}
            yield {"event": "progress", "data": json.dumps(data)}


async def _of_record(state: UiState, run_id: str) -> AsyncIterator[dict[str, str]]:
    """Of a run that another process makes, or that nobody makes any more: its record, looked at now and then."""
    seen = ""
    while True:
        record = await state.rag.runs.get(run_id)
        now = f"{record.status} {len(record.call_log)} {len(record.searches)} {len(record.attempts)}"
        if record.status != "running":
            yield {"event": "ended", "data": "{}"}
            return
        if now != seen:
            seen = now
            yield {"event": "change", "data": "{}"}
        await asyncio.sleep(POLL_S)
