"""The tools of one server: each call becomes a run, or a question to one, and an answer in MCP's terms."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

from imagerag.agent.errors import BlobError, ImageRAGError, UnknownRunError, UsageError
from imagerag.agent.types import Outcome
from imagerag.assistants.service import ChatService
from imagerag.assistants.tool_inputs import (
    AddImage,
    AskLibrary,
    ContinueRun,
    GenerateImage,
    ListLibraries,
    SearchReferences,
    ViewImage,
)
from imagerag.assistants.tool_outputs import uri
from imagerag.assistants.tool_result import ToolResult
from imagerag.formatting import labels
from imagerag.mcp import consent, elicitation
from imagerag.mcp.app.viewing import small_copy, view_run
from imagerag.mcp.job_schemas import Continue, Generate, JobRequest, Result, Start
from imagerag.mcp.jobs import Job, Jobs, Work, unrecorded
from imagerag.mcp.keepalive import cancel_on_disconnect, send_keepalive
from imagerag.mcp.responses import job_answer, reply, still_running

if TYPE_CHECKING:
    from mcp.server.mcpserver import Context
    from mcp_types import CallToolResult, InputRequiredResult

    from imagerag.graphs.runs.events import RunEvent
    from imagerag.mcp.app.run_view import ViewRun

    Ctx = Context[Any, Any]
    Reply = CallToolResult | InputRequiredResult

T = TypeVar("T")

BEAT_S: Final = 10.0
"""Seconds between signs of life while one step takes long: many clients give up after 60 s of silence."""


@dataclass(frozen=True, kw_only=True)
class Handlers:
    """Answers the calls of every client of one server.

    Attributes:
        service: what the tools do.
        jobs: the runs of this server.
        beat_s: seconds between signs of life.
    """

    service: ChatService
    jobs: Jobs
    beat_s: float = BEAT_S

    async def generate_image(self, request: Generate, ctx: "Ctx") -> "Reply":
        """Draw, and answer when the run has ended or waits for a choice that cannot be asked for here."""
        if ctx.request_state is not None:
            return await self._resume_with_choice(ctx.request_state, request.thumbnail, ctx)
        job = self._begin(GenerateImage(**_without(request, "thumbnail")), ctx)
        return await self._through(job, request.thumbnail, ctx)

    async def continue_run(self, request: Continue, ctx: "Ctx") -> "Reply":
        """Go on from a run, likewise."""
        if ctx.request_state is not None:
            return await self._resume_with_choice(ctx.request_state, request.thumbnail, ctx)
        job = await self._go_on(ContinueRun(**_without(request, "thumbnail", "wait")), ctx)
        if not request.wait:
            return await reply(self.service, still_running(job))
        return await self._through(job, request.thumbnail, ctx)

    async def start_image(self, request: Start, ctx: "Ctx") -> "Reply":
        """Begin a run and answer at once."""
        job = self._begin(GenerateImage(**_without(request, "keep")), ctx, keep=request.keep)
        return await reply(self.service, job_answer(job, self.jobs.idle_timeout_s))

    async def run_status(self, request: JobRequest, ctx: "Ctx") -> "Reply":
        """The status of a run: by its job on this server, else by its record."""
        job = self.jobs.get(request.run_id)
        if job is not None:
            return await reply(self.service, job_answer(job, self.jobs.idle_timeout_s))
        return await reply(
            self.service, job_answer(await self._recorded_answer(request.run_id), self.jobs.idle_timeout_s)
        )

    async def run_result(self, request: Result, ctx: "Ctx") -> "Reply":
        """The result of a run, after a short wait."""
        job = self.jobs.get(request.run_id)
        if job is None or job.answer is not None:
            answer = await self._recorded_answer(request.run_id) if job is None or job.answer is None else job.answer
            return await reply(self.service, answer, thumbnail=request.thumbnail)
        try:
            async with asyncio.timeout(request.wait_s):
                answer = await cancel_on_disconnect(ctx, self.jobs.follow(job, self._reporter(ctx), beat_s=self.beat_s))
        except TimeoutError:
            return await reply(self.service, still_running(job))
        return await reply(self.service, answer, thumbnail=request.thumbnail)

    async def cancel_run(self, request: JobRequest, ctx: "Ctx") -> "Reply":
        """Stop a run, and say how it stands once its ending is written down."""
        job = self.jobs.get(request.run_id)
        if job is None or job.state == "ended":
            return await reply(
                self.service, job_answer(job or await self._recorded_answer(request.run_id), self.jobs.idle_timeout_s)
            )
        job.cancel("cancel_run was called")
        await self.jobs.follow(job, _silent, beat_s=self.beat_s)
        return await reply(self.service, job_answer(job, self.jobs.idle_timeout_s))

    async def list_libraries(self, request: ListLibraries, ctx: "Ctx") -> "Reply":
        """Say which libraries there are."""
        return await self._looked_up(self.service.list_libraries(request), ctx)

    async def search_references(self, request: SearchReferences, ctx: "Ctx") -> "Reply":
        """Look into a library."""
        return await self._looked_up(self.service.search_references(request), ctx)

    async def add_image(self, request: AddImage, ctx: "Ctx") -> "Reply":
        """Add an image to a library, if the person agrees."""
        answer = await self._kept_alive(consent.add_image(self.service, request, ctx), ctx, "waiting for consent")
        return await reply(self.service, answer) if isinstance(answer, ToolResult) else answer

    async def ask_library(self, request: AskLibrary, ctx: "Ctx") -> "Reply":
        """Answer from a library."""
        return await self._looked_up(self.service.ask_library(request), ctx)

    async def view_image(self, request: ViewImage, ctx: "Ctx") -> "Reply":
        """Show a small copy of an image."""
        answer = await self.service.view_image(request)
        return await reply(self.service, answer, thumbnail=True, side=request.max_side, library=request.library)

    async def image(self, sha256: str) -> bytes:
        """The bytes of an image of a run or of any library here.

        Raises:
            BlobError: there is none.
        """
        if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
            raise BlobError(f"image://{sha256[:80]} names no image: an id is 64 digits 0-9, a-f")
        try:
            return await self.service.image_bytes(sha256)
        except ImageRAGError as missing:
            for name in await self.service.rag.libraries.list():
                try:
                    return await self.service.image_bytes(sha256, name)
                except ImageRAGError:  # not in that one, or its encoder is gone
                    continue
            raise BlobError(f"no image image://{sha256} in any run or library here") from missing

    async def small_image(self, sha256: str, side: int) -> bytes:
        """A small copy of an image; raises `BlobError` where there is none."""
        return await small_copy(await self.image(sha256), side)

    async def run_view(self, request: "ViewRun", ctx: "Ctx") -> "Reply":
        """The state of a run for the app."""
        return await reply(self.service, await view_run(self.service, self.jobs, request, _session(ctx), ctx))

    def _begin(self, request: GenerateImage, ctx: "Ctx", *, keep: bool = False) -> Job:
        from imagerag.graphs.runs.records import new_run_id

        def work(job: Job) -> Awaitable[ToolResult]:
            return self.service.generate_image(request, on_event=_progress_callback(job), run_id=job.run_id)

        return self.jobs.start(
            new_run_id(), self._ending(work), owner=_session(ctx), keep=keep, request_id=ctx.request_id
        )

    async def _go_on(self, request: ContinueRun, ctx: "Ctx") -> Job:
        """A job that answers, resumes or steers a run; the last in a new run."""
        from imagerag.graphs.runs.records import new_run_id

        record = await self.service.rag.runs.get(request.run_id)
        if any(job.run_id == record.run_id for job in self.jobs.active):
            raise UsageError(f"run {record.run_id} is under way: run_result waits for it")
        fresh = record.status == "ended" and request.choose is None

        def work(job: Job) -> Awaitable[ToolResult]:
            run_id = job.run_id if fresh else None
            return self.service.continue_run(request, on_event=_progress_callback(job), run_id=run_id)

        run_id = new_run_id() if fresh else record.run_id
        return self.jobs.start(run_id, self._ending(work), owner=_session(ctx), request_id=ctx.request_id)

    async def _through(self, job: Job, thumbnail: bool, ctx: "Ctx") -> "Reply":
        """Follow a run to its end; where it waits for a choice, ask the human if the client can: best in the app."""
        from mcp.server.apps import client_supports_apps

        heard = self._reporter(ctx)
        while True:
            answer = await self._to_the_end(job, heard, ctx)
            if elicitation.waits(answer) and client_supports_apps(ctx):
                return await reply(self.service, elicitation.leave_to_app(answer), thumbnail=thumbnail)
            if not (elicitation.waits(answer) and elicitation.can_ask(ctx)):
                break
            if elicitation.is_modern(ctx):
                return elicitation.ask_later(answer)
            question = send_keepalive(
                elicitation.ask_now(ctx, answer), heard, "waiting for a choice", beat_s=self.beat_s
            )
            picks = await cancel_on_disconnect(ctx, question)
            if picks is None:
                break
            job = await self._go_on(ContinueRun(run_id=job.run_id, choose=tuple(picks)), ctx)
        return await reply(self.service, answer, thumbnail=thumbnail)

    async def _resume_with_choice(self, run_id: str, thumbnail: bool, ctx: "Ctx") -> "Reply":
        """The second half of a call whose first half asked the human."""
        answer = await self._recorded_answer(run_id)
        if not elicitation.waits(answer):  # answered meanwhile by other means, or this half was sent twice
            return await reply(self.service, answer, thumbnail=thumbnail)
        user_reply = elicitation.said_later(ctx)
        if user_reply is None:
            return await reply(self.service, answer, thumbnail=thumbnail)
        try:
            picks = elicitation.selection_of(answer, user_reply)
        except UsageError as error:
            return elicitation.ask_later(answer, str(error))
        job = await self._go_on(ContinueRun(run_id=run_id, choose=tuple(picks)), ctx)
        return await self._through(job, thumbnail, ctx)

    async def _to_the_end(self, job: Job, heard: Callable[[str], Awaitable[None]], ctx: "Ctx") -> ToolResult:
        """Follow a run that belongs to one call: it ends with the call, however that ends."""
        try:
            return await cancel_on_disconnect(ctx, self.jobs.follow(job, heard, beat_s=self.beat_s))
        except BaseException:
            job.cancel("the client cancelled the call or left")
            raise

    def _ending(self, work: Work) -> Work:
        """The same work, but when it is cancelled it answers how the run stands."""

        async def ended(job: Job) -> ToolResult:
            try:
                answer = await work(job)
            except asyncio.CancelledError:
                answer = await self.service.describe_run(job.run_id)
                if answer.data.get("kind") != "run":
                    answer = unrecorded(job.run_id, Outcome.CANCELLED, f"{job.why}; it had not begun")
            return replace(answer, document=None)  # of any length, and for programs in this process

        return ended

    async def _recorded_answer(self, run_id: str) -> ToolResult:
        answer = await self.service.describe_run(run_id)
        if answer.data.get("kind") == "error":
            with suppress(UnknownRunError):
                entry = await self.service.rag.dependencies.runs.get(run_id)
                if entry.outcome:
                    return unrecorded(entry.run_id, entry.outcome, "it was stopped before its first step")
        return answer

    async def _looked_up(self, answer: Coroutine[Any, Any, ToolResult], ctx: "Ctx") -> "Reply":
        """A question that makes no run."""
        return await reply(self.service, await self._kept_alive(answer, ctx, "looking into the library"))

    async def _kept_alive(self, work: Coroutine[Any, Any, T], ctx: "Ctx", message: str) -> T:
        """Wait for what makes no run, with signs of life, and no longer than the client does."""
        alive = send_keepalive(work, self._reporter(ctx), message, beat_s=self.beat_s)
        return await cancel_on_disconnect(ctx, alive)

    def _reporter(self, ctx: "Ctx") -> Callable[[str], Awaitable[None]]:
        """Tells the client what a run does. Each number is larger than the last, as the protocol wants it."""
        count = 0

        async def report(message: str) -> None:
            nonlocal count
            count += 1
            await ctx.report_progress(count, None, message)

        return report


def _progress_callback(job: Job) -> Callable[["RunEvent"], Awaitable[None]]:
    async def report(event: "RunEvent") -> None:
        if event.kind == "progress" and event.progress and event.progress.image:
            job.partial = uri(event.progress.image.sha256)
            job.report(f"unfinished image {event.progress.step} of {event.progress.of}")
        elif event.kind == "step":
            job.partial = ""
            job.report(labels.node_done(event.node), event.node)
        elif event.kind == "started":
            job.report("drawing")

    return report


async def _silent(_: str) -> None:
    return None


def _session(ctx: "Ctx") -> str | None:
    """The session a call came in; None over stdio, and from 2026-07-28 on, where there are none."""
    return (ctx.headers or {}).get("mcp-session-id")


def _without(request: Any, *names: str) -> dict[str, Any]:
    """The arguments without those that only MCP has."""
    fields: dict[str, Any] = request.model_dump(exclude=set(names))
    return fields
