"""`/runs`: the list of runs."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from imagerag.ui.rendering import page
from imagerag.ui.requests import as_answer, state_of

SHOWN: Final = 60
"""Runs on one page of the list."""


@as_answer
async def runs_page(request: Request) -> Response:
    """The newest runs."""
    entries = await state_of(request).rag.runs.list(SHOWN, text=request.query_params.get("text") or None)
    return page(request, "runs.html", entries=entries)


ROUTES: Final = [Route("/runs", runs_page)]
