"""Runs that belong to the server and not to the page that started them: a page only follows, and can be closed."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from imagerag.agent.errors import UsageError
from imagerag.agent.routing import NEXT
from imagerag.agent.types import ImageRef, Progress
from imagerag.ui.followed import Followed

if TYPE_CHECKING:
    from imagerag.graphs.runs.events import RunEvent

KNOWN: Final = 200
"""Ended runs that are still known, for pages that have not heard of their end."""

MOST: Final = 16
"""Runs under way at a time."""


@dataclass(eq=False, kw_only=True)
class RunTask(Followed):
    """One run that is under way here; one that waits for a choice has ended.

    Attributes:
        run_id: the run.
        prompt: what it draws, for as long as it has no record.
        steps: the nodes that finished, in their order.
        node: the node that draws, or finished last.
        progress: how far the drawing is that is being made; None between drawings.
        stages: how many times more has changed than the progress of a drawing.
        partial: the last unfinished image of that drawing.
        warnings: what is likely to go wrong.
        stopping: whether somebody stopped it.
    """

    run_id: str
    prompt: str = ""
    steps: list[str] = field(default_factory=list)
    node: str = ""
    progress: Progress | None = None
    stages: int = 0
    partial: ImageRef | None = None
    warnings: tuple[str, ...] = ()
    stopping: bool = False

    def stop(self) -> None:
        """End the run as cancelled; its record is written. A second time does nothing."""
        if self._task is not None and not self.ended and not self.stopping:
            self.stopping = True
            self.stages += 1
            self._task.cancel()
            self.tell()

    @property
    def now(self) -> str:
        """The node that is at work; empty where only its end will say which it is."""
        return self.node if self.progress else NEXT.get(self.node, "")

    @property
    def failed_to_begin(self) -> bool:
        """Whether it was refused before it was on the list."""
        return bool(self.error) and self.changes == 1

    async def wait_until_listed(self, *, within_s: float | None = None) -> None:
        """Wait until the run is on the list, or has failed to begin; a model that is loaded first takes a while.

        Raises:
            UsageError: it could not begin.
        """
        await self.change(0, within_s=within_s)
        if self.failed_to_begin:
            raise UsageError(self.error)

    async def _run(self, events: AsyncGenerator["RunEvent"]) -> None:
        # A run that is cancelled has written its end.
        with self.noting_failure(f"run {self.run_id}"), suppress(asyncio.CancelledError):
            async with aclosing(events) as stream:
                async for event in stream:
                    if event.kind != "progress" or self.progress is None:
                        self.stages += 1
                    self.progress = event.progress if event.kind == "progress" else None
                    self.partial = (self.progress.image or self.partial) if self.progress else None
                    self.node = event.node or self.node
                    if event.kind == "step":
                        self.steps.append(event.node)
                    self.warnings = event.warnings or self.warnings
                    self.ended = event.kind in ("waiting", "ended")
                    self.tell()


class RunTasks:
    """The runs under way on one server."""

    def __init__(self) -> None:
        self._tasks: dict[str, RunTask] = {}

    @property
    def active(self) -> list[RunTask]:
        """Those that have not ended."""
        return [task for task in self._tasks.values() if not task.ended]

    def get(self, run_id: str) -> RunTask | None:
        """A run that was started here, under way or ended a while ago."""
        return self._tasks.get(run_id)

    def start(self, run_id: str, events: AsyncGenerator["RunEvent"], *, prompt: str = "") -> RunTask:
        """Follow a run to its end, whoever looks.

        Raises:
            UsageError: too many are under way, or this one is.
        """
        active = self.active
        if len(active) >= MOST:
            raise UsageError(f"{len(active)} runs are under way: wait for one of them, or stop one")
        if any(task.run_id == run_id for task in active):
            raise UsageError(f"run {run_id} is under way")
        task = RunTask(run_id=run_id, prompt=prompt)
        self._tasks.pop(run_id, None)
        self._tasks[run_id] = task
        task._task = asyncio.create_task(task._run(events), name=f"run {run_id}")
        task._task.add_done_callback(lambda _: self._on_end(task))
        return task

    async def close(self) -> None:
        """Stop everything, and wait until every ending is written down."""
        for task in self.active:
            task.stop()
        await asyncio.gather(*(task._task for task in self._tasks.values() if task._task), return_exceptions=True)

    def _on_end(self, task: RunTask) -> None:
        task.ended, task.progress, task.partial = True, None, None
        task.tell()
        ended = [each for each in self._tasks.values() if each.ended]
        for old in ended[: max(0, len(ended) - KNOWN)]:
            del self._tasks[old.run_id]
