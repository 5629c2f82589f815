"""Jobs in a server's queue: find, start, await and cancel them.

A job's id is made from the call's idempotency key. A call whose answer was lost, because its process was killed or a
connection broke, finds its job in the server's queue or history and draws nothing twice. A job that failed has used its
id up; the next try has the next one.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from imagerag.agent.calls.call_context import ProgressCallback
from imagerag.agent.errors import AuthError, BackendError, UsageError
from imagerag.tools.generators.comfyui.errors import WorkflowRefusedError, execution_error, refused
from imagerag.tools.generators.comfyui.placeholders import Nodes
from imagerag.tools.generators.comfyui.progress import JobListener
from imagerag.tools.generators.comfyui.server import ComfyServer

_NAMESPACE: Final = uuid.UUID("5f4a3c1e-3d0e-5c0b-9d4b-6f2f6f1b7a52")
_TRIES: Final = 32
"""Ids of one call that are looked for."""
_POLL_S: Final = 2.0
_SOON_S: Final = (0.02, 0.05, 0.1, 0.2, 0.5)
"""Pauses after the end of a job was told: the history has it a moment later."""
_QUEUE_EVERY: Final = 5
"""Polls of the history for each of the queue, which can be long."""
_LOST_POLLS: Final = 10
"""Polls that may fail one after the other before the server is taken for gone."""
_CANCEL_S: Final = 5.0


@dataclass(kw_only=True)
class Job:
    """One run of a workflow.

    Attributes:
        id: a UUID in lower case, which servers insist on.
        entry: its history, once it has ended.
        queued: whether the server has it, or may have it.
    """

    id: str
    entry: Mapping[str, Any] | None = None
    queued: bool = False


@dataclass(frozen=True)
class JobQueue:
    """The queue of a server.

    Attributes:
        nodes: the workflow, for messages.
    """

    server: ComfyServer
    nodes: Nodes = field(repr=False)

    async def find(self, key: str | None) -> Job:
        """The job of an earlier try of the same call; a new one if there is none, or all failed.

        Args:
            key: the call's idempotency key.

        Raises:
            BackendError: as `ComfyServer.get`.
        """
        if key is None:
            return Job(id=str(uuid.uuid4()))
        queued = {job_id for job_id, _ in await self._queue()}
        for number in range(_TRIES):
            job = Job(id=str(uuid.uuid5(_NAMESPACE, f"{key} {number}")))
            if job.id in queued:
                job.queued = True
                return job
            job.entry = await self.ended(job.id)
            if job.entry is None:
                return job
            if has_succeeded(job.entry):
                job.queued = True
                return job
        return Job(id=str(uuid.uuid4()))

    async def start(self, job: Job, nodes: Nodes, *, previews: bool) -> None:
        """Put a job into the queue.

        Raises:
            UsageError: the server refuses the workflow; the message names the nodes.
            BackendError: as `ComfyServer.get`.
        """
        extra = {"preview_method": "auto"} if previews else {}
        document = {"prompt": nodes, "client_id": job.id, "prompt_id": job.id, "extra_data": extra}
        problem: Exception | None = None
        job.queued = True  # whoever is cancelled before the answer has a job there all the same
        try:
            reply = await self.server.post("/prompt", json=document)
        except WorkflowRefusedError as error:
            job.queued = False
            problem = refused(self.server.who, self.nodes, error.body, self.server.secrets)
        if problem is not None:
            raise problem
        prompt_id = reply.get("prompt_id")
        if not isinstance(prompt_id, str) or not prompt_id:
            raise BackendError(f"{self.server.who} took the workflow without naming a job", retryable=False)
        job.id = prompt_id  # servers of before 2025 make ids of their own
        if reply.get("node_errors"):  # it would run what is left of the workflow
            await self.cancel(job)
            raise refused(self.server.who, self.nodes, reply, self.server.secrets)

    async def result(
        self, job: Job, watcher: ProgressCallback, start: Callable[[], Awaitable[None]] | None
    ) -> Mapping[str, Any]:
        """Await the end of a job; its history.

        Args:
            start: puts the job into the queue, called once somebody listens; None if it is there.

        Raises:
            UsageError: as `start`.
            BackendError: the job failed, was interrupted, or is gone.
        """
        if job.entry is None:
            async with JobListener(self.server, job, watcher) as listener:
                if start is not None:
                    await start()
                job.entry = await self._awaited(job, listener)
        if not has_succeeded(job.entry):
            status = job.entry.get("status")
            messages = status.get("messages") if isinstance(status, Mapping) else None
            raise execution_error(self.server.who, self.nodes, messages, self.server.secrets)
        return job.entry

    async def ended(self, job_id: str) -> Mapping[str, Any] | None:
        """The history of a job; None if it has not ended, or there is none."""
        entry = (await self.server.get(f"/history/{job_id}")).get(job_id)
        return entry if isinstance(entry, Mapping) else None

    async def position(self, job: Job) -> int | None:
        """The number of jobs before it, 0 when it is running; None if the server does not have it."""
        return dict(await self._queue()).get(job.id)

    async def cancel(self, job: Job) -> int | None:
        """Take a job out of the queue, or stop it; no other job is touched. Errors of the server are not raised.

        Returns:
            The number of jobs that were before it; None if the server did not have it, or did not answer.
        """
        position = None
        try:
            async with asyncio.timeout(_CANCEL_S):
                position = await self.position(job)
                await self._cancel(job.id)
        except (BackendError, UsageError, TimeoutError):
            pass
        return position

    async def _cancel(self, job_id: str) -> None:
        try:
            reply = await self.server.post(f"/api/jobs/{job_id}/cancel", json={})
        except (BackendError, UsageError):
            reply = {}
        if "cancelled" in reply:
            return
        # Servers of before 2026 cancel in two steps; those of before September 2025 stop whatever runs.
        await self.server.post("/queue", json={"delete": [job_id]})
        if dict(await self._queue()).get(job_id) == 0:
            await self.server.post("/interrupt", json={"prompt_id": job_id})

    async def _awaited(self, job: Job, listener: JobListener) -> Mapping[str, Any]:
        polls, failures, absent, ending = 0, 0, 0, False
        soon = list(_SOON_S)
        while True:
            try:
                entry = await self.ended(job.id)
                if entry is None and polls % _QUEUE_EVERY == _QUEUE_EVERY - 1:
                    absent = absent + 1 if await self.position(job) is None else 0
                failures = 0
            except AuthError:
                raise
            except BackendError as error:
                entry, failures = None, failures + 1
                if failures >= _LOST_POLLS:
                    error.unsettled = True
                    raise
            if entry is not None:
                return entry
            if absent > 1:
                raise BackendError(
                    f"{self.server.who} has lost the job {job.id}: was it restarted, or its queue cleared?"
                )
            polls += 1
            if ending and soon:
                await asyncio.sleep(soon.pop(0))
            else:
                ending = await listener.wait(_POLL_S) or ending

    async def _queue(self) -> list[tuple[str, int]]:
        """(id, number of jobs before it) of every job, the running ones first with 0."""
        reply = await self.server.get("/queue")
        running, pending = (_items(reply.get(name)) for name in ("queue_running", "queue_pending"))
        waiting = [str(item[1]) for item in sorted(pending, key=lambda item: _number(item[0]))]
        first = [(str(item[1]), 0) for item in running]
        return first + [(job_id, len(first) + place) for place, job_id in enumerate(waiting)]


def has_succeeded(entry: Mapping[str, Any]) -> bool:
    """Whether a job of the history ended well; old servers do not say how one ended, and keep outputs of good ones."""
    status = entry.get("status")
    return status.get("status_str") == "success" if isinstance(status, Mapping) else bool(entry.get("outputs"))


def _items(value: object) -> list[list[Any]]:
    items = value if isinstance(value, list) else []
    return [item for item in items if isinstance(item, list) and len(item) > 1]


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
