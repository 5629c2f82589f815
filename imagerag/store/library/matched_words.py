"""The words of a query that an image's texts contain, and where, to say why a search by words found it.

Own code: LanceDB returns the score of a row only. Its stems are approximated: words with the same beginning count as
the same word if they differ by an ending.
"""

import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from imagerag.store.library.accents import without_accents
from imagerag.store.library.description_columns import WORDS
from imagerag.store.library.thresholds.caption_words import STOP_WORDS
from imagerag.store.library.word_search import WORD, WORD_COLUMNS

SHORTEST, ENDING = 3, 4
"""Letters that two forms of a word share at least, and that the longer one has at most beyond these."""


def matched_words(text: str, record: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    """The field of a record that contains most words of a query, and these words, as the query has them.

    Args:
        record: with some of `WORD_COLUMNS`.

    Returns:
        "" and none where no field contains one.
    """
    query_words = [
        word
        for word in dict.fromkeys(WORD.findall(unicodedata.normalize("NFC", text)))
        if _folded(word) not in STOP_WORDS
    ]
    best: tuple[str, tuple[str, ...]] = ("", ())
    for name in WORD_COLUMNS:
        value = record.get(name) or ""
        there = _folded(value if isinstance(value, str) else "\n".join(value))
        words = frozenset(WORD.findall(there))
        matches = tuple(part for word in query_words if (part := _matching_part(word, there, words)))
        if len(matches) > len(best[1]):
            best = "description" if name == WORDS else name, matches
    return best


def _matching_part(word: str, text: str, words: frozenset[str]) -> str:
    """A query's word where a text contains it, or the part of it that the text contains; else ""."""
    folded = _folded(word)
    if any(_unspaced(letter) for letter in word):
        return _shared_part(word, text)
    return word if folded in words or any(_same_stem(folded, other) for other in words) else ""


def _shared_part(word: str, text: str) -> str:
    """The longest part of a text without spaces that another text contains."""
    composed = unicodedata.normalize("NFC", word)
    parts = (composed[at : at + long] for long in range(len(composed), 0, -1) for at in range(len(composed) - long + 1))
    return next((part for part in parts if _folded(part) in text and any(map(_is_ideograph, part))), "")


def _same_stem(one: str, other: str) -> bool:
    shared = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    shorter, longer = sorted((len(one) - shared, len(other) - shared))
    return shared >= SHORTEST and shorter < SHORTEST and longer <= ENDING


def _unspaced(letter: str) -> bool:
    """Whether a letter is of a script that puts no spaces between words."""
    return not letter.isascii() and unicodedata.name(letter, "").startswith(
        ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR")
    )


def _is_ideograph(letter: str) -> bool:
    return not unicodedata.name(letter, "").startswith("HIRAGANA")


_folded = lru_cache(maxsize=4096)(without_accents)
