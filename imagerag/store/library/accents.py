"""Words that differ in accents only: "cafe" finds "café", "καφε" "καφέ", and "елка" "ёлка".

LanceDB compares words without accents, but only Latin letters, and after it has reduced them to stems: in German "cafe"
becomes "caf", and "café" "cafe". So a query's words are searched in each spelling that the library has of them, too.
German umlauts need no help: LanceDB's German stems equate ü, u and ue.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

MOST_SPELLINGS: Final = 8
"""Spellings of a word that are searched at most."""

_LETTERS: Final = frozenset({(0x0438, 0x0306), (0x0418, 0x0306)})
"""Letters with a mark that are other letters: й is no и."""

_PART: Final = 50_000


def without_accents(text: str) -> str:
    """A text in lower case without accents, vowel points and dots that readers of its language leave out.

    Marks that make another letter stay: the voicing of kana (ガ is no カ), and the virama and vowels of Indic scripts.
    """
    if text.isascii():
        return text.lower()
    letters: list[str] = []
    for sign in unicodedata.normalize("NFKD", text.casefold()):
        if not _folds(sign) or (letters and (ord(letters[-1]), ord(sign)) in _LETTERS):
            letters.append(sign)
    return unicodedata.normalize("NFC", "".join(letters))


def _folds(mark: str) -> bool:
    """By the canonical combining class: 7 are nuktas, 10 to 35 Hebrew and Arabic points, from 200 on accents."""
    kind = unicodedata.combining(mark)
    return kind == 7 or 10 <= kind <= 35 or kind >= 200


def spellings(table: Any, columns: Sequence[str], text: str) -> list[str]:
    """How a library spells the words of a query with other accents, each spelling once.

    Args:
        columns: of texts or lists of texts.
    """
    known_spellings = _known_spellings(_TableVersion(table, tuple(columns), (table.uri, table.version, tuple(columns))))
    words = {word.lower() for word in _words(text)}
    folded = dict.fromkeys(without_accents(word) for word in _words(text))
    other = [one for word in folded for one in [*known_spellings.get(word, ()), word][:MOST_SPELLINGS]]
    return [one for one in dict.fromkeys(other) if one not in words]


@dataclass(frozen=True)
class _TableVersion:
    """A version of a table, equal to itself read again."""

    table: Any = field(compare=False)
    columns: tuple[str, ...] = field(compare=False)
    key: tuple[Any, ...]


@lru_cache(maxsize=8)
def _known_spellings(version: _TableVersion) -> Mapping[str, tuple[str, ...]]:
    """Word without accents → the words of the library that are spelled with some."""
    by_folded: dict[str, dict[str, None]] = defaultdict(dict)
    for text in _texts_with_accents(version.table, version.columns):
        for word in _words(text):
            if not word.isascii() and (folded := without_accents(word)) != word.casefold():
                by_folded[folded].setdefault(word.lower())
    return {folded: tuple(words) for folded, words in by_folded.items()}


def _texts_with_accents(table: Any, columns: Sequence[str]) -> Iterable[str]:
    """The distinct texts of a table that are not ASCII; Arrow finds them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for start in range(0, table.count_rows(), _PART):
        rows = table.search().select([*columns]).offset(start).limit(_PART).to_arrow()
        for name in columns:
            values = rows[name].combine_chunks()
            texts = values.flatten() if pa.types.is_list(values.type) else values
            yield from pc.unique(texts.filter(pc.invert(pc.string_is_ascii(pc.fill_null(texts, ""))))).to_pylist()


class _Separators(dict[int, int]):
    """Translates what is neither a letter nor a mark nor a number into a space. `re` takes marks for separators."""

    def __missing__(self, code: int) -> int:
        self[code] = code if unicodedata.category(chr(code))[0] in "LMN" else ord(" ")
        return self[code]


_SEPARATORS: Final = _Separators()


def _words(text: str) -> list[str]:
    """The words of a text as it spells them: the order of their marks may be no standard one."""
    return text.translate(_SEPARATORS).split()
