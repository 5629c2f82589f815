"""`/library`: the images of a library."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from imagerag.ui.rendering import page
from imagerag.ui.requests import as_answer, state_of


@as_answer
async def library_page(request: Request) -> Response:
    """The libraries."""
    return page(request, "library.html", libraries=await state_of(request).rag.libraries.list())


ROUTES: Final = [Route("/library", library_page)]
