"""Index of captions: finds the images that show a caption's content, by the words of their captions alone.

Calibration uses it to leave out images that match a query, and to make captions that no image matches. In doubt an
image counts as a match: one wrongly left out costs a little precision, while one wrongly kept would raise the threshold
so that it refuses good hits.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from imagerag.store.library.schema import ImageRecord
from imagerag.store.library.thresholds.caption_phrases import (
    exchangeable,
    exchanged,
    name_like,
    parts_of,
    phrases,
    query_of,
    tell_names,
    things,
)
from imagerag.store.library.thresholds.caption_words import STOP_WORDS, all_words, exchange_units, words

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SCANNED = 20_000
"""Rows whose captions are sampled from. They come sorted by SHA-256, so the first ones are a fair sample."""

FIRST = 2_000
"""Captions that say whether capitals tell names."""

READ, FEW = 10_000, 64
"""Captions that are Python's at a time."""


@dataclass(frozen=True)
class CaptionQuery:
    """A query made from a caption of the library, and the rows that match it."""

    text: str
    matches: "NDArray[np.intp]"


@dataclass(frozen=True)
class CaptionIndex:
    """The words of a library's captions by phrase, so that "a red circle and a blue square" does not match a blue
    circle.

    The rows of each word, even in a name, are stored as numbers; phrases are only read for rows that have all words of
    a text.

    Attributes:
        columns: Arrow table with the title and caption of each row.
        texts: of the first `SCANNED` rows, the caption without the thing's name; "" where there is none.
        codes: word → its number.
        rows: the rows that have the word 0, ascending, then those that have the word 1, and so on.
        starts: start of each word's rows in `rows`, and the end of the last.
        capitals: whether capitals tell names in these captions.
    """

    columns: Any
    texts: tuple[str, ...]
    codes: Mapping[str, int]
    rows: "NDArray[np.int32]"
    starts: "NDArray[np.intp]"
    capitals: bool = True
    _names: dict[str, bool] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, rows: Sequence[ImageRecord]) -> "CaptionIndex":
        """Read the captions of a library's rows, in their order."""
        import pyarrow as pa

        columns = {name: pa.array([getattr(row, name) for row in rows], pa.string()) for name in ("title", "caption")}
        return cls.of_columns(pa.table(columns))

    @classmethod
    def of_columns(cls, columns: Any) -> "CaptionIndex":
        """Read the captions in an Arrow table with the columns `title` and `caption`."""
        import numpy as np

        codes: dict[str, int] = {}
        owners, numbers = [np.zeros(0, dtype=np.int32)], [np.zeros(0, dtype=np.int32)]
        for start in range(0, columns.num_rows, READ):
            captions, phrases = _words_said(columns["caption"].slice(start, READ))
            distinct = phrases.dictionary.to_pylist()
            word_codes = [-1 if one in STOP_WORDS or not one else codes.setdefault(one, len(codes)) for one in distinct]
            pairs = captions << 32 | np.asarray(word_codes, dtype=np.int64)[phrases.indices.to_numpy()]
            pairs = np.sort(pairs[pairs & 0xFFFFFFFF != 0xFFFFFFFF])
            pairs = pairs[np.diff(pairs, prepend=-1) != 0]  # np.unique takes twenty times as long because it hashes
            owners.append((start + (pairs >> 32)).astype(np.int32))
            numbers.append((pairs & 0xFFFFFFFF).astype(np.int32))
        rows, words_of = np.concatenate(owners), np.concatenate(numbers)
        starts = np.concatenate([[0], np.cumsum(np.bincount(words_of, minlength=len(codes)))]).astype(np.intp)
        rows = rows[np.argsort(words_of, kind="stable")]
        capitals = tell_names(filter(None, columns["caption"].slice(0, FIRST).to_pylist()))
        return cls(columns, tuple(_texts(columns.slice(0, SCANNED), capitals)), codes, rows, starts, capitals)

    def matches(self, text: str) -> "NDArray[np.intp]":
        """The rows that match a text, ascending: each phrase of the text is contained in one of the row's."""
        return self._matches([text])[0]

    def shows(self, text: str) -> bool:
        """Whether any row matches a text."""
        required = self._required(text)
        candidates = self._holding(required)
        for start in range(0, len(candidates), FEW):
            if any(
                _shows(_phrase_words(caption), required) for caption in self.captions(candidates[start : start + FEW])
            ):
                return True
        return False

    def sample(self, most: int) -> list[CaptionQuery]:
        """Up to `most` different things: for each image one that its caption names, or the caption if it names none.

        Runs search for single concepts, so the queries are single things: an image with one of two things is near to a
        caption of both, and such queries would bias the threshold. Only one thing per image is used: a thing is harder
        to find in a crowded image than alone, and if every thing had the same chance, the few crowded images, which
        name most of the things, would dominate.
        """
        return self.queries(self._named_things(most))

    def queries(self, texts: Sequence[str]) -> list[CaptionQuery]:
        """Texts with the rows that match them."""
        return [CaptionQuery(text, matches) for text, matches in zip(texts, self._matches(texts), strict=True)]

    def part_of(self, text: str) -> str:
        """Neighbouring words of a text, about half of them, those that fewest captions have: a query of somebody who
        wants what it says."""
        return min(parts_of(text), key=lambda part: min((len(self._rows(word)) for word in words(part)), default=0))

    def captions(self, rows: "NDArray[np.integer[Any]]") -> list[str]:
        """The captions of some rows, without the thing's name."""
        return list(_texts(self.columns.take(rows), self.capitals))

    def hard_negatives(self, most: int, texts: Sequence[str] | None = None) -> list[str]:
        """Up to `most` texts that differ from a caption's text by one word and match no image.

        Args:
            texts: what they differ from, by default single things that captions name.

        Exchangeable words are learned from phrases that differ in one word: "a red circle" and "a blue circle" show
        that red and blue are exchangeable.
        """
        others, spelling = self._exchangeable()
        chance = random.Random(0)
        negatives: dict[frozenset[frozenset[str]], str] = {}
        for text in [*(self._named_things(4 * most) if texts is None else texts)] * 2:
            places = [word for word in exchange_units(text) if word.text in others]
            if len(negatives) == most or not places:
                continue
            old = chance.choice(places)
            swapped = exchanged(text, old.start, old.end, spelling[chance.choice(others[old.text])])
            if not self.shows(swapped):
                negatives.setdefault(self._required(swapped), swapped)
        return list(negatives.values())

    def _exchangeable(self) -> tuple[dict[str, list[str]], dict[str, str]]:
        """Word → words that captions use in its place; and word → how it is written, in lower case where it ever is."""
        spellings: dict[str, str] = {}
        words_of_phrases = []
        for text in dict.fromkeys(self.texts):
            for phrase, _ in phrases(text):
                units = exchange_units(phrase)
                words_of_phrases.append([word.text for word in units])
                for word in units:
                    spelling = phrase[word.start : word.end]
                    if word.text not in spellings or spelling.islower():
                        spellings[word.text] = spelling
        return exchangeable(words_of_phrases), spellings

    def _named_things(self, most: int) -> list[str]:
        """Up to `most` different things that captions name."""
        unique: dict[frozenset[frozenset[str]], str] = {}
        for text in self.texts:
            if len(unique) == most:
                break
            thing = _any_of(things(text) or [text], text)
            if required := self._required(thing):
                unique.setdefault(required, thing)
        return list(unique.values())

    def _matches(self, texts: Sequence[str]) -> "list[NDArray[np.intp]]":
        """The rows that match each text. The phrases of every row are read once for all texts."""
        import numpy as np

        required = [self._required(text) for text in texts]
        candidates = [self._holding(one) for one in required]
        rows = np.concatenate([np.zeros(0, dtype=np.int32), *candidates])
        text_of_row = np.repeat(np.arange(len(texts)), [len(one) for one in candidates])
        order = np.argsort(rows, kind="stable")
        distinct, starts = np.unique(rows[order], return_index=True)
        is_shown = np.zeros(len(rows), dtype=bool)
        places, of_text, ends = order.tolist(), text_of_row[order].tolist(), [*starts[1:].tolist(), len(rows)]
        captions = (text for at in range(0, len(distinct), READ) for text in self.captions(distinct[at : at + READ]))
        start = 0
        for text, end in zip(captions, ends, strict=False):
            words = _phrase_words(text)
            for at in range(start, end):
                is_shown[places[at]] = _shows(words, required[of_text[at]])
            start = end
        masks = np.split(is_shown, np.cumsum([len(one) for one in candidates])[:-1]) if texts else []
        return [rows_of_text[mask].astype(np.intp) for rows_of_text, mask in zip(candidates, masks, strict=True)]

    def _required(self, text: str) -> frozenset[frozenset[str]]:
        """For each phrase the required words: all except names, if there are others."""
        content = _phrase_words(text)
        return frozenset(frozenset(word for word in phrase if not self._is_name(word)) or phrase for phrase in content)

    def _is_name(self, word: str) -> bool:
        """Whether a word is only a name and describes nothing: it is in one phrase and written like a name."""
        if word not in self._names:  # calibration looks up the same words hundreds of times
            self._names[word] = self._found_as_name(word)
        return self._names[word]

    def _found_as_name(self, word: str) -> bool:
        rows = self._rows(word)
        if not 1 <= len(rows) <= FEW:
            return False
        texts = self.captions(rows)
        holding = sum(word in phrase for text in texts for phrase in _phrase_words(text))
        return holding == 1 and any(word in name_like(text, capitals=self.capitals) for text in texts)

    def _holding(self, required: frozenset[frozenset[str]]) -> "NDArray[np.int32]":
        """The rows that have all these words, in any phrases."""
        import numpy as np

        if not required:
            return np.zeros(0, dtype=np.int32)
        rarest, *others = sorted((self._rows(word) for word in frozenset().union(*required)), key=len)
        for other in others if len(rarest) else ():
            rarest = rarest[np.isin(rarest, other, assume_unique=True)]
        return rarest

    def _rows(self, word: str) -> "NDArray[np.int32]":
        code = self.codes.get(word)
        return self.rows[:0] if code is None else self.rows[self.starts[code] : self.starts[code + 1]]


