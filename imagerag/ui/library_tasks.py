"""Work on libraries that takes a while. It belongs to the server, not to the page that began it."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from imagerag.agent.errors import UsageError
from imagerag.formatting.interface_terms import as_commands
from imagerag.ui.followed import Followed

Kind = Literal[
    "upload", "index", "check", "calibrate", "duplicates", "captions", "verify", "repair", "optimize", "snapshot",
    "restore", "export", "remove", "unmatched", "draw",
]  # fmt: skip

KNOWN: Final = 40
"""Ended tasks that are still known, for pages that show their results."""

MOST: Final = 4
"""Tasks under way at a time."""

SKIPPED: Final = 500
"""Files that are listed by name with the reason why they were left out."""


@dataclass(eq=False, kw_only=True)
class LibraryTask(Followed):
    """One piece of work.

    Attributes:
        kind: what it does.
        library: in which library.
        done, of: how far it is; `of` is 0 where that is not known.
        skipped: (name, reason) of what was left out, the first `SKIPPED` of `skipped_count`.
        notes: what the person should know.
        result: what it found, once it has ended.
        stopped: whether a person stopped it.
    """

    kind: Kind
    library: str
    task_id: str = field(default_factory=lambda: secrets.token_hex(8))
    done: int = 0
    of: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)
    skipped_count: int = 0
    notes: list[str] = field(default_factory=list)
    result: Any = None
    stopped: bool = False
    started: float = field(default_factory=time.monotonic)
    elapsed_s: float = 0.0
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop, repr=False)

    @property
    def per_s(self) -> float:
        """How many a second so far; 0 before the first."""
        spent = self.elapsed_s if self.ended else time.monotonic() - self.started
        return self.done / spent if spent > 0 else 0.0

    @property
    def rest_s(self) -> float | None:
        """Seconds that the rest will take at this rate; None where that is not known."""
        return (self.of - self.done) / self.per_s if self.of and self.done and not self.ended else None

    def advance(self, done: int, of: int) -> None:
        """Note how far it is; any thread may."""
        self.done, self.of = done, of
        self._loop.call_soon_threadsafe(self.tell)

    def skip(self, name: str, reason: str) -> None:
        """Note what is left out, and why."""
        self.skipped_count += 1
        if len(self.skipped) < SKIPPED:
            self.skipped.append((name, as_commands(reason)))
        self.tell()

    def note(self, text: str) -> None:
        """Note what the person should know; any thread may."""
        self.notes.append(as_commands(text))
        self._loop.call_soon_threadsafe(self.tell)

    def stop(self) -> None:
        """End it; what is written stays."""
        self.stopped = True
        if self._task is not None:
            self._task.cancel()

    async def run(self, work: "Callable[[LibraryTask], Awaitable[Any]]") -> None:
        """Do the work to its end, whatever that is."""
        try:
            with self.noting_failure(f"{self.kind} of library {self.library}"):
                self.result = await work(self)
        except asyncio.CancelledError:
            self.stopped = True
        finally:
            self.end_now()

    def end_now(self) -> None:
        """Note that it has ended; also for work that was stopped before it began."""
        if not self.ended:
            self.elapsed_s = time.monotonic() - self.started
            self.ended = True
            self.tell()


class LibraryTasks:
    """The work under way on one server, and what ended lately."""

    def __init__(self) -> None:
        self._tasks: dict[str, LibraryTask] = {}

    def get(self, task_id: str) -> LibraryTask:
        """A task.

        Raises:
            UsageError: there is none of that id, or none any more.
        """
        if task_id not in self._tasks:
            raise UsageError("that has ended, and the server no longer knows it: load the page again")
        return self._tasks[task_id]

    def of_library(self, library: str) -> list[LibraryTask]:
        """Those of a library, the newest first."""
        return [task for task in reversed(self._tasks.values()) if task.library == library]

    def start(self, task: LibraryTask, work: Callable[[Any], Awaitable[Any]]) -> LibraryTask:
        """Begin.

        Raises:
            UsageError: too many are under way.
        """
        if sum(not one.ended for one in self._tasks.values()) >= MOST:
            raise UsageError(f"{MOST} pieces of work on libraries are under way: wait for one, or stop it")
        self._tasks[task.task_id] = task
        task._task = asyncio.create_task(task.run(work))
        task._task.add_done_callback(lambda _: task.end_now())
        for one in [one for one in self._tasks.values() if one.ended][:-KNOWN]:
            del self._tasks[one.task_id]
        return task

    def forget(self, task_id: str) -> None:
        """Show a task no longer, if it has ended."""
        if (task := self._tasks.get(task_id)) and task.ended:
            del self._tasks[task_id]

    async def close(self) -> None:
        """End all of them."""
        running = [task._task for task in self._tasks.values() if task._task is not None and not task.ended]
        for one in running:
            one.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*running, return_exceptions=True)
