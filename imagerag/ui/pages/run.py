"""`/runs/RUN`: one run, while it is under way, while it waits, and after its end."""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field
from sse_starlette import EventSourceResponse
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from imagerag.agent.errors import RunStateError
from imagerag.agent.run_record import RunRecord
from imagerag.assistants.tool_result import RunLimits
from imagerag.ui.estimates import estimate_part
from imagerag.ui.pages.after import after_values
from imagerag.ui.rendering import LinkedImages, page
from imagerag.ui.requests import as_answer, read_json, state_of
from imagerag.ui.run_view import library_to_add_to, offers, run_view, unmatched
from imagerag.ui.server_events import run_events
from imagerag.ui.state import UiState

if TYPE_CHECKING:
    from imagerag.graphs.runs.events import RunEvent

BEGIN_S: Final = 2.0
"""How long a click waits for a run to begin; then its page shows that models are loaded."""

FOLLOWERS: Final = 64
"""Tabs that may follow runs at a time; each keeps a connection."""


class ResumeRequest(BaseModel):
    """How to go on with a run.

    Attributes:
        choose: for one that waits, the references to use, by number or id; empty takes none.
        edit: the offered image that is to be edited.
    """

    model_config = ConfigDict(extra="forbid")

    choose: Annotated[list[int | str], Field(max_length=100)] | None = None
    edit: int | str | None = None


@as_answer
async def run_page(request: Request) -> Response:
    """The whole page of a run."""
    return page(request, "run.html", **await _values(request))


@as_answer
async def run_body(request: Request) -> Response:
    """What changes on the page while the run goes on; the script puts it in place of what stands there."""
    return page(request, "run_body.html", **await _values(request))


@as_answer
async def follow_run(request: Request) -> Response:
    """Server-sent events: `change` whenever something happened, `ended` at the end."""
    state = state_of(request)
    view = await run_view(state, request.path_params["run_id"])
    if state.followers >= FOLLOWERS:
        return JSONResponse({"error": "UsageError", "message": "too many pages follow runs: close some"}, 503)

    async def events() -> AsyncIterator[dict[str, str]]:
        state.followers += 1
        try:
            async for event in run_events(state, view.run_id):
                yield event
        finally:
            state.followers -= 1

    return EventSourceResponse(events(), ping=15, send_timeout=30, headers={"cache-control": "no-store"})


@as_answer
async def stop_run(request: Request) -> Response:
    """Stop a run that was started here; its record says so."""
    task = state_of(request).tasks.get(request.path_params["run_id"])
    if task is None or task.ended:
        raise RunStateError("this server does not make the run: it has ended, or another process makes it")
    task.stop()
    return JSONResponse({"stopped": True})


@as_answer
async def resume_run(request: Request) -> Response:
    """Go on with a run that was stopped in the middle, or answer one that waits."""
    body, state = await read_json(request, ResumeRequest), state_of(request)
    record = await state.rag.runs.get(request.path_params["run_id"])
    check_limits(record, state.limits)
    events = state.rag.runs.stream_resume(record.run_id, choose=body.choose, edit=body.edit)
    return await begin(state, record.run_id, events, prompt=record.prompt)


@as_answer
async def estimate_resume(request: Request) -> Response:
    """What going on with a run can cost."""
    estimate = await state_of(request).rag.runs.estimate_resume(request.path_params["run_id"])
    return estimate_part(request, estimate)


async def begin(state: UiState, run_id: str, events: "AsyncGenerator[RunEvent]", *, prompt: str) -> Response:
    """Start a run here, and answer with its address.

    Raises:
        UsageError: it could not begin, or too many are under way.
    """
    await state.tasks.start(run_id, events, prompt=prompt).wait_until_listed(within_s=BEGIN_S)
    return JSONResponse({"run_id": run_id, "address": f"/runs/{run_id}"}, 201)


def check_limits(record: RunRecord, limits: RunLimits) -> None:
    """See that a run was begun within the limits of this server: they cannot be changed any more.

    Raises:
        RunStateError: it was not.
    """
    config = record.setup.config if record.setup else None
    if config is None:
        return
    for name in ("max_rounds", "max_calls", "max_cost_usd"):
        most, own = getattr(limits, name), getattr(config, name)
        if most is not None and (own is None or own > most):
            raise RunStateError(f"run {record.run_id} was begun with more than this page may spend (`{name}={most}`)")


async def _values(request: Request) -> dict[str, Any]:
    state = state_of(request)
    view = await run_view(state, request.path_params["run_id"])
    record = view.record
    library = record.setup.library if record and record.setup else None
    values = {
        "view": view,
        "record": record,
        "task": view.task,
        "gallery": LinkedImages(library or ""),
        "offers": offers(record) if record and record.question else [],
        "unmatched": unmatched(record) if record else [],
        "picture_library": library_to_add_to(record) if record else "",
    }
    return values | (await after_values(state, record) if record and record.outcome else {})


ROUTES: Final = [
    Route("/runs/{run_id}", run_page),
    Route("/runs/{run_id}/body", run_body),
    Route("/runs/{run_id}/events", follow_run),
    Route("/runs/{run_id}/stop", stop_run, methods=["POST"]),
    Route("/runs/{run_id}/resume", resume_run, methods=["POST"]),
    Route("/runs/{run_id}/estimate", estimate_resume),
]
