"""Queries from a library's own texts: names, and sentences that are taken out of the captions they come from.

A caption is found by its own words whatever the library is like. So a sentence of a caption is searched in a copy of
the texts without it, where the words that are left must lead to the image, as with the words of somebody else. A name
is searched as it is: that is how people search for names and numbers. Both kinds count alike.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from imagerag.store.library.thresholds.caption_words import words

EACH: Final = 48
"""Queries of each kind at most: an encoder on a CPU needs 20 to 90 ms for each."""

SAME: Final = 10
"""Images that a query may be about, at most."""

SHORTEST: Final = 3
"""Words of a sentence that says something."""

_SENTENCE: Final = re.compile(r"(?<=[.!?;])\s+|(?<=[。！？；؟۔])\s*|\n+")


@dataclass(frozen=True)
class HeldOutQuery:
    """A query, and the rows it is about.

    Attributes:
        rows: their positions.
    """

    kind: Literal["name", "description"]
    text: str
    rows: tuple[int, ...]


@dataclass(frozen=True)
class HeldOut:
    """Queries about a library's rows, and the captions of the rows without them.

    Attributes:
        queries: as many names as descriptions.
        changed: position → the caption of a row of which a sentence was taken out.
    """

    queries: tuple[HeldOutQuery, ...]
    changed: Mapping[int, str]

    @classmethod
    def of(cls, columns: Any, most: int = EACH) -> "HeldOut":
        """Make queries.

        Args:
            columns: Arrow table with the title and caption of each row, in random order.
            most: queries of each kind.
        """
        titles, captions = ([text or "" for text in columns[name].to_pylist()] for name in ("title", "caption"))
        descriptions, changed = _descriptions(titles, captions, most)
        names = list(_names(titles, most))
        each = min(len(names), len(descriptions))
        return cls((*names[:each], *descriptions[:each]), changed)


def _descriptions(
    titles: Sequence[str], captions: Sequence[str], most: int
) -> tuple[list[HeldOutQuery], dict[int, str]]:
    queries, changed = list[HeldOutQuery](), dict[int, str]()
    for at, (title, caption) in enumerate(zip(titles, captions, strict=True)):
        parts = [] if at in changed or len(queries) == most else sentences(caption)
        if len(parts) < 2:
            continue
        # The sentence that says least of the name: the name is a query of its own.
        name = set(words(title))
        sentence = min(parts, key=lambda part: len(name & set(words(part))) / len(words(part)))
        rows = [row for row, other in enumerate(captions) if sentence in other]
        if len(rows) <= SAME and not changed.keys() & set(rows):
            queries.append(HeldOutQuery("description", sentence, tuple(rows)))
            changed |= {row: captions[row].replace(sentence, " ").strip() for row in rows}
    return queries, changed


def _names(titles: Sequence[str], most: int) -> Iterator[HeldOutQuery]:
    rows: dict[str, list[int]] = {}
    for at, title in enumerate(titles):
        rows.setdefault(" ".join(title.casefold().split()), []).append(at)
    rows.pop("", None)
    few = [places for places in rows.values() if len(places) <= SAME]
    for places in few[:most]:
        yield HeldOutQuery("name", titles[places[0]], tuple(places))


def sentences(caption: str) -> list[str]:
    """The sentences of a caption that say something."""
    return [part for part in map(str.strip, _SENTENCE.split(caption)) if len(words(part)) >= SHORTEST]
