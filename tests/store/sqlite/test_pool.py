"""One connection per event loop, for as long as anybody needs it."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from imagerag.graphs.dependencies import Dependencies
from imagerag.store.data_dir import DataDir
from imagerag.store.sqlite.pool import PerLoopResource


class Door:
    """Counts how often it is opened and closed; fails to open when told so."""

    def __init__(self) -> None:
        self.opened = self.closed = 0
        self.stuck = False

    @asynccontextmanager
    async def open(self) -> AsyncIterator[int]:
        await asyncio.sleep(0)
        if self.stuck:
            raise OSError("stuck")
        self.opened += 1
        try:
            yield self.opened
        finally:
            await asyncio.sleep(0)
            self.closed += 1


async def test_the_first_opens_and_the_last_closes() -> None:
    door = Door()
    shared = PerLoopResource(door.open)

    async def user(wait: int) -> int:
        async with shared.use() as number:
            for _ in range(wait):
                await asyncio.sleep(0)
            assert door.closed < number
            return number

    assert set(await asyncio.gather(*(user(wait) for wait in range(20)))) == {1}
    assert (door.opened, door.closed) == (1, 1)
    assert await user(0) == 2
    assert (door.opened, door.closed) == (2, 2)


async def test_one_who_comes_while_it_closes_and_one_who_is_cancelled_while_it_opens() -> None:
    door = Door()
    shared = PerLoopResource(door.open)

    async def user() -> None:
        async with shared.use():
            await asyncio.sleep(0)

    for delay in range(8):
        early, late = asyncio.create_task(user()), asyncio.create_task(user())
        for _ in range(delay):
            await asyncio.sleep(0)
        early.cancel()
        await asyncio.gather(early, late, user(), return_exceptions=True)
        assert late.exception() is None
    assert door.opened == door.closed > 0


async def test_one_that_cannot_be_opened_is_tried_again_by_the_next() -> None:
    door = Door()
    shared, door.stuck = PerLoopResource(door.open), True
    with pytest.raises(OSError, match="stuck"):
        async with shared.use():
            pass
    door.stuck = False
    async with shared.use() as number:
        assert number == 1
    assert door.closed == 1


def test_each_event_loop_has_its_own(tmp_path: Path) -> None:
    dependencies = Dependencies(DataDir(tmp_path))

    async def work() -> int:
        async with dependencies.checkpoints() as one, dependencies.checkpoints() as two, dependencies.journal():
            assert one is two
            assert await one.aget_tuple({"configurable": {"thread_id": "x"}}) is None
            return id(one.conn)

    threads = [threading.Thread(target=asyncio.run, args=(work(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    asyncio.run(work())
    assert not [thread for thread in threading.enumerate() if thread.name == "sqlite"]
