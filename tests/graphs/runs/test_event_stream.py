"""A run's events are read from the generator that makes them, which is opened when the first is asked for."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import pytest

from imagerag.agent.errors import UsageError
from imagerag.graphs.runs.event_stream import EventStream
from imagerag.graphs.runs.events import RunEvent


class Run:
    def __init__(self) -> None:
        self.told: list[str] = []

    async def open(self) -> AsyncGenerator[RunEvent]:
        self.told.append("opened")
        return self._events()

    async def _events(self) -> AsyncGenerator[RunEvent]:
        try:
            for sequence in range(3):
                yield RunEvent(run_id="r", sequence=sequence, kind="progress")
        except GeneratorExit:
            self.told.append("left")
            raise
        self.told.append("ended")


async def test_it_is_opened_once_and_gives_all_events() -> None:
    run = Run()
    stream = EventStream(run.open)
    assert run.told == []
    assert [event.sequence async for event in stream] == [0, 1, 2]
    assert run.told == ["opened", "ended"]
    assert [event async for event in stream] == []


async def test_leaving_early_closes_the_run() -> None:
    run = Run()
    async with aclosing(EventStream(run.open)) as events:
        async for _ in events:
            break
    assert run.told == ["opened", "left"]


async def test_one_that_was_closed_before_its_first_event_opens_nothing() -> None:
    run = Run()
    stream = EventStream(run.open)
    await stream.aclose()
    assert [event async for event in stream] == []
    assert run.told == []


async def test_an_error_while_it_is_opened_is_raised_by_the_first_event_and_ends_it() -> None:
    async def cannot() -> Any:
        raise UsageError("no such file")

    stream = EventStream(cannot)
    with pytest.raises(UsageError, match="no such file"):
        await anext(stream)
    assert [event async for event in stream] == []


async def test_an_error_that_is_thrown_in_is_raised_where_the_run_is_followed() -> None:
    run = Run()
    stream = EventStream(run.open)
    await anext(stream)
    with pytest.raises(ValueError, match="stop"):
        await stream.athrow(ValueError("stop"))
    assert [event async for event in stream] == []
