"""SQLite with group commit, in a separate thread.

A step of a run is stored before the next one begins, so every commit is flushed to disk. Concurrent runs that wait
while one commit is flushed share the next commit. Each job switches to the thread and back once, for any number of
statements.
"""

import asyncio
import random
import sqlite3
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
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

    Jobs run in the order of submission. A job that is cancelled while it waits still runs.

    Args:
        connection: without implicit transactions (`isolation_level=None`), and for use in another thread.
        path: the database file, for messages.
        patience_s: time in seconds for which a job is retried while another process locks the file, beyond SQLite's
            busy timeout.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path = Path(), *, patience_s: float = 0.0) -> None:
        self.connection = connection
        self.path, self.patience_s = path, patience_s
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._closed = False
        self._thread = Thread(target=self._serve, name="sqlite", daemon=True)
        self._thread.start()

    def read(self, work: Callable[[], T]) -> Coroutine[Any, Any, T]:
        """Run a read-only job on the connection and return its result."""
        return self._do(work, writes=False)

    def write(self, work: Callable[[], T], *, can_wait: bool = False, flushed: bool = True) -> Coroutine[Any, Any, T]:
        """Run a job and return its result once its writes are durable. It may run twice, with the first try rolled
        back.

        Args:
            work: the job, called with the connection.
            can_wait: delay the commit, to share that of another job which follows soon.
            flushed: the write survives a power cut; otherwise it survives only the end of this process, until the next
                flushed commit writes it to disk too.

        Raises:
            StorageError: the disk is full or read-only, or another process kept the file locked for longer than
                `patience_s`; nothing of it was kept.
            DamagedFileError: the file is not what it was.
            Exception: the exception of `work` or the commit; nothing was stored.
        """
        return self._do(work, writes=True, can_wait=can_wait, flushed=flushed)

    async def close(self) -> None:
        """Finish all submitted jobs, close the connection and end the thread."""
        self._closed = True
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)

    async def _do(self, work: Callable[[], T], *, writes: bool, can_wait: bool = False, flushed: bool = True) -> T:
        loop, give_up = asyncio.get_running_loop(), time.monotonic() + self.patience_s
        while True:
            if self._closed:  # no thread is left to answer
                raise RuntimeError(f"{self.path} is closed")
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
            batch = [job for job in jobs if job is not None]
            results: defaultdict[asyncio.AbstractEventLoop, list[tuple[_Job, Any]]] = defaultdict(list)
            for job, result in zip(batch, self._answers(batch), strict=True):
                results[job.answer.get_loop()].append((job, result))
            for loop, theirs in results.items():
                with suppress(RuntimeError):  # the loop is closed, so no coroutine waits for the result
                    loop.call_soon_threadsafe(_deliver, theirs)
        self.connection.close()

    def _next(self) -> list[_Job | None]:
        """All submitted jobs; if all of them can wait, also those that follow soon."""
        jobs, job = [], self._jobs.get()
        until = time.monotonic() + PATIENCE_S
        with suppress(Empty):
            while True:
                jobs.append(job)
                if job is None or not job.can_wait:
                    until = 0.0
                remaining = until - time.monotonic()
                job = self._jobs.get(timeout=remaining) if remaining > 0 else self._jobs.get_nowait()
        return jobs

    def _answers(self, jobs: list[_Job]) -> list[Any]:
        """Results of all jobs; an exception of the connection itself is the result of each, and ends no thread."""
        try:
            return self._together(jobs)
        except BaseException as error:
            return [_Failed(error)] * len(jobs)

    def _together(self, jobs: list[_Job]) -> list[Any]:
        """Run all jobs in one transaction. If one fails, run each in its own; the result of a failed job is its
        exception."""
        unflushed = any(job.writes for job in jobs) and not any(job.writes and job.flushed for job in jobs)
        if unflushed:  # after the commit the operating system holds the data, which survives the end of this process
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
        except sqlite3.Error as error:  # another process locks the file: all jobs have waited together
            return [_Failed(error)] * len(jobs)
        try:
            results = [job.work() for job in jobs]
            if self.connection.in_transaction:
                self.connection.execute("COMMIT")
        except BaseException as error:
            with suppress(sqlite3.Error):  # SQLite has rolled back itself when the disk is full
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
            return [_Failed(error)] if len(jobs) == 1 else [result for job in jobs for result in self._together([job])]
        return results


@dataclass(frozen=True)
class _Failed:
    error: BaseException


def _deliver(results: list[tuple[_Job, Any]]) -> None:
    for job, result in results:
        if job.answer.done():
            continue  # the caller was cancelled
        if isinstance(result, _Failed):
            job.answer.set_exception(result.error)
        else:
            job.answer.set_result(result)


@asynccontextmanager
async def open_grouped(
    path: Path,
    make: Callable[[sqlite3.Connection], object],
    *,
    upgrade: Callable[[sqlite3.Connection], object] = lambda connection: None,
    patience_s: float = 0.0,
) -> AsyncIterator[WriteBatcher]:
    """Open the SQLite file at `path`, in WAL mode with every commit flushed.

    Several processes may have it open: readers never wait, writers wait for each other for up to 30 s.

    Args:
        path: the file.
        make: creates the tables, if the file is missing.
        upgrade: brings the tables of an earlier version up to date; it may run twice.
        patience_s: see `WriteBatcher`.

    Raises:
        StorageError: the file can be neither opened nor created.
        DamagedFileError: the file is damaged.
    """
    # It makes folders and files, which is not for an event loop.
    connection = await asyncio.to_thread(_open, path, make, upgrade)
    grouped = WriteBatcher(connection, path, patience_s=patience_s)
    try:
        yield grouped
    finally:
        await asyncio.shield(grouped.close())


def _open(
    path: Path, make: Callable[[sqlite3.Connection], object], upgrade: Callable[[sqlite3.Connection], object]
) -> sqlite3.Connection:
    create_tables(path, make)
    connection = connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        with storage_errors(path):
            _once_unlocked(partial(_set_modes, connection))
            _once_unlocked(partial(upgrade, connection))
    except BaseException:
        connection.close()
        raise
    return connection


def _set_modes(connection: sqlite3.Connection) -> None:
    """WAL, as a file of an earlier version may not be in it yet, and every commit flushed.

    FULL: a step costs seconds and money, and responses are paid for; with NORMAL a power cut could undo a commit that
    was reported as durable.
    """
    connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL")


def _once_unlocked(work: Callable[[], object]) -> None:
    """Do something with a file as soon as no other process locks it, where SQLite's busy timeout does not help."""
    give_up = time.monotonic() + BUSY_S
    while True:
        try:
            work()
        except sqlite3.OperationalError as error:
            check_locked(error, give_up)
            time.sleep(random.uniform(0.01, 0.1))
        else:
            return
