"""`/runs/RUN`: one run, while it is under way and after its end."""

from collections.abc import AsyncIterator
from typing import Any, Final

from sse_starlette import EventSourceResponse
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from imagerag.agent.run_record import RunRecord
from imagerag.ui.pages.after import after_values
from imagerag.ui.rendering import LinkedImages, page
from imagerag.ui.requests import as_answer, state_of
from imagerag.ui.server_events import run_events


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
    state, run_id = state_of(request), request.path_params["run_id"]
    await state.rag.runs.get(run_id)

    async def events() -> AsyncIterator[dict[str, str]]:
        async for event in run_events(state, run_id):
            yield event

    return EventSourceResponse(events(), ping=15, headers={"cache-control": "no-store"})


@as_answer
async def stop_run(request: Request) -> Response:
    """Stop a run that was started here; its record says so."""
    task = state_of(request).tasks.get(request.path_params["run_id"])
    if task is not None:
        task.stop()
    return JSONResponse({"stopped": task is not None and not task.ended})


async def _values(request: Request) -> dict[str, Any]:
    state, run_id = state_of(request), request.path_params["run_id"]
    record: RunRecord = await state.rag.runs.get(run_id)
    library = record.setup.library if record.setup else None
    values = {"record": record, "task": state.tasks.get(record.run_id), "gallery": LinkedImages(library or "")}
    return values | (await after_values(state, record) if record.outcome else {})


ROUTES: Final = [
    Route("/runs/{run_id}", run_page),
    Route("/runs/{run_id}/body", run_body),
    Route("/runs/{run_id}/events", follow_run),
    Route("/runs/{run_id}/stop", stop_run, methods=["POST"]),
]
