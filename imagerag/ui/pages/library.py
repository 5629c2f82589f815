"""`/library` and `/library/NAME`: the libraries, and one of them with its images, search and adding."""

import shlex
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from imagerag.agent.errors import ImageRAGError, UnknownLibraryError, UntrustedError, UsageError
from imagerag.agent.types import BUILT_IN_LIBRARY
from imagerag.agent.visible_text import is_blank
from imagerag.graphs.configuration.trust_policy import is_plain
from imagerag.store.library.names import is_snapshot
from imagerag.store.trust_store import is_named
from imagerag.ui.library_tasks import LibraryTask
from imagerag.ui.rendering import page
from imagerag.ui.requests import as_answer, read_json, state_of

if TYPE_CHECKING:
    from imagerag.client.client import ImageRAG


class LibraryRequest(BaseModel):
    """A library that is to be made.

    Attributes:
        embedder: spec of its encoder; empty is the default.
    """

    model_config = ConfigDict(extra="forbid")

    name: str
    embedder: str = ""


def address_of(library: str) -> str:
    """The address of a library's page."""
    return f"/library/{quote(library, safe='')}"


def can_change(library: str) -> bool:
    """Whether a library is neither a snapshot nor the built-in catalogue."""
    return library != BUILT_IN_LIBRARY and not is_snapshot(library)


@as_answer
async def libraries_page(request: Request) -> Response:
    """The libraries."""
    rag = state_of(request).rag
    summaries = await rag.libraries.summaries()
    return page(request, "libraries.html", summaries=summaries, settings=rag.settings, address_of=address_of)


def _check_encoder(request: Request, spec: str) -> None:
    """See that a page names no encoder at an address or a path that the server was not started with.

    Raises:
        UntrustedError: it does.
    """
    named = state_of(request).rag.dependencies.user_named_specs
    if spec and not (is_plain(spec, services=False) or spec in named or is_named(spec)):
        raise UntrustedError(
            f"encoder {spec} has an address or a path of its own, or is of an installed package, so that no page turns "
            f"it on. Allow it on the machine of the page: imagerag trust --spec {shlex.quote(spec)}"
        )


@as_answer
async def make_library(request: Request) -> Response:
    """Make an empty library."""
    body, libraries = await read_json(request, LibraryRequest), state_of(request).rag.libraries
    if body.name in await libraries.list():
        raise UsageError(f"there is a library {body.name!r} already")
    if body.name == BUILT_IN_LIBRARY or is_blank(body.name):
        raise UsageError("give it another name")
    _check_encoder(request, body.embedder)
    await libraries.open(body.name, embedder=body.embedder or None, create=True)
    return JSONResponse({"name": body.name, "address": address_of(body.name)}, 201)


async def drawing_page(request: Request) -> Response | None:
    """A page that follows how the built-in library is drawn, which its first visit begins; None once it is there."""
    state, name = state_of(request), request.path_params["name"]
    if name != BUILT_IN_LIBRARY or await _is_drawn(state.rag):
        return None

    async def work(_: LibraryTask) -> None:
        await state.rag.libraries.open(BUILT_IN_LIBRARY)

    tasks = (task for task in state.library_tasks.of_library(name) if task.kind == "draw" and not task.ended)
    task = next(tasks, None) or state.library_tasks.start(LibraryTask(kind="draw", library=name), work)
    return page(request, "library_drawing.html", name=name, task=task, address=address_of(name))


async def _is_drawn(rag: "ImageRAG") -> bool:
    try:
        metadata = (await rag.libraries.summary(BUILT_IN_LIBRARY, disk=False, draw=False)).metadata
    except UnknownLibraryError:
        return False
    return metadata is not None and metadata.threshold is not None  # measured at its end


async def library_page(request: Request) -> Response:
    """One library. The results of its upkeep are on that page only: they may fill many screens."""
    try:
        if drawing := await drawing_page(request):
            return drawing
        values = await library_values(request, disk=False)
        tasks = [task for task in values.pop("tasks") if not task.ended or task.kind in ("upload", "index", "remove")]
        return page(request, "library.html", tasks=tasks, **values)
    except ImageRAGError as error:
        return page(request, "library_gone.html", status=404, message=str(error))


async def library_values(request: Request, *, disk: bool) -> dict[str, Any]:
    """What every page of a library shows; `disk` measures what it takes, which reads its folder."""
    state, name = state_of(request), request.path_params["name"]
    summary = await state.rag.libraries.summary(name, disk=disk)
    return {
        "summary": summary,
        "address": address_of(summary.name),
        "can_change": can_change(summary.name),
        "tasks": state.library_tasks.of_library(summary.name),
        "roots": state.inputs.roots,
        "query": request.query_params,
    }


ROUTES: Final = [
    Route("/library", libraries_page),
    Route("/library", make_library, methods=["POST"]),
    Route("/library/{name}", library_page),
]
