"""Runs that belong to the server of the page: stopped once or more often, they write their end."""

import asyncio
from collections.abc import AsyncGenerator
from types import SimpleNamespace
from typing import Any

from imagerag.agent.types import Progress
from imagerag.graphs.runs.events import RunEvent
from imagerag.ui.run_tasks import RunTasks
from imagerag.ui.server_events import run_events


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


async def test_a_page_hears_of_what_changed_while_it_did_not_listen() -> None:
    """Several changes may come between two looks, of which the last is the progress of a drawing."""
    going_on = asyncio.Semaphore(0)
    kinds = ("started", "progress"), ("progress",), ("step", "progress"), ("progress",)

    async def events() -> AsyncGenerator[RunEvent]:
        for several in kinds:
            for kind in several:
                yield RunEvent(run_id="mine", sequence=0, kind=kind, node="draw", progress=Progress(step=1, of=2))
            await going_on.acquire()
        await asyncio.sleep(60)

    state: Any = SimpleNamespace(tasks=RunTasks())
    task = state.tasks.start("mine", events())
    await asyncio.sleep(0)
    following = run_events(state, "mine")
    for expected in (("change", "progress"), ("progress",), ("change", "progress"), ("progress",)):
        told = [(await anext(following))["event"] for _ in expected]
        assert tuple(told) == expected
        going_on.release()
        await asyncio.sleep(0)
    task.stop()
    assert (await anext(following))["event"] == "change", "its page says that it is being stopped"
    await state.tasks.close()
