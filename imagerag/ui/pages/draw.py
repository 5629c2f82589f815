"""`/`: what is to be drawn, with what, and within which limits."""

from typing import Final

from pydantic import BaseModel, ConfigDict
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from imagerag.graphs.runs.records import new_run_id
from imagerag.ui.rendering import page
from imagerag.ui.requests import as_answer, read_json, state_of


class DrawRequest(BaseModel):
    """What the form sends.

    Attributes:
        prompt: what to draw.
        library: where references come from; empty is none.
    """

    model_config = ConfigDict(extra="forbid")

    prompt: str
    library: str | None = None


async def draw_page(request: Request) -> Response:
    """The form."""
    rag = state_of(request).rag
    return page(request, "draw.html", libraries=await rag.libraries.list(), settings=rag.settings)


@as_answer
async def start_run(request: Request) -> Response:
    """Start a run; the answer has its address."""
    body, state = await read_json(request, DrawRequest), state_of(request)
    run_id = new_run_id()
    events = state.rag.stream(
        body.prompt, run_id=run_id, library=body.library, **state.limits.spending(None, None, None)
    )
    await state.tasks.start(run_id, events).begun()
    return JSONResponse({"run_id": run_id, "address": f"/runs/{run_id}"}, 201)


ROUTES: Final = [Route("/", draw_page), Route("/runs", start_run, methods=["POST"])]
