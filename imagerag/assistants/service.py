"""The tools themselves, for any protocol: each takes its request, and answers in a short text and small data."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagerag.agent.errors import LibraryError, RunStateError, UsageError
from imagerag.agent.qa.types import AnswerOutcome
from imagerag.agent.run_record import RunRecord, Status
from imagerag.agent.threads import in_thread
from imagerag.agent.types import ImageRef, Outcome
from imagerag.assistants.error_text import format_error
from imagerag.assistants.image_lookup import ImageLookup
from imagerag.assistants.library_list import format_libraries, libraries_report
from imagerag.assistants.run_text import format_run
from imagerag.assistants.search_text import format_answer, format_image, format_search
from imagerag.assistants.tool_inputs import (
    AskLibrary,
    ContinueRun,
    GenerateImage,
    ListLibraries,
    SearchReferences,
    ViewImage,
)
from imagerag.assistants.tool_outputs import (
    ErrorReport,
    ImageReport,
    ReportedImage,
    answer_report,
    run_report,
    search_report,
)
from imagerag.assistants.tool_result import RunLimits, ToolResult, least
from imagerag.assistants.usage_limits import BudgetShare, ServerBudget, ServerLimits
from imagerag.files.access_policy import InputPolicy
from imagerag.formatting.markdown import line
from imagerag.formatting.messages import searched_with

if TYPE_CHECKING:
    from imagerag.agent.ports import ReferenceLibrary
    from imagerag.assistants.image_blocks import Thumbnail
    from imagerag.client.client import ImageRAG
    from imagerag.graphs.runs.events import RunEvent

__all__ = ["ChatService", "OnEvent", "RunLimits", "ToolResult"]

OnEvent = Callable[["RunEvent"], Awaitable[None]]
"""What is told of every step of a run as it happens."""

_TOO_LONG = "the query is longer than the library's encoder reads: its end was not searched with, say it shorter"

_log = logging.getLogger(__name__)


class ChatService:
    """What chat assistants can ask of imagerag. Every tool answers, whatever it is asked: errors are answers, too.

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
        self.pictures = ImageLookup(rag, inputs or _default_inputs())
        self._live: set[str] = set()

    async def generate_image(
        self, request: GenerateImage, *, on_event: OnEvent | None = None, run_id: str | None = None
    ) -> ToolResult:
        """Draw, judge, retrieve, redraw. Cancelling the task cancels the run.

        Args:
            on_event: told of every step.
            run_id: an id of the caller's own for the run.
        """
        return await self._answered(self._generate(request, on_event, run_id))

    async def continue_run(
        self, request: ContinueRun, *, on_event: OnEvent | None = None, run_id: str | None = None
    ) -> ToolResult:
        """Steer a run that ended, answer one that waits, or resume one that was stopped.

        Args:
            on_event: told of every step.
            run_id: an id of the caller's own for the new run that steering makes.
        """
        return await self._answered(self._continue(request, on_event, run_id))

    async def list_libraries(self, request: ListLibraries) -> ToolResult:
        """Which libraries there are, and what their pictures can be filtered by."""
        return await self._answered(self._list(request))

    async def search_references(self, request: SearchReferences) -> ToolResult:
        """What a library holds that is like some words or a picture."""
        return await self._answered(self._search(request))

    async def ask_library(self, request: AskLibrary) -> ToolResult:
        """An answer from the pictures of a library."""
        return await self._answered(self._ask(request))

    async def view_image(self, request: ViewImage) -> ToolResult:
        """What a picture is; the picture itself is what `thumbnail` then gives."""
        return await self._answered(self._view(request))

    async def describe_run(self, run_id: str) -> ToolResult:
        """How a run stands, wherever it is; the start of its id is enough."""
        return await self._answered(self._describe(run_id))

    async def image_bytes(self, sha256: str, library: str | None = None) -> bytes:
        """The bytes of a picture of a run or a library.

        Raises:
            BlobError: no picture has that id.
        """
        return await self.pictures.get(sha256, library)

    async def thumbnail(self, sha256: str, max_side: int = 512, library: str | None = None) -> "Thumbnail":
        """A small copy of a picture, within `thumbnails.MAX_BYTES`.

        Raises:
            BlobError: no picture has that id.
        """
        from imagerag.assistants.image_blocks import thumbnail

        return await in_thread(thumbnail, await self.image_bytes(sha256, library), max_side)

    async def _answered(self, answer: Awaitable[ToolResult]) -> ToolResult:
        try:
            return await answer
        except Exception as error:
            return error_answer(error)

    async def _generate(self, request: GenerateImage, on_event: OnEvent | None, run_id: str | None) -> ToolResult:
        given = request.model_dump(exclude={"initial_image", "subjects", "edit"})
        given["max_rounds"] = least(request.max_rounds, self.ceilings.max_rounds)
        library = request.library
        if request.initial_image is not None:
            given["initial_image"] = await self.pictures.read(request.initial_image, library)
        if request.edit is not None:
            given["edit"] = await self.pictures.read(request.edit, library)
        given["subjects"] = [(one.name, await self.pictures.read(one.image, library)) for one in request.subjects]
        async with self._spending(request) as (share, limits):
            return await self._follow(self.rag.stream(run_id=run_id, **{**given, **limits}), on_event, share)

    @asynccontextmanager
    async def _spending(
        self, request: GenerateImage | ContinueRun | AskLibrary
    ) -> AsyncIterator[tuple[BudgetShare, dict[str, Any]]]:
        """What a request may spend: by its own limits, by those of each run, and by what is left to the server."""
        limits = self.ceilings.spending(request.max_calls, request.max_cost_usd, request.deadline_s)
        async with self.allowance.share(limits["max_calls"], limits["max_cost_usd"]) as share:
            yield share, {**limits, "max_calls": share.max_calls, "max_cost_usd": share.max_cost_usd}

    async def _continue(self, request: ContinueRun, on_event: OnEvent | None, run_id: str | None) -> ToolResult:
        record = await self.rag.runs.get(request.run_id)
        if record.run_id in self._live:
            raise RunStateError(f"run {record.run_id} is still running: wait for its answer")
        if why_not := _out_of_turn(record.status, request):
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
                new_id=run_id,
                **limits,
            )
            return await self._follow(events, on_event, share)

    async def _resume(self, record: RunRecord, request: ContinueRun, on_event: OnEvent | None) -> ToolResult:
        """Go on with a run within the limits it was begun with, which nobody can change any more."""
        config = record.setup.config if record.setup else None
        made, usd = sum(record.calls.values()), record.cost_usd or 0.0
        calls = None if config is None or config.max_calls is None else max(0, config.max_calls - made)
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
            made, paid = (sum(before.calls.values()), before.cost_usd or 0.0) if before else (0, 0.0)
            share.book(
                max(0, sum(now.calls.values()) - made), None if now.cost_usd is None else max(0.0, now.cost_usd - paid)
            )

    async def _describe(self, run_id: str) -> ToolResult:
        return await self._of_run(await self.rag.runs.get(run_id))

    async def _of_run(self, record: RunRecord) -> ToolResult:
        if record.setup and record.setup.library:
            offered = [candidate.image.sha256 for search in record.searches for candidate in search.candidates]
            sent = [used.image.sha256 for used in record.references if used.role == "reference"]
            self.pictures.remember([*offered, *sent], record.setup.library)
        if record.image is not None:
            path = await asyncio.to_thread(self.pictures.path, record.image.sha256, record.image.media_type)
            record = record.model_copy(update={"image": record.image.model_copy(update={"path": path})})
        return run_answer(record)

    async def _list(self, request: ListLibraries) -> ToolResult:
        found = await libraries_report(self.rag, request.library)
        return ToolResult(text=format_libraries(found), data=found.model_dump(mode="json"))

    async def _search(self, request: SearchReferences) -> ToolResult:
        from imagerag.agent.ports import Filter, queries_of
        from imagerag.agent.retrieval.search_queries import check_filter, explain_filter, search_query

        name = request.library or self.rag.settings.library
        if not name:
            raise UsageError("there is no usual library here: say which one with library=...")
        library = await self.rag.dependencies.library(name)
        wanted = Filter(where=self.rag.settings.where(request.filter), tags=request.tags, licences=request.licences)
        await check_filter(library, wanted)
        if request.image is not None:
            data = await self.pictures.read(request.image, name)
            hits = await library.search_by_image(data, k=request.k, filter=wanted)
            note = "" if hits else await explain_filter(library, wanted)
            found = search_report(name, getattr(library, "image_threshold", None), hits, by="picture", note=note)
        else:
            query = request.query or ""
            hits = await search_query(library, query, k=request.k, filter=wanted)
            long = library.count_tokens(query) > library.context_length
            note = searched_with(queries_of(library, query)) or (_TOO_LONG if long else "")
            note = note if hits else await explain_filter(library, wanted) or note
            found = search_report(name, _threshold(library), hits, note=note)
        self.pictures.remember((hit.image.sha256 for hit in hits), name)
        return ToolResult(
            text=format_search(found), data=found.model_dump(mode="json"), images=tuple(hit.image for hit in hits)
        )

    async def _ask(self, request: AskLibrary) -> ToolResult:
        images = [await self.pictures.read(image, request.library) for image in request.images]
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
            self.pictures.remember((one.id for one in record.retrieved), record.library)
        found = answer_report(record)
        return ToolResult(
            text=format_answer(found),
            data=found.model_dump(mode="json"),
            is_error=record.outcome is AnswerOutcome.FAILED,
            document=record.as_json(),
        )

    async def _view(self, request: ViewImage) -> ToolResult:
        from imagerag.store.images.image_info import inspect

        image = await in_thread(inspect, await self.image_bytes(request.image_id, request.library))
        path = await asyncio.to_thread(self.pictures.path, image.sha256, image.media_type)
        found = ImageReport(image=ReportedImage.of(image, path))
        return ToolResult(text=format_image(found.image), data=found.model_dump(mode="json"), images=(image,))


