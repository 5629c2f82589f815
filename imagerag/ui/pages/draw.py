"""`/`: what is to be drawn, with what, and within which limits."""

from typing import Final

from pydantic import BaseModel, ConfigDict
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from imagerag.agent.errors import UsageError
from imagerag.agent.retrieval.search_queries import WEB, names_of
from imagerag.agent.visible_text import is_blank
from imagerag.graphs.configuration.settings import PRESETS
from imagerag.graphs.runs.records import new_run_id
from imagerag.ui.draw_request import MOST_IMAGES, DrawRequest, client_of, run_options
from imagerag.ui.estimates import estimate_part
from imagerag.ui.library_choice import library_choices
from imagerag.ui.pages.images import keep_image
from imagerag.ui.pages.run import begin
from imagerag.ui.rendering import page
from imagerag.ui.requests import as_answer, read_json, state_of

UNWRITTEN: Final = "…"
"""Prompt of estimates while none is written: the calls do not depend on it, the price of its text hardly does."""


class NamedImage(BaseModel):
    """An image by its path below a `--root` of the server, or by its address."""

    model_config = ConfigDict(extra="forbid")

    source: str


@as_answer
async def draw_page(request: Request) -> Response:
    """The form."""
    state = state_of(request)
    settings = state.rag.settings
    names = names_of(settings.library) if settings.library else ()
    return page(
        request,
        "draw.html",
        settings=settings,
        limits=state.limits,
        inputs=state.inputs,
        presets=list(PRESETS),
        models={role: state.rag.models(role=role) for role in ("generator", "judge")},
        libraries=await library_choices(state.rag),
        services=[name for name in names if name.startswith(WEB)],
        chosen=names,
        most_images=MOST_IMAGES,
    )


@as_answer
async def start_run(request: Request) -> Response:
    """Start a run; the answer has its address."""
    body, state = await read_json(request, DrawRequest), state_of(request)
    rag, run_id = await client_of(state, body), new_run_id()
    if is_blank(body.prompt):
        raise UsageError("the prompt is empty: write what is to be drawn")
    events = rag.stream(body.prompt, run_id=run_id, **await run_options(state, body))
    return await begin(state, run_id, events, prompt=body.prompt)


@as_answer
async def estimate_run(request: Request) -> Response:
    """What the run of a form can cost, as a part of the page."""
    body, state = await read_json(request, DrawRequest), state_of(request)
    written = not is_blank(body.prompt)
    options = await run_options(state, body)
    rag = await client_of(state, body)
    estimate = await rag.estimate(body.prompt if written else UNWRITTEN, **options)
    if not written:  # what is likely to go wrong depends on the prompt
        estimate = estimate.model_copy(update={"warnings": []})
    return estimate_part(request, estimate, backends=True)


@as_answer
async def name_image(request: Request) -> Response:
    """Keep an image that is named by a path or an address, as far as the server's policy allows it."""
    named = await read_json(request, NamedImage)
    return await keep_image(request, await state_of(request).inputs.read(named.source))


ROUTES: Final = [
    Route("/", draw_page),
    Route("/runs", start_run, methods=["POST"]),
    Route("/estimate", estimate_run, methods=["POST"]),
    Route("/images/named", name_image, methods=["POST"]),
]
