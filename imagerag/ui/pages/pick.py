"""`/pick/…`: images to take into the form, of a library or of earlier runs, and what libraries can be filtered by."""

import asyncio
from collections.abc import Iterable
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from imagerag.agent.errors import ImageRAGError
from imagerag.agent.run_record import RunRecord
from imagerag.store.text_files import clean
from imagerag.ui.draw_request import check_library
from imagerag.ui.rendering import LinkedImages, page
from imagerag.ui.requests import as_answer, state_of

SHOWN: Final = 24
SUGGESTED: Final = 200
"""Tags and licences that are suggested at most."""


@as_answer
async def pick_of_library(request: Request) -> Response:
    """Images of a library: those most similar to `text`, or some of them."""
    from imagerag.agent.ports import Filter

    state, name = state_of(request), request.query_params.get("library", "")
    text = request.query_params.get("text", "").strip()[:400]
    check_library(state, name)
    libraries = state.rag.libraries
    if text:
        images = [(hit.image, hit.title or hit.caption) for hit in await libraries.search(text, library=name, k=SHOWN)]
    else:
        rows, _ = await (await libraries.open(name)).listed(filter=Filter(), limit=SHOWN)
        images = [(row.image, row.title or row.caption) for row in rows]
    return page(request, "pick.html", images=images, library=name, gallery=LinkedImages(name))


@as_answer
async def pick_of_runs(request: Request) -> Response:
    """The results of the newest runs whose prompt holds `text`."""
    runs = state_of(request).rag.runs
    entries = await runs.list(SHOWN, text=clean(request.query_params.get("text", "")) or None)

    async def read(run_id: str) -> RunRecord | None:
        try:
            return await runs.get(run_id)
        except ImageRAGError:
            return None

    records = await asyncio.gather(*(read(entry.run_id) for entry in entries))
    images = [(record.image, record.prompt) for record in records if record and record.image]
    return page(request, "pick.html", images=images, library="", gallery=LinkedImages())


@as_answer
async def filter_values(request: Request) -> Response:
    """The tags, licences and metadata keys of a library: `{"tags": […], "licences": […], "keys": […]}`."""
    from imagerag.store.library.filters.facets import facets

    state, name = state_of(request), request.query_params.get("library", "")
    check_library(state, name)
    found = await asyncio.to_thread(facets, state.rag.dependencies.home, name)
    values: dict[str, Iterable[str]] = {"tags": found.tags, "licences": found.licences, "keys": found.metadata}
    return JSONResponse({key: [one for one in words if one][:SUGGESTED] for key, words in values.items()})


@as_answer
async def check_of_library(request: Request) -> Response:
    """How well a library can be searched: the verdict on each way, by the short check."""
    from imagerag.store.library.check.ways import FEW

    state, name = state_of(request), request.query_params.get("library", "")
    check_library(state, name)
    check = await state.rag.libraries.check(name, queries=FEW)
    return page(request, "library_check.html", check=check)


ROUTES: Final = [
    Route("/pick/library", pick_of_library),
    Route("/pick/runs", pick_of_runs),
    Route("/pick/values", filter_values),
    Route("/pick/check", check_of_library),
]
