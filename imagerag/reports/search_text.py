"""The words of a search's sheet and page, made from its document (`imagerag.search/1`)."""

from typing import TYPE_CHECKING, Final

from imagerag.agent.qa.types import short
from imagerag.agent.retrieval.query_terms import format_terms
from imagerag.agent.types import caption_or_description
from imagerag.formatting.found_by import found_by_lines
from imagerag.formatting.messages import searched_with
from imagerag.formatting.numbers import cosine, counted, difference, threshold_words
from imagerag.formatting.text import clean

if TYPE_CHECKING:
    from imagerag.schemas.searches import SearchDocument, SearchResult, TermScore

OCR_SHOWN: Final = 200
"""Letters of the words in an image that are shown; the document has them all."""


def query_text(document: "SearchDocument") -> str:
    """The query, as a person would type it."""
    if document.query is not None and not any(term.image for term in document.terms):
        return document.query
    return format_terms([(term.term, term.weight) for term in document.terms])


def threshold_text(document: "SearchDocument") -> str:
    """The threshold, or why there is none."""
    own = {one.library: one.threshold for one in document.results if one.threshold is not None}
    limits = own or ({} if document.threshold is None else {"": document.threshold})
    captions = sorted({one.caption_threshold for one in document.results if one.caption_threshold is not None})
    if not captions or document.by == "captions":
        return threshold_words(limits, off=document.threshold_note or "threshold off")
    by_caption = f"≥ {' or '.join(map(cosine, captions))} of the caption"
    if all(limit >= 1 for limit in limits.values()):  # images are not accepted by themselves here
        return f"threshold cosine {by_caption}"
    return f"{threshold_words(limits, off='')}, or {by_caption}"


def searched(document: "SearchDocument") -> str:
    """What was searched, and how much of what was found reaches the threshold."""
    accepted = sum(one.accepted is True for one in document.results)
    has_threshold = document.threshold is not None or any(one.threshold is not None for one in document.results)
    parts = [
        f"library {document.library}",
        "by captions" if document.by == "captions" else "",
        counted(len(document.results), "image"),
        f"{accepted} reach the threshold" if has_threshold else "",
        threshold_text(document),
        searched_with(document.searched_with),
    ]
    return " · ".join(filter(None, parts))


def cosine_of(document: "SearchDocument", one: "SearchResult") -> float:
    """The cosine that a result was ranked by: of its image, or in a search by captions, of its caption."""
    return one.similarity if document.by == "images" or one.caption_similarity is None else one.caption_similarity


def limit_of(document: "SearchDocument", one: "SearchResult") -> float | None:
    """The cosine that a result has to reach; None where there is none."""
    return document.threshold if one.threshold is None else one.threshold


def term_name(term: "TermScore") -> str:
    """A term with its weight: `2:velvet`, `- leather`."""
    return format_terms([(term.term, term.weight)])


def contributions(one: "SearchResult") -> list[str]:
    """What each of several terms contributed: `+0.210 2:velvet`."""
    return [f"{difference(term.contribution)} {term_name(term)}" for term in one.terms]


def lists(one: "SearchResult") -> list[str]:
    """The lists of a hybrid search that have an image, and why."""
    return found_by_lines(one.found_by)


def creator_and_licence(one: "SearchResult") -> str:
    """Who made an image, and under which licence it is."""
    return " · ".join(filter(None, (one.author, one.licence)))


def caption_of(one: "SearchResult") -> str:
    """The caption of a result; without one, the description by a model, marked as such."""
    return caption_or_description(one.caption, one.description, one.described_by, one.description_confidence)


def in_image(one: "SearchResult") -> str:
    """The first of the words that OCR read in an image."""
    return f"in the image: {short(clean(one.ocr), OCR_SHOWN)}" if one.ocr else ""


def file_of(one: "SearchResult") -> str:
    """The file of an image; without one, what its source says."""
    return one.path or one.source
