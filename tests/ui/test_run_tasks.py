"""Runs that belong to the server of the page: stopped once or more often, they write their end."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from imagerag.graphs.runs.events import RunEvent
from imagerag.ui.run_tasks import RunTasks


async def test_a_run_that_is_stopped_twice_and_with_the_server_writes_its_end() -> None:
    begun, gate, written = asyncio.Event(), asyncio.Event(), list[str]()

    async def events() -> AsyncGenerator[RunEvent]:
        try:
            yield RunEvent(run_id="mine", sequence=0, kind="started")
            begun.set()
            await asyncio.sleep(60)
        finally:
            await gate.wait()
            written.append("its end")

    tasks = RunTasks()
    task = tasks.start("mine", events())
    await begun.wait()
    for _ in range(2):
        task.stop()
        await asyncio.sleep(0)
    closing: asyncio.Task[Any] = asyncio.create_task(tasks.close())
    await asyncio.sleep(0)
    gate.set()
    await closing
    assert written == ["its end"]
    assert (task.ended, task.stopping, tasks.active) == (True, True, [])
