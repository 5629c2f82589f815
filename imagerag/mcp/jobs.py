"""Runs that belong to the server and not to the request that asked for them.

A request can be cancelled, time out, or lose its connection at any moment, and a run must then be ended properly, once,
with its ending written down. So each run is a task of its own: requests only follow it. What nobody follows and nobody
asks about any more is cancelled.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, Literal

from imagerag.agent.errors import UsageError
from imagerag.agent.types import Outcome
from imagerag.assistants.tool_outputs import RunReport
from imagerag.assistants.tool_result import ToolResult

KEPT: Final = 200
"""Jobs that have ended and are still known by what they answered. Older ones are read from the run's record."""

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Job:
    """One run, queued, running or ended.

    Attributes:
        run_id: the run's id.
        owner: the session that asked for it; None where the connection is the process.
        keep: whether it goes on when the session ends and when nobody asks about it.
        request_id: the id of the request that began it, by which the app in a chat finds it before it has an answer.
        state: where it stands.
        progress_text: what it did last, in a few words.
        node: the step of the workflow that ended last; empty before the first.
        partial: the last unfinished image of the drawing that is being made, as `image://SHA256`; empty without one.
        steps: how many times it said what it did.
        answer: what to tell, once it has ended.
        why: who cancelled it, when somebody did.
    """

    run_id: str
    owner: str | None = None
    keep: bool = False
    request_id: str = ""
    state: Literal["queued", "running", "ended"] = "queued"
    progress_text: str = "waiting for its turn"
    node: str = ""
    partial: str = ""
    steps: int = 0
    answer: ToolResult | None = None
    why: str = ""
    followers: int = 0
    _task: "asyncio.Task[None] | None" = field(default=None, repr=False)
    _lease: asyncio.TimerHandle | None = field(default=None, repr=False)
    _news: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    def report(self, what: str, node: str = "") -> None:
        """Say what it did; whoever follows hears it."""
        self.progress_text, self.node = what, node or self.node
        self.steps += 1
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def news(self, steps: int, within_s: float) -> None:
        """Wait until it has said more than `steps` times what it did, or has ended, at most `within_s` seconds."""
        if self.steps > steps or self.state == "ended":
            return
        try:
            await asyncio.wait_for(self._news.wait(), within_s)
        except TimeoutError:
            return

    def cancel(self, why: str) -> None:
        """End it. A second time does nothing: the ending is being written down."""
        if self.state == "ended" or self.why or self._task is None:
            return
        self.why = why
        self._task.cancel()


Work = Callable[[Job], Awaitable[ToolResult]]


