"""Search of a library for the tool `search_references`."""

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from imagerag.agent.errors import LibraryError, UsageError
from imagerag.agent.types import ImageRef
from imagerag.assistants.image_lookup import ImageLookup
from imagerag.assistants.tool_inputs import SearchReferences
from imagerag.assistants.tool_outputs import SearchReport
from imagerag.assistants.tool_reports import search_report
from imagerag.formatting.messages import searched_with

if TYPE_CHECKING:
    from imagerag.agent.ports import ReferenceLibrary
    from imagerag.client.client import ImageRAG

_TOO_LONG: Final = "the query is longer than the library's encoder reads: its end was not searched with, say it shorter"


async def search_library(
    rag: "ImageRAG", images: ImageLookup, request: SearchReferences
) -> tuple[SearchReport, tuple[ImageRef, ...]]:
    """Search a library with words or an image; give the report and the images found.

    Raises:
        UsageError: no library is named, and there is no default one.
    """
    from imagerag.agent.ports import Filter, queries_of
    from imagerag.agent.retrieval.search_queries import check_filter, explain_filter, search_query

    name = request.library or rag.settings.library
    if not name:
        raise UsageError("there is no usual library here: say which one with library=...")
    library = await rag.dependencies.library(name)
    wanted = Filter(where=rag.settings.where(request.filter), tags=request.tags, licences=request.licences)
    await check_filter(library, wanted)
    if request.image is not None:
        data = await images.read(request.image, name)
        hits = await library.search_by_image(data, k=request.k, filter=wanted)
        note = "" if hits else await explain_filter(library, wanted)
        found = search_report(name, getattr(library, "image_threshold", None), hits, by="image", note=note)
    else:
        query = request.query or ""
        hits = await search_query(library, query, k=request.k, filter=wanted)
        long = library.count_tokens(query) > library.context_length
        note = searched_with(queries_of(library, query)) or (_TOO_LONG if long else "")
        note = note if hits else await explain_filter(library, wanted) or note
        found = search_report(name, _threshold(library), hits, note=note)
    images.remember((hit.image.sha256 for hit in hits), name)
    return found, tuple(hit.image for hit in hits)


def _threshold(library: "ReferenceLibrary") -> float | None:
    with suppress(LibraryError):  # one that was never calibrated
        return library.threshold
    return None
