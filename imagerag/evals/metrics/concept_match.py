"""Precision and recall of the concepts that a judge names as missing.

Concepts are compared as normalised words: without case, articles, filler words, plurals and word order, and with
synonyms (grey and gray, disc and circle, and the user's own) mapped to one word. A named concept is right when it has a
word that only the missing content has, and none that only the image's content has.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final

from imagerag.agent.errors import UsageError
from imagerag.agent.regular_files import read_regular_text

_FRAME: Final = frozenset(
    """
    a an and any as at by for from in into is it its no not of on one or over some that the there this to under with
    without background close concept content depiction detail drawing element feature full illustration image kind
    missing object painting part photo photograph picture presence rendering scene setting showing shown sketch
    something style subject thing type view visible
    """.split()  # noqa: SIM905, prose is easier to read than a list of quoted words
)
_ALIKE: Final = (
    "grey gray", "colour color", "circle disc disk circular round", "square quadratic", "triangle triangular",
    "rectangle rectangular", "hexagon hexagonal", "oval ellipse elliptical", "star starry", "stripe striped stripy",
    "dot dotted spotted polka", "checker checkered chequered checked checkerboard", "dog puppy hound canine",
    "cat kitten feline kitty", "car automobile auto", "bike bicycle", "motorbike motorcycle",
    "plane aeroplane airplane",
    "ship boat vessel", "sofa couch", "tv television", "cup mug", "rug carpet", "trousers pants", "sneaker trainer",
    "bag handbag budget", "person human people", "man gentleman", "woman lady", "child kid", "photo photography",
    "rock stone", "forest wood woods woodland", "street road", "house home", "bunny rabbit", "sunset dusk", "big large",
    "small little tiny",
)  # fmt: skip


def own_synonyms(file: Path) -> dict[str, str]:
    """Parse a file of synonyms: one group on each line, separated by commas; the first word stands for the group.

    Raises:
        UsageError: the file cannot be read, or a line has only one word.
    """
    try:
        lines = read_regular_text(file.expanduser(), encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the synonyms in {file}: {error}") from error
    synonyms: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        words = [word.strip() for word in line.split("#")[0].split(",") if word.strip()]
        if len(words) == 1:
            raise UsageError(f"{file}, line {number}: words for the same thing, separated by commas: cat, kitten")
        synonyms |= {_folded(word): _folded(words[0]) for word in words}
    return synonyms


def words_of(text: str, synonyms: Mapping[str, str] = {}) -> frozenset[str]:
    """The normalised words of a concept."""
    folded = f" {_folded(text)} "
    for phrase, meaning in sorted(synonyms.items(), key=lambda pair: -len(pair[0])):
        folded = folded.replace(f" {phrase} ", f" {meaning} ")
    table = _synonym_table()
    singular = (_singular(word) for word in folded.split())
    return frozenset(table.get(word, word) for word in singular) - _FRAME


def is_right(concept: str, missing: str, there: str, synonyms: Mapping[str, str] = {}) -> bool:
    """Whether a concept that a judge named is missing.

    Args:
        missing: content that the prompt asks for and the image lacks.
        there: content of the image.
    """
    named_words, lacking, shown_words = (words_of(text, synonyms) for text in (concept, missing, there))
    return bool(named_words & (lacking - shown_words)) and not named_words & (shown_words - lacking)


def counted(
    concepts: Sequence[str], missing: Iterable[str], there: str, synonyms: Mapping[str, str] = {}
) -> tuple[int, int]:
    """Count the named concepts that are right, and the missing ones that are named."""
    lacking = list(missing)
    right = [[is_right(one, other, there, synonyms) for other in lacking] for one in concepts]
    found_count = sum(any(row[at] for row in right) for at in range(len(lacking)))
    return sum(any(row) for row in right), found_count


@cache
def _synonym_table() -> dict[str, str]:
    from imagerag.tools.sketch.caption_text import SYNONYMS

    table = {word: group.split()[0] for group in _ALIKE for word in group.split()}
    for word, others in SYNONYMS.items():
        head = table.get(word, word)
        table |= {_singular(other): head for other in (word, *others) if " " not in other and "-" not in other}
    return table


def _folded(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text.casefold())
    return " ".join(re.findall(r"\w+", "".join(c for c in plain if not unicodedata.combining(c)).replace("_", " ")))


def _singular(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return f"{word[:-3]}y"
    if word.endswith(("sses", "shes", "ches", "xes", "zes")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us", "is")) and len(word) > 3 else word