def _words_said(captions: Any) -> "tuple[NDArray[np.int64], Any]":
    """For every word of the captions, the caption's position, and the word in lower case, as an Arrow dictionary array.

    Most captions are ASCII. Arrow splits these in a fifth of the time that Python takes.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    captions = pc.fill_null(captions, "").combine_chunks()
    if pc.all(pc.string_is_ascii(captions)).as_py():
        split = pc.split_pattern_regex(pc.ascii_lower(captions), "[^0-9a-z_]+")
    else:
        split = pa.array([all_words(one) for one in captions.to_pylist()], pa.list_(pa.string()))
    lengths = pc.list_value_length(split).to_numpy()
    return np.repeat(np.arange(len(lengths)), lengths), split.flatten().dictionary_encode()


def _texts(columns: Any, capitals: bool) -> Iterator[str]:
    """Captions without the names of things."""
    query = partial(query_of, capitals=capitals)
    return map(query, columns["caption"].to_pylist(), columns["title"].to_pylist())


@lru_cache(maxsize=READ)
def _phrase_words(text: str) -> list[frozenset[str]]:
    return [frozenset(words(phrase)) for phrase, _ in phrases(text)]


def _shows(phrases: Sequence[frozenset[str]], required: frozenset[frozenset[str]]) -> bool:
    return all(any(one <= phrase for phrase in phrases) for one in required)


def _any_of(names: Sequence[str], text: str) -> str:
    """One of the things named in a text: pseudo-random but always the same one."""
    return names[int.from_bytes(sha256(text.encode(errors="replace")).digest()[:8], "big") % len(names)]
