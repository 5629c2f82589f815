"""Search of a library for the tool `search_references`."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal

from imagerag.agent.errors import LibraryError, UsageError
from imagerag.agent.types import ImageRef
from imagerag.assistants.image_lookup import ImageLookup
from imagerag.assistants.tool_inputs import SearchReferences
from imagerag.assistants.tool_outputs import SearchReport
from imagerag.assistants.tool_reports import search_report
from imagerag.formatting.messages import searched_with

if TYPE_CHECKING:
    from imagerag.agent.ports import ReferenceLibrary, SearchTerm
    from imagerag.client.client import ImageRAG

_NO_CAPTION: Final = "no image here has a caption"
_TOO_LONG: Final = "the query is longer than the library's encoder reads: its end was not searched with, say it shorter"


async def search_library(
    rag: "ImageRAG", images: ImageLookup, request: SearchReferences, text: str = ""
) -> tuple[SearchReport, tuple[ImageRef, ...]]:
    """Search a library with words, images, or both; give the report and the images found.

    Args:
        text: what is searched for as it is, in place of the request's query, whose signs and paths mean something.

    Raises:
        UsageError: no library is named, and there is no default one; or the query cannot be read.
    """
    from imagerag.agent.ports import Filter, SearchTerm
    from imagerag.agent.ports.hits import service_errors_of
    from imagerag.agent.retrieval.query_terms import format_terms, query_terms
    from imagerag.agent.retrieval.search_queries import check_filter, explain_filter, search_captions, search_terms

    name = request.library or rag.settings.library
    if not name:
        raise UsageError("there is no usual library here: say which one with library=...")
    query = (SearchTerm(text=text),) if text else request.query
    terms = query_terms(query, () if request.image is None else (request.image,), paths=True)
    library = await rag.dependencies.library(name)
    conditions = Filter(where=rag.settings.where(request.filter), tags=request.tags, licences=request.licences)
    await check_filter(library, conditions)
    loaded = [replace(term, image=await images.read(str(term.image), name)) if term.image else term for term in terms]
    if captions := request.by == "captions":
        hits = await search_captions(library, loaded, k=request.k, filter=conditions)
    else:
        hits = await search_terms(library, loaded, k=request.k, filter=conditions, hybrid=request.by == "hybrid")
    note = "; ".join(service_errors_of(hits)) or (
        "" if hits else await explain_filter(library, conditions) or _NO_CAPTION * captions
    )
    report = search_report(
        name,
        getattr(library, "caption_threshold", None) if captions else _threshold(library, terms),
        hits,
        by="captions" if captions else _kind(terms),
        terms=[format_terms([(term.name, term.weight)]) for term in terms] if len(terms) > 1 else [],
        note=note or ("" if captions else _note(library, [term.text for term in terms if term.text])),
    )
    images.remember((hit.image.sha256 for hit in hits), name)
    return report, tuple(hit.image for hit in hits)


def _kind(terms: "Sequence[SearchTerm]") -> Literal["words", "image", "terms"]:
    if len(terms) > 1:
        return "terms"
    return "words" if terms[0].image is None else "image"


def _note(library: "ReferenceLibrary", texts: Sequence[str]) -> str:
    """The words that were searched with instead of a query's, or that a text is too long."""
    from imagerag.agent.ports import queries_of

    note = searched_with([other for text in texts for other in queries_of(library, text)])
    long = any(library.count_tokens(text) > library.context_length for text in texts)
    return note or (_TOO_LONG if long else "")


def _threshold(library: "ReferenceLibrary", terms: "Sequence[SearchTerm]") -> float | None:
    """The cosine to reach; none is calibrated for several terms."""
    if len(terms) > 1:
        return None
    if terms[0].image is not None:
        return getattr(library, "image_threshold", None)
    with suppress(LibraryError):  # one that was never calibrated
        return library.threshold
    return None
