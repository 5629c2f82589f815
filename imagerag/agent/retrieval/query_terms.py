"""Queries of several terms: `a sofa + 2:velvet - leather`, with weights, and with images among the terms.

Only a `+` or `-` that stands alone, with spaces around it, separates terms, so hyphens and signs inside words mean
nothing. A query without one is a single text, taken as it is. rclip has the same queries.
"""

import math
import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Final

from imagerag.agent.errors import UsageError
from imagerag.agent.images.formats import IMAGE_SUFFIXES
from imagerag.agent.pointed_text import pointed
from imagerag.agent.ports import MOST_WEIGHT, SearchTerm
from imagerag.agent.visible_text import is_blank

MOST_TERMS: Final = 16
"""Terms of a query."""

_SIGN: Final = re.compile(r"(?<!\S)[+-](?!\S)")
_ESCAPED: Final = re.compile(r"(?<!\S)\\([+-])(?!\S)")
_MEANT: Final = re.compile(r"(?<!\S)\\?[+-](?!\S)")
_WEIGHT: Final = re.compile(r"([+-]?)([0-9]+(?:\.[0-9]*)?|\.[0-9]+):(?![0-9])\s*")
"""`2:velvet`. Digits on both sides of the colon are a ratio or a time: `16:9`, `10:30`."""
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_LOCAL: Final = re.compile(r"(?:\.{0,2}|~)[/\\]|[A-Za-z]:[/\\]")
_ADDRESS: Final = re.compile(r"(?:https?|image)://\S+", re.IGNORECASE)

_HINT: Final = 'words with a + or - of their own are put in quotes: "salt - pepper"'


def parse_query(text: str, *, images: bool = False, alone: bool = True) -> tuple[SearchTerm, ...]:
    """The terms of a query; a query without a `+` or `-` that stands alone is one term, as it is.

    Args:
        images: whether paths (`./sofa.jpg`) and addresses are read as images; else they are text.
        alone: nothing else is searched with, so that a term must be there that is not subtracted; else weights are read
            in a single term, too.

    Raises:
        UsageError: it cannot be read; the message points at the place.
    """
    if alone and _is_plain(text):
        return (_term(text, 1.0, images),)
    terms = tuple(_terms(text, images))
    if alone and all(term.weight < 0 for term in terms):
        raise _wrong(text, len(text) - len(text.lstrip()), "this leaves out only: say what to look for, too")
    return terms


def query_terms(
    query: str | Sequence[SearchTerm] | None, images: Sequence[str | Path | bytes] = (), *, paths: bool = False
) -> tuple[SearchTerm, ...]:
    """What is searched with: images first, each with weight 1, then the terms of a query.

    Args:
        paths: whether paths and addresses in a query that is text are read as images.

    Raises:
        UsageError: nothing to search with, only terms to subtract, or too many terms; or as `parse_query`.
    """
    count = len(images)
    image_terms = [
        SearchTerm(image=image, name=f"image {at}" if isinstance(image, bytes) and count > 1 else "")
        for at, image in enumerate(images, start=1)
    ]
    if query is None:
        own: Sequence[SearchTerm] = ()
    else:
        own = parse_query(query, images=paths, alone=not images) if isinstance(query, str) else tuple(query)
    terms = (*image_terms, *own)
    if not terms:
        raise UsageError("search with a text, with an image, or with both")
    if all(term.weight < 0 for term in terms):
        raise UsageError("all terms are subtracted: say what to look for, too")
    if len(terms) > MOST_TERMS:
        raise UsageError(f"the query has {len(terms)} terms; at most {MOST_TERMS} are read")
    return terms


def format_terms(terms: Sequence[tuple[str, float]]) -> str:
    """A query that reads as these names and weights: `a sofa + 2:velvet - leather`."""
    if len(terms) == 1 and terms[0][1] == 1 and _is_plain(terms[0][0]):
        return terms[0][0]
    parts = []
    for at, (name, weight) in enumerate(terms):
        sign = "- " if weight < 0 else "+ " if at else ""
        number = "" if abs(weight) == 1 else f"{_number(abs(weight))}:"
        parts.append(sign + number + _quoted(name, beside=bool(number)))
    return " ".join(parts)


