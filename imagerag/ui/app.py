"""The whole ASGI application of the page."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from imagerag.http_server.access import CloseOnUnreadBody
from imagerag.ui.guard import PageGuard
from imagerag.ui.pages import (
    after,
    batches,
    compare,
    draw,
    evaluations,
    images,
    language,
    library,
    library_adding,
    library_grid,
    library_image,
    library_upkeep,
    login,
    pick,
    picture,
    run,
    runs,
)
from imagerag.ui.rendering import page, static_file
from imagerag.ui.requests import texts_of, wants_page
from imagerag.ui.state import UiState

if TYPE_CHECKING:
    from starlette.types import ASGIApp

PAGES: Final = (
    draw, pick, picture, runs, after, run, compare, batches, evaluations,
    library_adding, library_grid, library_image, library_upkeep, library, images, language, login,
)  # fmt: skip
"""The modules of pages. The first route that fits answers."""


def make_app(state: UiState) -> "ASGIApp":
    """The application, guarded."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await state.tasks.close()
        await state.library_tasks.close()

    app = Starlette(
        routes=[*(route for module in PAGES for route in module.ROUTES), Route("/static/{name}", get_static)],
        exception_handlers={HTTPException: _refused, ClientDisconnect: _gone, Exception: _failed},
        lifespan=lifespan,
    )
    app.state.ui = state
    return CloseOnUnreadBody(PageGuard(app, state))


async def get_static(request: Request) -> Response:
    """A script, a style sheet or a drawing. Browsers keep it, and ask each time whether it is still the same."""
    try:
        path = static_file(request.path_params["name"])
    except KeyError as error:
        raise HTTPException(404) from error
    return FileResponse(path, headers={"cache-control": "no-cache"})


async def _refused(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    # Starlette's own messages are the names of status codes.
    message = error.detail if isinstance(error, HTTPException) and error.__cause__ is not None else ""
    return page(request, "refused.html", status=status, code=status, message=message)


async def _gone(request: Request, error: Exception) -> Response:
    """Nobody is there to answer: the browser broke off what it sent, as when a page is left."""
    return Response(status_code=499)


async def _failed(request: Request, error: Exception) -> Response:
    """The answer to what nobody foresaw; the log has the rest of it."""
    message = texts_of(request)("refused.failed", error=type(error).__name__)
    if wants_page(request):
        return page(request, "refused.html", status=500, code=500, message=message)
    return JSONResponse({"error": type(error).__name__, "message": message}, 500)
