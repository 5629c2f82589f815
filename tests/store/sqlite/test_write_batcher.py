"""SQLite with group commit: nothing is lost, nothing half done, and those who wait share a commit."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from threading import Event
from typing import Any, cast

import pytest

from imagerag.store.sqlite import write_batcher
from imagerag.store.sqlite.write_batcher import WriteBatcher, open_grouped


@asynccontextmanager
async def table(path: Path) -> AsyncIterator[WriteBatcher]:
    async with open_grouped(path, tables) as grouped:
        yield grouped


def tables(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE t (n INTEGER PRIMARY KEY)")


def put(grouped: WriteBatcher, number: int, *, can_wait: bool = False) -> "asyncio.Task[object]":
    insert = "INSERT INTO t VALUES (?)"
    write = grouped.write(lambda: grouped.connection.execute(insert, (number,)).rowcount, can_wait=can_wait)
    return asyncio.ensure_future(write)


def kept(path: Path) -> list[int]:
    """What another process would find."""
    connection = sqlite3.connect(path)
    found = [row[0] for row in connection.execute("SELECT n FROM t ORDER BY n")]
    connection.close()
    return found


class Gate:
    """Holds the thread back, so that what is asked for meanwhile has to wait."""

    def __init__(self) -> None:
        self.entered, self.opened = Event(), Event()

    def work(self) -> None:
        self.entered.set()
        self.opened.wait(30)

    async def held(self, grouped: WriteBatcher) -> "asyncio.Task[None]":
        task = asyncio.ensure_future(grouped.read(self.work))
        await asyncio.to_thread(self.entered.wait, 30)
        return task


async def test_those_who_wait_share_one_commit_and_each_gets_its_own_answer(tmp_path: Path) -> None:
    async with table(tmp_path / "db") as grouped:
        told: list[str] = []
        grouped.connection.set_trace_callback(told.append)
        gate = Gate()
        held = await gate.held(grouped)
        writes = [put(grouped, number) for number in range(50)]
        count = asyncio.ensure_future(
            grouped.read(lambda: grouped.connection.execute("SELECT count(*) FROM t").fetchone()[0])
        )
        await asyncio.sleep(0)
        gate.opened.set()
        assert await asyncio.gather(*writes) == [1] * 50
        assert await count == 50
        await held
        assert told.count("COMMIT") == 1
    assert kept(tmp_path / "db") == list(range(50))


async def test_what_can_wait_shares_the_commit_of_what_follows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_batcher, "PATIENCE_S", 30.0)
    async with table(tmp_path / "db") as grouped:
        told: list[str] = []
        grouped.connection.set_trace_callback(told.append)
        first, second = put(grouped, 1, can_wait=True), put(grouped, 2, can_wait=True)
        await asyncio.sleep(0.05)
        assert not told
        assert await put(grouped, 3) == 1
        assert await asyncio.gather(first, second) == [1, 1]
        assert told.count("COMMIT") == 1
        last = put(grouped, 4, can_wait=True)  # closing does not wait for it either
        await asyncio.sleep(0)
    assert await last == 1
    assert kept(tmp_path / "db") == [1, 2, 3, 4]


async def test_what_can_wait_is_kept_though_nothing_follows(tmp_path: Path) -> None:
    async with table(tmp_path / "db") as grouped:
        assert await put(grouped, 1, can_wait=True) == 1
        assert kept(tmp_path / "db") == [1]


async def test_one_that_fails_takes_no_other_with_it(tmp_path: Path) -> None:
    async with table(tmp_path / "db") as grouped:
        gate = Gate()
        held = await gate.held(grouped)

        def half() -> None:
            grouped.connection.execute("INSERT INTO t VALUES (100)")
            raise ValueError("and no more")

        results = [put(grouped, 1), asyncio.ensure_future(grouped.write(half)), put(grouped, 1), put(grouped, 2)]
        await asyncio.sleep(0)
        gate.opened.set()
        first, second, third, fourth = await asyncio.gather(*results, return_exceptions=True)
        await held
        assert (first, fourth) == (1, 1)
        assert isinstance(second, ValueError)
        assert isinstance(third, sqlite3.IntegrityError)
        assert not grouped.connection.in_transaction
    assert kept(tmp_path / "db") == [1, 2]


async def test_one_that_is_cancelled_locks_nobody_out(tmp_path: Path) -> None:
    async with table(tmp_path / "db") as grouped:
        gate = Gate()
        held = await gate.held(grouped)
        write, other = put(grouped, 1), put(grouped, 2)
        await asyncio.sleep(0)
        write.cancel()
        gate.opened.set()
        assert await other == 1
        await held
        assert write.cancelled()
        stranger = sqlite3.connect(tmp_path / "db", timeout=0.1)
        stranger.execute("BEGIN IMMEDIATE")
        stranger.close()


async def test_what_was_asked_for_is_done_before_it_closes(tmp_path: Path) -> None:
    async with table(tmp_path / "db") as grouped:
        writes = [put(grouped, number) for number in range(20)]
        await asyncio.sleep(0)
    assert kept(tmp_path / "db") == list(range(20))
    await asyncio.gather(*writes)


async def test_a_writer_waits_for_another_process(tmp_path: Path) -> None:
    async with table(tmp_path / "db") as grouped:
        stranger = sqlite3.connect(tmp_path / "db", isolation_level=None)
        stranger.execute("BEGIN IMMEDIATE")
        waiting = put(grouped, 1)
        await asyncio.sleep(0.05)
        assert not waiting.done()
        stranger.execute("COMMIT")
        stranger.close()
        assert await waiting == 1


async def test_a_file_that_stays_locked_fails_all_who_wait_together(tmp_path: Path) -> None:
    async with table(tmp_path / "db") as grouped:
        await grouped.read(lambda: grouped.connection.execute("PRAGMA busy_timeout=200"))
        begun: list[str] = []
        grouped.connection.set_trace_callback(begun.append)
        stranger = sqlite3.connect(tmp_path / "db", isolation_level=None)
        stranger.execute("BEGIN IMMEDIATE")
        gate = Gate()
        held = await gate.held(grouped)
        waiting = [put(grouped, number) for number in range(5)]
        await asyncio.sleep(0)
        gate.opened.set()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        await held
        assert {str(error) for error in results} == {"database is locked"}
        assert begun == ["BEGIN IMMEDIATE"]
        stranger.execute("ROLLBACK")
        stranger.close()
        assert await put(grouped, 9) == 1
    assert kept(tmp_path / "db") == [9]


async def test_another_event_loop_may_use_it_too(tmp_path: Path) -> None:
    async with table(tmp_path / "db") as grouped:

        async def there() -> None:
            await asyncio.gather(*(put(grouped, number) for number in range(10, 20)))

        await asyncio.gather(asyncio.to_thread(asyncio.run, there()), *(put(grouped, number) for number in range(10)))
    assert kept(tmp_path / "db") == list(range(20))


def test_a_loop_that_ends_first_leaves_what_was_asked_for(tmp_path: Path) -> None:
    left: list[WriteBatcher] = []

    async def leave() -> None:
        opened = open_grouped(tmp_path / "db", tables)
        grouped = await opened.__aenter__()
        left.append(grouped)
        put(grouped, 1)
        await asyncio.sleep(0)

    asyncio.run(leave())
    asyncio.run(left[0].close())
    assert kept(tmp_path / "db") == [1]
    with pytest.raises(sqlite3.ProgrammingError):
        left[0].connection.execute("SELECT 1")


async def test_a_job_that_comes_after_the_end_is_refused_and_does_not_wait_for_ever(tmp_path: Path) -> None:
    async with table(tmp_path / "db") as grouped:
        await put(grouped, 1)
    with pytest.raises(RuntimeError, match="is closed"):
        await put(grouped, 2)


class FailingPragmas:
    """A connection on which modes cannot be changed, as within a transaction that could not be rolled back."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, statement: str, *values: Any) -> Any:
        if statement.startswith("PRAGMA"):
            raise sqlite3.OperationalError("Safety level may not be changed inside a transaction")
        return self._connection.execute(statement, *values)


async def test_a_connection_that_fails_answers_those_who_wait_and_those_who_come(tmp_path: Path) -> None:
    async with table(tmp_path / "db") as grouped:
        grouped.connection = cast(sqlite3.Connection, FailingPragmas(grouped.connection))
        with pytest.raises(sqlite3.OperationalError, match="Safety level"):
            await grouped.write(lambda: grouped.connection.execute("INSERT INTO t VALUES (1)"), flushed=False)
        await put(grouped, 2)
    assert kept(tmp_path / "db") == [2]
