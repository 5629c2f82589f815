"""The results of `imagerag search` as lines for a terminal."""

from typing import TYPE_CHECKING, Final

from imagerag.agent.retrieval.search_queries import WEB
from imagerag.cli.terminal.output import BAR, bar, bold, columns, dim, hanging, scale, short, table
from imagerag.cli.terminal.text_width import width
from imagerag.formatting.found_by import found_by_text
from imagerag.formatting.numbers import box, cosine, difference
from imagerag.formatting.text import clean, image_name
from imagerag.reports import search_text as words

if TYPE_CHECKING:
    from imagerag.schemas.searches import SearchDocument, SearchResult

OCR_SHOWN: Final = 40
"""Letters of the words in an image that a terminal shows; `--json` has all."""

BELOW: Final = BAR + 4
"""Column at which lines below a result start."""


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
