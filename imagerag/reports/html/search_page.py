"""A search as one self-contained page: every image that was found, with what is known of it.

A pure function of the search's document (`imagerag.search/1`) and of the images it names.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from imagerag.agent.errors import BlobError
from imagerag.formatting.html.templating import render
from imagerag.reports import search_text as words
from imagerag.reports.contact_sheet.layout import similarity_span
from imagerag.reports.html.image_gallery import Load, reduced
from imagerag.reports.html.run_page import TEMPLATES

if TYPE_CHECKING:
    from imagerag.schemas.searches import SearchDocument, SearchResult

SIDE = 256
"""Pixels of an image's longer side: as many as a thumbnail has."""


def search_page(document: "SearchDocument", load: Load) -> str:
    """The page.

    Args:
        load: gives an image's bytes for its SHA-256; raises LookupError or BlobError for one that is not there.
    """
    rows = [
        (one, _image(one, load), _link(one), *bar) for one, bar in zip(document.results, bars(document), strict=True)
    ]
    return render(TEMPLATES, "search.html", found=document, shown=rows, words=words)


def bars(document: "SearchDocument") -> "list[tuple[str | None, str | None]]":
    """How long each result's bar is, and where its threshold is on it, as CSS lengths; None where there is none."""
    limits = [words.limit_of(document, one) for one in document.results]
    low, high = similarity_span([*(words.cosine_of(document, one) for one in document.results), *limits])

    def along(value: float | None) -> str | None:
        return None if value is None else f"{100 * max(0.0, min(1.0, (value - low) / (high - low))):.1f}%"

    return [
        (along(words.cosine_of(document, one)), along(limit))
        for one, limit in zip(document.results, limits, strict=True)
    ]


def _image(one: "SearchResult", load: Load) -> str | None:
    try:
        return reduced(load(one.id), SIDE, region=one.region)
    except (BlobError, LookupError):
        return None


def _link(one: "SearchResult") -> str | None:
    """The address of an image's file; a path is escaped so that it is nothing else."""
    return Path(one.path).as_uri() if one.path else None
