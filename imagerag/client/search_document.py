"""The results of a search as a document, `imagerag.search/1`: which of them are accepted, and by which threshold."""

from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from imagerag.formatting.messages import NOT_CALIBRATED

if TYPE_CHECKING:
    from imagerag.agent.ports import Hit, ReferenceLibrary, SearchTerm
    from imagerag.client.search_results import Hits
    from imagerag.schemas.searches import SearchDocument, SearchedTerm, SearchResult

OF_CAPTIONS: Final = "threshold of captions not known"
NOT_OF_WEB: Final = "a search service alone has no threshold: write ?threshold=COSINE after its name"
BETWEEN_IMAGES: Final = "threshold between images not known"


def threshold_of(
    library: "ReferenceLibrary", hits: "Hits", requested: float | Literal["auto", "off"]
) -> tuple[float | None, str]:
    """The cosine that all results have to reach, and why none is known, where that is so.

    Raises:
        LibraryError: the library has not been calibrated.
    """
    if requested != "auto":
        return None if requested == "off" else requested, ""
    if len(hits.terms) > 1:
        return None, NOT_CALIBRATED
    if hits.by == "captions":
        between = getattr(library, "caption_threshold", None)
        return between, OF_CAPTIONS if between is None and all(hit.threshold is None for hit in hits) else ""
    if hits.terms[0].image is not None:
        between = getattr(library, "image_threshold", None)
        return between, BETWEEN_IMAGES if between is None and all(hit.threshold is None for hit in hits) else ""
    from imagerag.agent.ports import is_web_library

    if is_web_library(library):
        return None, "" if any(hit.threshold is not None for hit in hits) else NOT_OF_WEB
    # Of several libraries, each has a threshold of its own, and its images come with it.
    return None if hasattr(library, "libraries") else library.threshold, ""


def document(query: str | None, hits: "Hits", threshold: float | None, note: str) -> "SearchDocument":
    """The result of a search as a JSON document.

    Args:
        note: why it is not known which results are accepted.
    """
    from imagerag.schemas.searches import SearchDocument

    images = [term.name for term in hits.terms if term.image is not None]
    some = any(hit.threshold is not None for hit in hits)  # of several libraries, one may have no threshold
    unknown = [bool(note) or (some and hit.threshold is None) for hit in hits]
    return SearchDocument(
        library=hits.library,
        query=query,
        by=hits.by,
        image=images[0] if len(images) == 1 else None,
        terms=[_term(term) for term in hits.terms],
        searched_with=list(hits.searched_with),
        threshold=threshold,
        threshold_note=note,
        results=[
            _result(hit, None if why else accepted(hit, threshold, hits.by))
            for hit, why in zip(hits, unknown, strict=True)
        ],
        no_match=hits.no_match,
        service_errors=list(hits.service_errors),
    )


def _term(term: "SearchTerm") -> "SearchedTerm":
    from imagerag.schemas.searches import SearchedTerm

    return SearchedTerm(term=term.name, image=term.image is not None, weight=term.weight)


def _result(hit: "Hit", accepted: bool | None) -> "SearchResult":
    from imagerag.schemas.searches import SearchResult, TermScore

    return SearchResult(
        id=hit.image.sha256,
        similarity=float(hit.similarity),
        caption_similarity=hit.caption_similarity,
        caption_threshold=hit.caption_threshold,
        library=hit.library,
        threshold=hit.threshold,
        accepted=accepted,
        terms=[TermScore(**vars(term)) for term in hit.terms],
        found_by=list(hit.found_by),
        path=path_of(hit.source),
        caption=hit.caption,
        title=hit.title,
        metadata=dict(hit.metadata),
        tags=list(hit.tags),
        source=hit.source,
        author=hit.author,
        licence=hit.licence,
        ocr=hit.ocr,
        description=hit.description,
        described_by=hit.described_by,
        description_confidence=hit.description_confidence,
        region=hit.region,
    )


def accepted(hit: "Hit", threshold: float | None, by: Literal["images", "captions"] = "images") -> bool:
    """Whether an image, or its caption, reaches the threshold: whether a run would use the image as a reference."""
    return hit.reaches(threshold, by_caption=by == "captions")


def path_of(source: str) -> str | None:
    """The file from which an image was indexed, if its source is a path and the file exists."""
    try:
        path = Path(source)
        return str(path) if path.is_absolute() and path.is_file() else None
    except (OSError, ValueError):  # a source can be any text
        return None