def _number(weight: float) -> str:
    """A weight in digits, as it is read: without an exponent."""
    return f"{weight:g}" if float(f"{weight:g}") == weight and "e" not in f"{weight:g}" else f"{Decimal(weight):f}"


def _quoted(name: str, *, beside: bool) -> str:
    """The words of a term, in quotes where they would be read as something else, as a digit `beside` a weight would."""
    ambiguous = (
        _MEANT.search(name) or _WEIGHT.match(name) or name.startswith('"') or (beside and name[:1] in "0123456789")
    )
    if name == name.strip() and not ambiguous:
        return name
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _is_plain(text: str) -> bool:
    """Whether a text holds no sign that stands alone, be it in quotes."""
    whole = _QUOTED.fullmatch(text.strip())
    return _MEANT.search(text) is None and (whole is None or _MEANT.search(_unquoted(whole[1])) is None)


def _terms(text: str, images: bool) -> Iterator[SearchTerm]:
    """The terms of a text: a sign, which the first one need not have, a weight, and words, in quotes or not."""
    at, before = _after(text, 0), ""
    if first := _SIGN.match(text, at):
        before, at = first[0], _after(text, first.end())
    while True:
        sign = -1.0 if before == "-" else 1.0
        weight, begin = _weight(text, at)
        if begin > at:
            before = "the weight"
        if quoted := _quoted_words(text, begin):
            content, end = quoted
            yield SearchTerm(text=content, weight=sign * weight)
        else:
            content, end = _plain_words(text, begin, before)
            yield _term(content, sign * weight, images)
        if end == len(text):
            return
        before, at = text[end], _after(text, end + 1)


def _quoted_words(text: str, at: int) -> tuple[str, int] | None:
    """A term in quotes, and where it ends: at a sign, or with the text. None for one that is not in quotes."""
    if text[at : at + 1] != '"':
        return None
    quoted = _QUOTED.match(text, at)
    if quoted is None:
        raise _wrong(text, at, "this quote is not closed")
    end = _after(text, quoted.end())
    if end < len(text) and _SIGN.match(text, end) is None:
        raise _wrong(text, end, "expected + or - after the closing quote")
    if is_blank(quoted[1]):
        raise _wrong(text, at, "this term is empty")
    return _unquoted(quoted[1]), end


def _unquoted(inside: str) -> str:
    return re.sub(r"\\([\"\\])", r"\1", inside)


def _plain_words(text: str, at: int, before: str) -> tuple[str, int]:
    """A term without quotes, and where it ends."""
    match = _SIGN.search(text, at)
    end = match.start() if match else len(text)
    content = _ESCAPED.sub(r"\1", text[at:end].strip())
    if not content:
        raise _wrong(text, min(at, len(text.rstrip())), f"expected a term after {before}")
    return content, end


def _after(text: str, at: int) -> int:
    """The next place that is not white space."""
    return len(text) - len(text[at:].lstrip())


def _weight(text: str, at: int) -> tuple[float, int]:
    """The weight of the term at a place, and where the term goes on."""
    match = _WEIGHT.match(text, at)
    if match is None:
        return 1.0, at
    if match[1]:
        raise _wrong(text, at, f"a weight has no sign: write {match[1]} {match[2]}: with a space", "")
    weight = float(match[2])
    if not math.isfinite(weight) or not 0 < weight <= MOST_WEIGHT:
        raise _wrong(text, at, f"a weight is above 0 and at most {MOST_WEIGHT:g}", "")
    return weight, match.end()


def _term(content: str, weight: float, images: bool) -> SearchTerm:
    if images and _is_image(content.strip()):
        return SearchTerm(image=content.strip(), weight=weight)
    return SearchTerm(text=content, weight=weight)


def _is_image(content: str) -> bool:
    """Whether a term is a path or an address of an image. A path has its folder before it, as `./`, and a suffix."""
    if _ADDRESS.fullmatch(content):
        return True
    return _LOCAL.match(content) is not None and content.lower().endswith(tuple(IMAGE_SUFFIXES))


def _wrong(text: str, at: int, words: str, hint: str = _HINT) -> UsageError:
    return UsageError(pointed("query", text, at, words, hint))
