"""Vocabulary of a library's metadata: its values, numbers and words, as questions name them."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from imagerag.agent.qa.metadata_query.word_forms import is_plain, stem, tokens
from imagerag.agent.qa.types import HasMetadata
from imagerag.agent.types import Scalar

LONGEST: Final = 6
"""Words of a value that is met as a whole; a longer one is prose, and met word by word."""
_TEXTS: Final = ("licence", "author", "title", "tags")
"""What every image may have beside its metadata, the preferred name of a value first."""
_AMOUNT: Final = re.compile(r"\s*(?:[$€£]|USD|EUR|GBP)?\s*(-?\d+(?:\.\d+)?)\s*(?:[$€£]|USD|EUR|GBP)?\s*")

_READ: Final = 1_000
"""Characters of one text that are read."""

Words = tuple[str, ...]

stemmed = lru_cache(maxsize=50_000)(stem)


@lru_cache(maxsize=50_000)
def _stems(text: str) -> Words:
    """The words of a text as they are met."""
    return tuple(stemmed(token) for token in tokens(text))


@lru_cache(maxsize=50_000)
def _telling(text: str) -> frozenset[str]:
    """Those of them that say something."""
    return frozenset(stemmed(token) for token in tokens(text) if not is_plain(token))


@dataclass(frozen=True, eq=False)
class VocabularyEntry:
    """One image: its texts by key, its numbers by key, and every word of its metadata."""

    row: HasMetadata
    texts: Mapping[str, tuple[Words, ...]]
    numbers: Mapping[str, float]
    words: frozenset[str]

    @property
    def id(self) -> str:
        """The image's SHA-256."""
        return self.row.image.sha256

    @property
    def name(self) -> str:
        """Its name for people."""
        return self.row.title or str(self.row.metadata.get("name") or "") or self.row.caption[:60] or self.id[:12]


@dataclass(frozen=True)
class Vocabulary:
    """Every value and every key of a library.

    Attributes:
        values: the words of a value → the keys that have it, preferred first, and the value as it is written.
        keys: the words of a key → the key.
        numeric: keys most of whose values are numbers.
        words: every word that is said of any image.
    """

    entries: tuple[VocabularyEntry, ...]
    values: Mapping[Words, Mapping[str, str]]
    keys: Mapping[Words, str]
    numeric: frozenset[str]
    words: frozenset[str] = field(repr=False)

    @classmethod
    def of(cls, rows: Sequence[HasMetadata]) -> "Vocabulary":
        """Read a library's rows."""
        numeric = _numeric(rows)
        values: dict[Words, dict[str, str]] = defaultdict(dict)
        entries = []
        for row in rows:
            texts: dict[str, tuple[Words, ...]] = {}
            for key, text in _texts(row, numeric):
                stems = _stems(text[:_READ])
                texts[key] = (*texts.get(key, ()), stems)
                if stems and len(stems) <= LONGEST:
                    values[stems].setdefault(key, text)
            passages = [
                row.title,
                row.caption,
                *row.tags,
                *(str(v) for k, v in row.metadata.items() if k not in numeric),
            ]
            words = frozenset().union(*(_telling(text[:_READ]) for text in passages))
            numbers = {key: number for key in numeric if (number := number_of(row.metadata.get(key))) is not None}
            entries.append(VocabularyEntry(row, texts, numbers, words))
        names = {key for row in rows for key in row.metadata} | {"licence", "author", "title", "tags", "source"}
        keys = {tuple(stemmed(token) for token in tokens(name.replace("_", " "))): name for name in sorted(names)}
        everything = frozenset().union(*(entry.words for entry in entries)) if entries else frozenset[str]()
        return cls(tuple(entries), values, keys, numeric, everything)

    def number(self, names: Iterable[str]) -> str | None:
        """The number that goes by one of these names, in the order of the names."""
        for name in names:
            stem = stemmed(name)
            for key in sorted(self.numeric):
                if stem in {stemmed(token) for token in tokens(key.replace("_", " "))}:
                    return key
        return None

    @property
    def only_number(self) -> str | None:
        """The one number there is, when there is just one."""
        return next(iter(self.numeric)) if len(self.numeric) == 1 else None


def number_of(value: Scalar) -> float | None:
    """A value as a number: one already, or a text that is nothing else (a table's cell), a currency sign allowed."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return float(value)
    if len(value) > 40:
        return None
    match = _AMOUNT.fullmatch(value)
    return float(match.group(1)) if match else None


def value_text(value: Scalar | tuple[str, ...]) -> str:
    """A value as it is shown: 19.99, 49, true, CC0-1.0."""
    if isinstance(value, tuple):
        return ", ".join(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{round(value, 4):.4f}".rstrip("0").rstrip(".")
    return "" if value is None else str(value)


def value_of(row: HasMetadata, key: str) -> str:
    """A row's value under a key, metadata first; empty where it has none."""
    if key in row.metadata:
        return value_text(row.metadata[key])
    return value_text(getattr(row, key)) if key in (*_TEXTS, "source", "caption") else ""


def _numeric(rows: Sequence[HasMetadata]) -> frozenset[str]:
    """Keys most of whose values are numbers: a price "on request" does not keep the others from being compared."""
    numbers, totals = Counter[str](), Counter[str]()
    for row in rows:
        for key, value in row.metadata.items():
            if value not in (None, ""):
                totals[key] += 1
                numbers[key] += number_of(value) is not None
    return frozenset(key for key, times in totals.items() if 2 * numbers[key] > times)


def _texts(row: HasMetadata, numeric: frozenset[str]) -> Iterable[tuple[str, str]]:
    for key, value in sorted(row.metadata.items()):
        if isinstance(value, str) and key not in numeric:
            yield key, value
    yield from (("licence", row.licence), ("author", row.author), ("title", row.title))
    yield from (("tags", tag) for tag in row.tags)
