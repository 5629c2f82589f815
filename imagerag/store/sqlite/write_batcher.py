"""SQLite with group commit, in a thread of its own.

A step of a run is kept before the next one begins, so every commit is flushed to the disk. Of many runs at once, those
that wait while one commit is flushed share the next; and each crosses to the thread and back once, however many
statements it takes.
"""

import asyncio
import random
import sqlite3
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Final, TypeVar

from imagerag.store.sqlite.connection import BUSY_S, check_locked, connect, create_tables
from imagerag.store.storage_errors import storage_errors

T = TypeVar("T")

PATIENCE_S: Final = 0.02
"""How long work that can wait does so."""


@dataclass(frozen=True)
class _Job:
    work: Callable[[], Any]
    writes: bool
    can_wait: bool
    flushed: bool
    answer: "asyncio.Future[Any]"


class WriteBatcher:
    """One SQLite connection, for any number of coroutines, in any event loop.

    Work is done in the order it is asked for. Work that is cancelled while it waits is done all the same.

    Args:
        connection: without implicit transactions (`isolation_level=None`), and for use in another thread.
        path: its file, for messages.
        patience_s: how long work is tried again while another process holds the file, beyond SQLite's busy timeout.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path = Path(), *, patience_s: float = 0.0) -> None:
        self.connection = connection
        self.path, self.patience_s = path, patience_s
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._thread = Thread(target=self._serve, name="sqlite", daemon=True)
        self._thread.start()

    def read(self, work: Callable[[], T]) -> Coroutine[Any, Any, T]:
        """What `work` gives; it uses the connection, and changes nothing."""
        return self._do(work, writes=False)

    def write(self, work: Callable[[], T], *, can_wait: bool = False, flushed: bool = True) -> Coroutine[Any, Any, T]:
        """What `work` gives, once what it wrote is durable. It may be done twice, the first time being undone.

        Args:
            work: uses the connection.
            can_wait: other work is about to follow whose commit it is to share, instead of one of its own before.
            flushed: it outlives a power cut; without, only the end of this process, whatever ends it, until the next
                commit that is flushed takes it to the disk too.

        Raises:
            StorageError: the disk is full or read-only, or another process kept the file locked for longer than
                `patience_s`; nothing of it was kept.
            DamagedFileError: the file is not what it was.
            Exception: whatever `work` or the commit raised; nothing of it was kept.
        """
        return self._do(work, writes=True, can_wait=can_wait, flushed=flushed)

    async def close(self) -> None:
        """Do what was asked for, close the connection and end the thread."""
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)

    async def _do(self, work: Callable[[], T], *, writes: bool, can_wait: bool = False, flushed: bool = True) -> T:
        loop, give_up = asyncio.get_running_loop(), time.monotonic() + self.patience_s
        while True:
            answer: asyncio.Future[T] = loop.create_future()
            self._jobs.put(_Job(work, writes, can_wait, flushed, answer))
            try:
                with storage_errors(self.path):
                    return await answer
            except sqlite3.OperationalError as error:
                if not self.patience_s:
                    raise
                check_locked(error, give_up)  # SQLite's busy timeout does not cover every lock
            await asyncio.sleep(random.uniform(0.01, 0.1))

    def _serve(self) -> None:
        closing = False
        while not closing:
            jobs = self._next()
            closing = None in jobs
            asked = [job for job in jobs if job is not None]
            done: defaultdict[asyncio.AbstractEventLoop, list[tuple[_Job, Any]]] = defaultdict(list)
            for job, result in zip(asked, self._together(asked), strict=True):
                done[job.answer.get_loop()].append((job, result))
            for loop, theirs in done.items():
                with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                    loop.call_soon_threadsafe(_deliver, theirs)
        self.connection.close()

    def _next(self) -> list[_Job | None]:
        """All that is asked for by now; where all of it can wait, what follows it soon as well."""
        jobs, job = [], self._jobs.get()
        until = time.monotonic() + PATIENCE_S
        with suppress(Empty):
            while True:
                jobs.append(job)
                if job is None or not job.can_wait:
                    until = 0.0
                left = until - time.monotonic()
                job = self._jobs.get(timeout=left) if left > 0 else self._jobs.get_nowait()
        return jobs

    def _together(self, jobs: list[_Job]) -> list[Any]:
        """Do them in one transaction; when one of them fails, each in its own. A failure stands for its result."""
        unflushed = any(job.writes for job in jobs) and not any(job.writes and job.flushed for job in jobs)
        if unflushed:  # the system has it at the commit, and no end of this process takes it back
            self.connection.execute("PRAGMA synchronous=NORMAL")
        try:
            return self._committed(jobs)
        finally:
            if unflushed:
                self.connection.execute("PRAGMA synchronous=FULL")

    def _committed(self, jobs: list[_Job]) -> list[Any]:
        try:
            if any(job.writes for job in jobs):
                self.connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:  # another process keeps the file: they have waited for it together
            return [_Failed(error)] * len(jobs)
        try:
            results = [job.work() for job in jobs]
            if self.connection.in_transaction:
                self.connection.execute("COMMIT")
        except BaseException as error:
            with suppress(sqlite3.Error):  # of a full disk SQLite has rolled back itself
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
            return [_Failed(error)] if len(jobs) == 1 else [result for job in jobs for result in self._together([job])]
        return results


@dataclass(frozen=True)
class _Failed:
    error: BaseException


def _deliver(done: list[tuple[_Job, Any]]) -> None:
    for job, result in done:
        if job.answer.done():
            continue  # whoever asked was cancelled
        if isinstance(result, _Failed):
            job.answer.set_exception(result.error)
        else:
            job.answer.set_result(result)


@asynccontextmanager
async def open_grouped(
    path: Path, make: Callable[[sqlite3.Connection], object], *, patience_s: float = 0.0
) -> AsyncIterator[WriteBatcher]:
    """Open the SQLite file at `path`, in WAL mode with every commit flushed.

    Several processes may have it open: readers never wait, writers wait for each other for up to 30 s.

    Args:
        path: the file.
        make: makes its tables, when there is no such file.
        patience_s: see `WriteBatcher`.

    Raises:
        StorageError: it can be neither opened nor made.
        DamagedFileError: it is not what it was.
    """
    connection = await asyncio.to_thread(_opened, path, make)  # makes folders and files, which is not for an event loop
    grouped = WriteBatcher(connection, path, patience_s=BUSY_S)
    try:
        # A file of an earlier version may not be in WAL mode yet. FULL: a step costs seconds and money, and an answer
        # is paid for; with NORMAL a power cut could take back what was said to be kept.
        await grouped.read(lambda: connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL"))
        grouped.patience_s = patience_s
        yield grouped
    finally:
        await asyncio.shield(grouped.close())


def _opened(path: Path, make: Callable[[sqlite3.Connection], object]) -> sqlite3.Connection:
    create_tables(path, make)
    return connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
