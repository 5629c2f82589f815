"""The tools themselves, for any protocol: each takes its request, and answers in a short text and small data."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from imagerag.agent.errors import RunStateError, UsageError
from imagerag.agent.qa.types import AnswerOutcome
from imagerag.agent.run_record import RunRecord
from imagerag.agent.threads import in_thread
from imagerag.assistants.adding import Consent, add_with_consent
from imagerag.assistants.image_lookup import ImageLookup
from imagerag.assistants.library_list import format_libraries, libraries_report
from imagerag.assistants.library_search import search_library
from imagerag.assistants.run_results import error_result, run_result, wrong_state
from imagerag.assistants.search_text import format_answer, format_image, format_search
from imagerag.assistants.tool_inputs import (
    AddImage,
    AskLibrary,
    ContinueRun,
    GenerateImage,
    ListLibraries,
    SearchReferences,
    ViewImage,
)
from imagerag.assistants.tool_outputs import ImageReport, ReportedImage
from imagerag.assistants.tool_reports import answer_report
from imagerag.assistants.tool_result import RunLimits, ToolResult, least
from imagerag.assistants.usage_limits import BudgetShare, ServerBudget, ServerLimits
from imagerag.files.access_policy import InputPolicy
from imagerag.graphs.configuration.trust_policy import check_web_library

if TYPE_CHECKING:
    from imagerag.assistants.image_blocks import Thumbnail
    from imagerag.client.client import ImageRAG
    from imagerag.graphs.runs.events import RunEvent

__all__ = ["ChatService", "OnEvent", "RunLimits", "ToolResult"]

OnEvent = Callable[["RunEvent"], Awaitable[None]]
"""Callback for every event of a run."""


class ChatService:
    """The tools for chat assistants. Every tool returns a result: errors are results, too.

    Args:
        rag: where runs, libraries and backends are.
        inputs: which files and addresses may be read. A model writes these paths, so that by default they must lie
            below the current folder, and addresses are off.
        ceilings: what each run may come to at most.
        allowance: what all of them may come to together; no limit when None.
    """

    def __init__(
        self,
        rag: "ImageRAG",
        *,
        inputs: InputPolicy | None = None,
        ceilings: RunLimits | None = None,
        allowance: ServerBudget | None = None,
    ) -> None:
        self.rag = rag
        self.allowance = allowance or ServerBudget(ServerLimits())
        self.ceilings = ceilings or RunLimits()
        self.images = ImageLookup(rag, inputs or InputPolicy.of_current_folder())
        self._live: set[str] = set()

    async def generate_image(
        self, request: GenerateImage, *, on_event: OnEvent | None = None, run_id: str | None = None
    ) -> ToolResult:
        """Draw, judge, retrieve, redraw. Cancelling the task cancels the run.

        Args:
            on_event: told of every step.
            run_id: an id of the caller's own for the run.
        """
        return await self._answer_or_error(self._generate(request, on_event, run_id))

    async def continue_run(
        self, request: ContinueRun, *, on_event: OnEvent | None = None, run_id: str | None = None
    ) -> ToolResult:
        """Steer a run that ended, answer one that waits, or resume one that was stopped.

        Args:
            on_event: told of every step.
            run_id: an id of the caller's own for the new run that steering makes.
        """
        return await self._answer_or_error(self._continue(request, on_event, run_id))

    async def list_libraries(self, request: ListLibraries) -> ToolResult:
        """List of the libraries, and the values by which their images can be filtered."""
        return await self._answer_or_error(self._list(request))

    async def search_references(self, request: SearchReferences) -> ToolResult:
        """Search a library with words or an image."""
        return await self._answer_or_error(self._search(request))

    async def add_image(self, request: AddImage, *, consent: Consent | None = None) -> ToolResult:
        """Add an image to a library once the person agrees.

        Args:
            consent: asks them; without it nothing is added, and the answer has the command that they can type.
        """
        return await self._answer_or_error(add_with_consent(self.rag, self.images, request, consent))

    async def ask_library(self, request: AskLibrary) -> ToolResult:
        """An answer from the images of a library."""
        return await self._answer_or_error(self._ask(request))

    async def view_image(self, request: ViewImage) -> ToolResult:
        """Describe an image; `thumbnail` then gives the image itself."""
        return await self._answer_or_error(self._view(request))

    async def describe_run(self, run_id: str) -> ToolResult:
        """Describe a run; the start of its id is enough."""
        return await self._answer_or_error(self._describe(run_id))

    async def image_bytes(self, sha256: str, library: str | None = None) -> bytes:
        """The bytes of an image of a run or a library.

        Raises:
            BlobError: no image has that id.
        """
        return await self.images.get(sha256, library)

    async def thumbnail(self, sha256: str, max_side: int = 512, library: str | None = None) -> "Thumbnail":
        """A small copy of an image, within `image_blocks.MAX_BYTES`.

        Raises:
            BlobError: no image has that id.
        """
        from imagerag.assistants.image_blocks import thumbnail

        return await in_thread(thumbnail, await self.image_bytes(sha256, library), max_side)

    def _check(self, request: GenerateImage | SearchReferences | AskLibrary | ViewImage) -> None:
        """See that an assistant turns no search service on; raises `UntrustedError` where it does."""
        check_web_library(request.library, self.rag.settings.library, "the assistant")

    async def _answer_or_error(self, answer: Awaitable[ToolResult]) -> ToolResult:
        try:
            return await answer
        except Exception as error:
            return error_result(error)

    async def _generate(self, request: GenerateImage, on_event: OnEvent | None, run_id: str | None) -> ToolResult:
        self._check(request)
        options = request.model_dump(exclude={"initial_image", "subjects", "edit"})
        options["max_rounds"] = least(request.max_rounds, self.ceilings.max_rounds)
        library = request.library
        if request.initial_image is not None:
            options["initial_image"] = await self.images.read(request.initial_image, library)
        if request.edit is not None:
            options["edit"] = await self.images.read(request.edit, library)
        options["subjects"] = [(one.name, await self.images.read(one.image, library)) for one in request.subjects]
        async with self._spending(request) as (share, limits):
            return await self._follow(self.rag.stream(run_id=run_id, **{**options, **limits}), on_event, share)

    @asynccontextmanager
    async def _spending(
        self, request: GenerateImage | ContinueRun | AskLibrary
    ) -> AsyncIterator[tuple[BudgetShare, dict[str, Any]]]:
        """The limits of a request: its own, those of each run, and the rest of the server's budget."""
        limits = self.ceilings.spending(request.max_calls, request.max_cost_usd, request.deadline_s)
        async with self.allowance.share(limits["max_calls"], limits["max_cost_usd"]) as share:
            yield share, {**limits, "max_calls": share.max_calls, "max_cost_usd": share.max_cost_usd}

    async def _continue(self, request: ContinueRun, on_event: OnEvent | None, run_id: str | None) -> ToolResult:
        record = await self.rag.runs.get(request.run_id)
        if record.run_id in self._live:
            raise RunStateError(f"run {record.run_id} is still running: wait for its answer")
        if why_not := wrong_state(record.status, request):
            raise RunStateError(f"run {record.run_id} {why_not}")
        if record.status != "ended":
            return await self._resume(record, request, on_event)
        async with self._spending(request) as (share, limits):
            events = self.rag.runs.stream_continue(
                record.run_id,
                more_rounds=least(request.more_rounds, self.ceilings.max_rounds) or 0,
                exclude_images=request.exclude_images,
                keep_images=request.keep_images,
                add_images=request.add_images,
                prompt=request.prompt,
                feedback=request.feedback or (),
                new_id=run_id,
                **limits,
            )
            return await self._follow(events, on_event, share)

    async def _resume(self, record: RunRecord, request: ContinueRun, on_event: OnEvent | None) -> ToolResult:
        """Go on with a run within the limits it was begun with, which nobody can change any more."""
        config = record.setup.config if record.setup else None
        call_count, usd = sum(record.calls.values()), record.cost_usd or 0.0
        calls = None if config is None or config.max_calls is None else max(0, config.max_calls - call_count)
        cost = None if config is None or config.max_cost_usd is None else max(0.0, config.max_cost_usd - usd)
        unbounded = (calls is None and self.allowance.calls_limited) or (cost is None and self.allowance.cost_limited)
        if unbounded:
            raise UsageError(
                f"run {record.run_id} was begun without limits, and this server has some: resume it in a terminal"
            )
        async with self.allowance.share(calls, cost, whole=True) as share:
            events = self.rag.runs.stream_resume(record.run_id, choose=request.choose, edit=request.edit)
            return await self._follow(events, on_event, share, before=record)

    async def _follow(
        self,
        run: "AsyncGenerator[RunEvent]",
        on_event: OnEvent | None,
        share: BudgetShare,
        *,
        before: RunRecord | None = None,
    ) -> ToolResult:
        run_id, record = "", None
        try:
            async with aclosing(run) as events:
                async for event in events:
                    run_id, record = event.run_id, event.record or record
                    self._live.add(run_id)
                    if on_event is not None:
                        await on_event(event)
        finally:
            self._live.discard(run_id)
            await self._book(share, run_id, before)
        assert record is not None, "a run's last event carries its record"
        return await self._of_run(record)

    async def _book(self, share: BudgetShare, run_id: str, before: RunRecord | None) -> None:
        """Book what a run has spent, also where it was cancelled or failed; all that it might, where nobody knows."""
        if not (self.allowance.calls_limited or self.allowance.cost_limited):
            return
        if not run_id:
            share.book(0, 0.0)  # refused before its first step
            return
        with suppress(Exception):
            now = await self.rag.runs.get(run_id)
            call_count, paid = (sum(before.calls.values()), before.cost_usd or 0.0) if before else (0, 0.0)
            share.book(
                max(0, sum(now.calls.values()) - call_count),
                None if now.cost_usd is None else max(0.0, now.cost_usd - paid),
            )

    async def _describe(self, run_id: str) -> ToolResult:
        return await self._of_run(await self.rag.runs.get(run_id))

    async def _of_run(self, record: RunRecord) -> ToolResult:
        if record.setup and record.setup.library:
            offered = [candidate.image.sha256 for search in record.searches for candidate in search.candidates]
            reference_ids = [reference.image.sha256 for reference in record.references if reference.role == "reference"]
            self.images.remember([*offered, *reference_ids], record.setup.library)
        if record.image is not None:
            path = await asyncio.to_thread(self.images.path, record.image.sha256, record.image.media_type)
            record = record.model_copy(update={"image": record.image.model_copy(update={"path": path})})
        return run_result(record)

    async def _list(self, request: ListLibraries) -> ToolResult:
        report = await libraries_report(self.rag, request.library, check=request.check)
        return ToolResult(text=format_libraries(report), data=report.model_dump(mode="json"))

    async def _search(self, request: SearchReferences) -> ToolResult:
        self._check(request)
        report, images = await search_library(self.rag, self.images, request)
        return ToolResult(text=format_search(report), data=report.model_dump(mode="json"), images=images)

    async def _ask(self, request: AskLibrary) -> ToolResult:
        self._check(request)
        images = [await self.images.read(image, request.library) for image in request.images]
        async with self._spending(request) as (share, limits):
            record = await self.rag.ask(
                request.question,
                library=request.library,
                thread=request.thread,
                follow_up=True,
                compare=request.compare,
                images=images,
                by=request.by,
                **limits,
            )
            share.book(sum(record.calls.values()), record.cost_usd)
        if record.library:
            self.images.remember((one.id for one in record.retrieved), record.library)
        report = answer_report(record)
        return ToolResult(
            text=format_answer(report),
            data=report.model_dump(mode="json"),
            is_error=record.outcome is AnswerOutcome.FAILED,
            document=record.as_json(),
        )

    async def _view(self, request: ViewImage) -> ToolResult:
        from imagerag.store.images.image_info import inspect

        self._check(request)
        image = await in_thread(inspect, await self.image_bytes(request.image_id, request.library))
        path = await asyncio.to_thread(self.images.path, image.sha256, image.media_type)
        report = ImageReport(image=ReportedImage.of(image, path))
        return ToolResult(text=format_image(report.image), data=report.model_dump(mode="json"), images=(image,))