def run_answer(record: RunRecord) -> ToolResult:
    """How a run stands, as an answer."""
    image = record.image and ImageRef(**record.image.model_dump(exclude={"path"}))
    return ToolResult(
        text=format_run(record),
        data=run_report(record).model_dump(mode="json"),
        images=(image,) if image else (),
        is_error=record.outcome is Outcome.FAILED,
        document=record.as_json(),
    )


def error_answer(error: Exception) -> ToolResult:
    """An error as an answer: one line, and what to do instead."""
    if type(error).__module__.split(".")[0] != "imagerag":
        _log.error("a tool met an unexpected error", exc_info=error)
    report = ErrorReport(error=type(error).__name__, message=line(str(error), 600))
    return ToolResult(text=format_error(error), data=report.model_dump(mode="json"), is_error=True)


def _out_of_turn(status: Status, request: ContinueRun) -> str:
    """Why a run that stands so cannot do what is asked; empty when it can."""
    answers = request.choose is not None or request.edit is not None
    if status == "interrupted" and not answers:
        return "waits for a choice: answer it with continue_run(run_id, choose=[numbers]) first"
    if status == "running" and (request.steers or request.prompt is not None or answers):
        return "was stopped before its end: resume it with continue_run(run_id) alone first"
    if status == "ended" and answers:
        return "has ended and waits for no choice: steer it with exclude_images, keep_images, add_images or prompt"
    return ""


def _default_inputs() -> InputPolicy:
    """Files below the current folder; none where that is the whole machine, as in many containers."""
    here = Path.cwd()
    return InputPolicy.of([] if here == Path(here.anchor) else [here])


def _threshold(library: "ReferenceLibrary") -> float | None:
    with suppress(LibraryError):  # one that was never calibrated
        return library.threshold
    return None