class Jobs:
    """The runs of one server.

    Args:
        max_concurrency: how many run at a time; the others wait for their turn.
        most: how many may run and wait together.
        idle_timeout_s: a run that nobody asks about for so many seconds is cancelled, unless it is to be kept.
    """

    def __init__(self, *, max_concurrency: int = 4, most: int = 64, idle_timeout_s: float = 120.0) -> None:
        self.most = most
        self.idle_timeout_s = idle_timeout_s
        self._turns = asyncio.Semaphore(max_concurrency)
        self._jobs: OrderedDict[str, Job] = OrderedDict()

    @property
    def active(self) -> list[Job]:
        """Those that have not ended, oldest first."""
        return [job for job in self._jobs.values() if job.state != "ended"]

    def get(self, run_id: str) -> Job | None:
        """The job of a run, when this server started it and still knows it; the start of its id is enough.

        Asking renews its lease.
        """
        job = self._jobs.get(run_id)
        if job is None:
            begun = [each for name, each in self._jobs.items() if run_id and name.startswith(run_id)]
            job = begun[0] if len(begun) == 1 else None
        if job is not None:
            self._renew(job)
        return job

    def begun_by(self, request_id: str, owner: str | None) -> Job | None:
        """The newest job that a request of a session began. Asking renews its lease."""
        begun = (job for job in reversed(self._jobs.values()) if (job.request_id, job.owner) == (request_id, owner))
        job = next(begun, None)
        return self.get(job.run_id) if job else None

    def start(
        self, run_id: str, work: Work, *, owner: str | None = None, keep: bool = False, request_id: str = ""
    ) -> Job:
        """Begin a run, or queue it.

        Raises:
            UsageError: too many already, or one of that id has not ended.
        """
        active = self.active
        if len(active) >= self.most:
            raise UsageError(
                f"{len(active)} runs are under way or waiting, which is as many as there may be: ask later"
            )
        if any(job.run_id == run_id for job in active):
            raise UsageError(f"run {run_id} is under way: ask run_status, or wait for run_result")
        job = Job(run_id, owner, keep, request_id)
        self._jobs.pop(run_id, None)
        self._jobs[run_id] = job
        self._renew(job)
        job._task = asyncio.create_task(self._run(job, work), name=f"run {run_id}")
        # A task that is cancelled before it began never gets to its own end.
        job._task.add_done_callback(lambda _: self._on_end(job))
        return job

    async def follow(self, job: Job, heard: Callable[[str], Awaitable[None]], *, beat_s: float) -> ToolResult:
        """Wait for a job's end, telling what it does as it does it, and every `beat_s` seconds that it is alive."""
        steps = 0
        job.followers += 1
        try:
            while job.answer is None:
                await job.news(steps, beat_s)
                if job.answer is None:
                    await heard(job.progress_text if job.steps > steps else f"{job.progress_text} …")
                steps = job.steps
        finally:
            job.followers -= 1
            self._renew(job)
        return job.answer

    def leave(self, owner: str) -> None:
        """A session has ended: cancel its runs, but those that are to be kept."""
        for job in self.active:
            if job.owner == owner and not job.keep:
                job.cancel("the client left")

    async def close(self, *, kept_jobs: Literal["cancel", "wait", "leave"] = "cancel") -> None:
        """Cancel everything, and wait until every ending is written down.

        Args:
            kept_jobs: let those that are to be kept come to their own end first ("wait"), or leave them as they stand,
                to be resumed: the process is about to end ("leave").
        """
        for job in self.active:
            if kept_jobs == "cancel" or not job.keep:
                job.cancel("the server stopped")
        resumable = {job for job in self.active if job.keep and kept_jobs == "leave"}
        tasks = [job._task for job in self._jobs.values() if job._task is not None and job not in resumable]
        try:
            await asyncio.gather(*tasks, return_exceptions=True)
        except asyncio.CancelledError:
            for job in self.active:
                job.cancel("the server stopped")
            await asyncio.gather(*tasks, return_exceptions=True)
            raise

    async def _run(self, job: Job, work: Work) -> None:
        try:
            async with self._turns:
                job.state = "running"
                job.report("starting")
                job.answer = await work(job)
        except Exception as error:  # a defect: the client is told its kind, the log everything
            log.exception("run %s failed", job.run_id)
            why = f"the server failed ({type(error).__name__}); its log says more"
            job.answer = unrecorded(job.run_id, Outcome.FAILED, why)
        finally:
            self._on_end(job)

    def _on_end(self, job: Job) -> None:
        if job.state == "ended":
            return
        job.state = "ended"
        if job.answer is None:
            job.answer = unrecorded(
                job.run_id, Outcome.CANCELLED, f"{job.why or 'the server stopped'}; it had not begun"
            )
        if job._lease is not None:
            job._lease.cancel()
        job.report("ended")
        job._task = None
        ended = [each for each in self._jobs.values() if each.state == "ended"]
        for old in ended[: max(0, len(ended) - KEPT)]:
            del self._jobs[old.run_id]

    def _renew(self, job: Job) -> None:
        if job._lease is not None:
            job._lease.cancel()
        if job.state != "ended" and not job.keep:
            job._lease = asyncio.get_running_loop().call_later(self.idle_timeout_s, self._expire, job)

    def _expire(self, job: Job) -> None:
        if job.followers:
            self._renew(job)
        else:
            job.cancel(f"nobody asked about it for {self.idle_timeout_s:g} s")


def unrecorded(run_id: str, outcome: Outcome, why: str) -> ToolResult:
    """The answer of a run that ended before there was anything to record."""
    report = RunReport(run_id=run_id, status="ended", outcome=outcome, reason=why)
    return ToolResult(
        text=f"{outcome}: {why}.\nImage: none.\nrun_id: {run_id}",
        data=report.model_dump(mode="json"),
        is_error=outcome is Outcome.FAILED,
    )
