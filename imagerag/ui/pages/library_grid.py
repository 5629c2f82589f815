"""The images of a library: page by page, as results of a search, and as thumbnails; and what filters can ask."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from imagerag.agent.errors import BlobError, LibraryError, UsageError
from imagerag.client.search_document import document, threshold_of
from imagerag.reports import search_text
from imagerag.reports.html.search_page import bars
from imagerag.store.library.browsing import COLUMN_OF
from imagerag.store.text_files import clean
from imagerag.ui.image_bytes import image_bytes
from imagerag.ui.pages.images import FOREVER
from imagerag.ui.pages.library import address_of
from imagerag.ui.rendering import LinkedImages, markup, page
from imagerag.ui.requests import as_answer, number_of, state_of

if TYPE_CHECKING:
    from imagerag.client.search_results import Hits
    from imagerag.schemas.searches import SearchDocument

MOST: Final = 240
"""Images of one answer at most."""

FOUND: Final = 48
"""Results of a search, unless more are wanted."""


@as_answer
async def images_part(request: Request) -> Response:
    """Some tiles: `{"total": …, "offset": …, "html": …, "no_match": …}`."""
    state, name, query = state_of(request), request.path_params["name"], request.query_params
    order = query.get("order", "newest")
    if order not in COLUMN_OF:
        raise UsageError(f"`order` is one of {', '.join(COLUMN_OF)}")
    wanted = clean(query.get("filter", "")) or None
    shown = await state.rag.libraries.browse(
        name,
        filter=wanted,
        order=order,
        offset=number_of(query.get("offset", "0"), 10**9),
        limit=number_of(query.get("limit", "60"), MOST) or 1,
    )
    await state.thumbnails.load(state.rag, shown.library, [one.id for one in shown.records])
    why = await state.rag.libraries.no_match(name, wanted) if wanted and not shown.total else ""
    tiles = markup(request, "library_tiles.html", records=shown.records, address=address_of(shown.library))
    return JSONResponse({"total": shown.total, "offset": shown.offset, "no_match": why, "html": tiles})


@as_answer
async def found_part(request: Request) -> Response:
    """The results of a search, as a part of the page."""
    state, query = state_of(request), request.query_params
    # A library of the home, by its own name: no search service, nothing of an installed package, not several.
    name = await state.rag.libraries.current_name(request.path_params["name"])
    text, image = clean(query.get("q", "")) or None, query.get("image", "")
    data = await _image(request, name, image) if image else None
    k = number_of(query.get("k", str(FOUND)), MOST) or FOUND
    hits = await state.rag.libraries.search(
        text, image=data, library=name, k=k, filter=clean(query.get("filter", "")) or None,
        hybrid="hybrid" in query and text is not None,
    )  # fmt: skip
    if query.get("without"):
        hits[:] = [hit for hit in hits if hit.image.sha256 != query["without"]]
    await state.thumbnails.load(state.rag, name, [hit.image.sha256 for hit in hits])
    found = await _document(request, name, text, hits)
    shown = [*zip(found.results, bars(found), strict=True)]
    more = k * 2 if len(hits) >= k and k < MOST else None
    return page(request, "library_found.html", found=found, shown=shown, words=search_text, address=address_of(name),
                gallery=LinkedImages(name), more=more)  # fmt: skip


@as_answer
async def keys_part(request: Request) -> Response:
    """The keys and values that a filter can ask for."""
    keys = await state_of(request).rag.libraries.filter_keys(request.path_params["name"])
    return JSONResponse({"keys": [asdict(key) for key in keys]})


@as_answer
async def thumbnail(request: Request) -> Response:
    """The thumbnail of an image."""
    state, path = state_of(request), request.path_params
    data = await state.thumbnails.get(state.rag, path["name"], path["sha256"])
    if data is None:
        raise HTTPException(404)
    return Response(data, media_type="image/webp", headers=FOREVER)


async def _document(request: Request, name: str, text: str | None, hits: "Hits") -> "SearchDocument":
    opened = await state_of(request).rag.dependencies.library(name)
    try:
        threshold, note = threshold_of(opened, hits, "auto")
    except LibraryError as error:  # not calibrated
        threshold, note = None, str(error)
    return document(text, hits, threshold, note)


async def _image(request: Request, library: str, sha256: str) -> bytes:
    """An image to search with: one that was dropped in, or one of the library."""
    rag = state_of(request).rag
    try:
        return await image_bytes(rag, sha256, library)
    except BlobError:
        small = await rag.libraries.thumbnails([sha256], library)
        if sha256 not in small:
            raise
        return small[sha256]


ROUTES: Final = [
    Route("/library/{name}/part", images_part),
    Route("/library/{name}/found", found_part),
    Route("/library/{name}/keys", keys_part),
    Route("/library/{name}/thumbnails/{sha256}", thumbnail),
]
