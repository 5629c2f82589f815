"""The results of `imagerag search`: as a document, and as lines for a terminal."""

from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from imagerag.agent.retrieval.search_queries import WEB
from imagerag.cli.terminal.output import BAR, bar, bold, columns, dim, hanging, scale, short, table
from imagerag.cli.terminal.text_width import width
from imagerag.formatting.found_by import found_by_text
from imagerag.formatting.messages import NOT_CALIBRATED
from imagerag.formatting.numbers import box, cosine, difference
from imagerag.formatting.text import clean, image_name
from imagerag.reports import search_text as words

if TYPE_CHECKING:
    from imagerag.agent.ports import Hit, ReferenceLibrary, SearchTerm
    from imagerag.client.search_results import Hits
    from imagerag.schemas.searches import SearchDocument, SearchedTerm, SearchResult

OCR_SHOWN: Final = 40
"""Letters of the words in an image that a terminal shows; `--json` has all."""

BELOW: Final = BAR + 4
"""Column at which lines below a result start."""

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
            _found(hit, None if why else accepted(hit, threshold, hits.by))
            for hit, why in zip(hits, unknown, strict=True)
        ],
        no_match=hits.no_match,
        service_errors=list(hits.service_errors),
    )


def _term(term: "SearchTerm") -> "SearchedTerm":
    from imagerag.schemas.searches import SearchedTerm

    return SearchedTerm(term=term.name, image=term.image is not None, weight=term.weight)


def _found(hit: "Hit", accepted: bool | None) -> "SearchResult":
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


def result_lines(document: "SearchDocument") -> list[str]:
    """The results as a table, with bars that mark the threshold, and of several terms what each contributed."""
    limits = [words.limit_of(document, one) for one in document.results]
    top = scale(
        [0.0, *(limit or 0.0 for limit in limits), *(words.cosine_of(document, one) for one in document.results)]
    )
    rows = [
        [
            bar(words.cosine_of(document, one), limit, top),
            cosine(words.cosine_of(document, one)),
            " ".join(difference(term.contribution) for term in one.terms),
            bold(title) if one.accepted else title,
            dim(_words_of(one)),
            dim(short(one.licence, 18)),
        ]
        for one, limit in zip(document.results, limits, strict=True)
        for title in [short(image_name(one.title, one.id), 28)]
    ]
    below = [_below(one) for one in document.results]
    lines = table(rows, right={1}, cut=(4, 3, 5))
    if any(below):
        if len(lines) != len(rows):  # folded
            lines = ["\n".join(table([row])) for row in rows]
        lines = [text for line, more in zip(lines, below, strict=True) for text in (line, *more)]
    return [*_header(document), *lines]


def _header(document: "SearchDocument") -> list[str]:
    """The library and its threshold; on a line each where one has no room for both."""
    name, threshold = f"library {bold(document.library)}", words.threshold_text(document)
    if width(name) + 2 + width(threshold) <= columns():
        return [f"{name}  {dim(threshold)}"]
    return [name, *map(dim, hanging(threshold, columns(), indent=2, head="  "))]


def _below(one: "SearchResult") -> list[str]:
    """Where in an image the thing is, the lists of a hybrid search that found it, and its page on the web, as lines
    below a result."""
    where = box(one.region.shares) if one.region else ""
    page = f"by {one.author or 'unknown'}: {one.source}" if one.library.startswith(WEB) else ""
    text = " · ".join(filter(None, (where, found_by_text(one.found_by), page)))
    return [dim(line) for line in hanging(text, columns(), indent=BELOW, head=" " * BELOW)] if text else []


def _words_of(one: "SearchResult") -> str:
    """The caption or a model's description, marked as such, and what OCR read."""
    ocr_text = f"[{short(one.ocr, OCR_SHOWN)}]" if one.ocr else ""
    return " ".join(filter(None, (clean(words.caption_of(one)), ocr_text)))


def term_lines(document: "SearchDocument") -> list[str]:
    """The terms of a query that has several, in the order of the results' contributions."""
    if len(document.terms) < 2:
        return []
    return [dim(f"terms: {clean(words.query_text(document))}")]
