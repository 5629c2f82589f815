"""Which images of a library show what a caption says, told from the words of their captions alone.

Calibration needs it twice: to leave out the images that do show what is asked for, and to make captions that none
shows. It errs towards "shows it": an image wrongly left out costs a little sharpness, one wrongly kept would teach
the threshold to refuse good hits.
"""

import random
import re
from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from imagerag.store.library.schema import ImageRecord

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

STOP_WORDS = frozenset(
    re.findall(
        r"\w+",
        "a an the this that these those some any one of on in at by to for from with without and or as is are be it "
        "its into over under near next beside picture photo photograph image drawing illustration showing shows",
    )
)

LONGEST = 16
"""Content words up to which phrases are compared position by position."""

SCANNED = 20_000
"""Rows whose captions are sampled from. They come sorted by SHA-256, so the first ones are a fair sample."""

READ, FEW = 10_000, 64
"""Captions that are Python's at a time."""

_WORD = re.compile(r"\w+")
_ARTICLE = r"(?=(?:an?|the|one|two|three)\s)"
_PLACE = r"\b(?P<place>on|in|at|against|under|behind|in front of)"
_JOINER = re.compile(
    rf"(?:,|\band|\bwith|\bnext to|\bbeside|\bnear|{_PLACE})\s+{_ARTICLE}",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class CaptionQuery:
    """Something a caption of the library says, as somebody would ask for it, and the rows that show it."""

    text: str
    matches: "NDArray[np.intp]"


@dataclass(frozen=True)
class CaptionIndex:
    """The words of a library's captions, phrase by phrase: "a red circle and a blue square" shows no blue circle.

    Which rows have a word at all, in the thing's name even, is kept as numbers; phrases are only read of rows that have
    all words of a text.

    Attributes:
        columns: Arrow table with the title and caption of each row.
        texts: of the first `SCANNED` rows, the caption without the thing's name; "" where there is none.
        codes: word → its number.
        rows: the rows that have the word 0, ascending, then those that have the word 1, and so on.
        starts: where those of each word begin in `rows`, and where the last end.
    """

    columns: Any
    texts: tuple[str, ...]
    codes: Mapping[str, int]
    rows: "NDArray[np.int32]"
    starts: "NDArray[np.intp]"
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

        codes: defaultdict[str, int] = defaultdict()
        codes.default_factory = codes.__len__
        found, counts = array("i"), array("i")
        for start in range(0, columns.num_rows, READ):
            for caption in columns["caption"].slice(start, READ).to_pylist():
                said = set(_WORD.findall(caption.casefold())) - STOP_WORDS if caption else ()
                found.extend(map(codes.__getitem__, said))
                counts.append(len(said))
        codes.default_factory = None
        numbers = np.frombuffer(found, dtype=np.intc) if found else np.zeros(0, dtype=np.intc)
        owners = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
        starts = np.concatenate([[0], np.cumsum(np.bincount(numbers, minlength=len(codes)))]).astype(np.intp)
        rows = owners[np.argsort(numbers, kind="stable")]
        return cls(columns, tuple(_texts(columns.slice(0, SCANNED))), codes, rows, starts)

    def matches(self, text: str) -> "NDArray[np.intp]":
        """The rows that show all a text says, ascending: each of its phrases lies within one of theirs."""
        return self._matches([text])[0]

    def shows(self, text: str) -> bool:
        """Whether any row shows all a text says."""
        required = self._required(text)
        candidates = self._holding(required)
        for start in range(0, len(candidates), FEW):
            if any(_shows(_phrase_words(said), required) for said in self._read(candidates[start : start + FEW])):
                return True
        return False

    def sample(self, most: int) -> list[CaptionQuery]:
        """Up to `most` different things: of each picture one that its caption names, or the caption if it names none.

        A concept is searched for, so single things are asked for: an image with one of two things in it is near to a
        caption of both, and asking with that would teach that near is not enough even for a true match. One of each
        picture: a thing is harder to find in a crowded picture than alone, and if every thing had the same chance,
        the few crowded pictures of a library, which name most of its things, would speak for all of it.
        """
        said = self._said(most)
        return [CaptionQuery(text, found) for text, found in zip(said, self._matches(said), strict=True)]

    def near_misses(self, most: int) -> list[str]:
        """Up to `most` texts that differ from what a caption says by one word, and that no image fits.

        Which words can stand for each other is learned from phrases that differ in one place only: from "a red
        circle" and "a blue circle", that something red could have been blue.
        """
        others = _exchangeable(words(phrase) for text in dict.fromkeys(self.texts) for phrase, _ in phrases(text))
        chance = random.Random(0)
        found: dict[frozenset[frozenset[str]], str] = {}
        for text in self._said(4 * most) * 2:
            places = [word for word in words(text) if word in others]
            if len(found) == most or not places:
                continue
            old = chance.choice(places)
            swapped = re.sub(rf"\b{re.escape(old)}\b", chance.choice(others[old]), text, count=1, flags=re.IGNORECASE)
            swapped = _with_articles(swapped)
            if not self.shows(swapped):
                found.setdefault(self._required(swapped), swapped)
        return list(found.values())

    def _said(self, most: int) -> list[str]:
        """Up to `most` different things that captions say."""
        chosen: dict[frozenset[frozenset[str]], str] = {}
        for text in self.texts:
            if len(chosen) == most:
                break
            said = _any_of(things(text) or [text], text)
            if required := self._required(said):
                chosen.setdefault(required, said)
        return list(chosen.values())

    def _matches(self, texts: Sequence[str]) -> "list[NDArray[np.intp]]":
        """The rows that show each text. Every row's phrases are read once, for all of them."""
        import numpy as np

        required = [self._required(text) for text in texts]
        candidates = [self._holding(one) for one in required]
        rows = np.concatenate([np.zeros(0, dtype=np.int32), *candidates])
        asked = np.repeat(np.arange(len(texts)), [len(one) for one in candidates])
        order = np.argsort(rows, kind="stable")
        distinct, starts = np.unique(rows[order], return_index=True)
        shown = np.zeros(len(rows), dtype=bool)
        places, of_text, ends = order.tolist(), asked[order].tolist(), [*starts[1:].tolist(), len(rows)]
        read = (text for at in range(0, len(distinct), READ) for text in self._read(distinct[at : at + READ]))
        start = 0
        for text, end in zip(read, ends, strict=False):
            said = _phrase_words(text)
            for at in range(start, end):
                shown[places[at]] = _shows(said, required[of_text[at]])
            start = end
        kept = np.split(shown, np.cumsum([len(one) for one in candidates])[:-1]) if texts else []
        return [found[held].astype(np.intp) for found, held in zip(candidates, kept, strict=True)]

    def _required(self, text: str) -> frozenset[frozenset[str]]:
        """Per phrase, the words that must be there: all that are not names, if there are others."""
        content = [frozenset(words(phrase)) for phrase, _ in phrases(text)]
        return frozenset(frozenset(word for word in found if not self._is_name(word)) or found for found in content)

    def _is_name(self, word: str) -> bool:
        """Whether a word only names one thing and describes nothing: one phrase has it, written like a name."""
        if word not in self._names:  # calibration asks for the same words hundreds of times
            self._names[word] = self._found_as_name(word)
        return self._names[word]

    def _found_as_name(self, word: str) -> bool:
        held = self._rows(word)
        if not 1 <= len(held) <= FEW:
            return False
        texts = self._read(held)
        holding = sum(word in phrase for text in texts for phrase in _phrase_words(text))
        return holding == 1 and any(word in _name_like(text) for text in texts)

    def _holding(self, required: frozenset[frozenset[str]]) -> "NDArray[np.int32]":
        """The rows that have all these words, in whatever phrases."""
        import numpy as np

        if not required:
            return np.zeros(0, dtype=np.int32)
        rarest, *others = sorted((self._rows(word) for word in frozenset().union(*required)), key=len)
        for other in others:
            rarest = rarest[np.isin(rarest, other, assume_unique=True)]
        return rarest

    def _rows(self, word: str) -> "NDArray[np.int32]":
        code = self.codes.get(word)
        return self.rows[:0] if code is None else self.rows[self.starts[code] : self.starts[code + 1]]

    def _read(self, rows: "NDArray[np.int32]") -> list[str]:
        return list(_texts(self.columns.take(rows)))


def _texts(columns: Any) -> Iterator[str]:
    """Captions without the names of things."""
    return map(query_of, columns["caption"].to_pylist(), columns["title"].to_pylist())


@lru_cache(maxsize=READ)
def _phrase_words(text: str) -> list[frozenset[str]]:
    return [frozenset(words(phrase)) for phrase, _ in phrases(text)]


def _shows(said: Sequence[frozenset[str]], required: frozenset[frozenset[str]]) -> bool:
    return all(any(one <= phrase for phrase in said) for one in required)


def phrases(text: str) -> list[tuple[str, bool]]:
    """The phrases of a text, and of each whether it says where something is ("on a white table")."""
    found, start, place = [], 0, False
    for joint in _JOINER.finditer(text):
        found.append((text[start : joint.start()], place))
        start, place = joint.end(), joint["place"] is not None
    found.append((text[start:], place))
    return [(phrase.strip(" ,"), where) for phrase, where in found if words(phrase)]


def things(text: str) -> list[str]:
    """The single things that a caption of several names, each in at least two words."""
    return [phrase for phrase, where in phrases(text) if not where and len(words(phrase)) > 1]


def words(text: str) -> list[str]:
    """The content words of a text, in order, lower case."""
    return [word for word in _WORD.findall(text.casefold()) if word not in STOP_WORDS]


def query_of(caption: str, title: str) -> str:
    """A caption without the name of the thing: "Widget A, a red circle" is asked for as "a red circle".

    The name is the title when the caption has it, else a first part before a comma or colon whose words are all
    capitalised. Nothing is taken away when nothing would be left.
    """
    text = " ".join(caption.split())
    rest = _without(text, title) if text and title.strip() else text
    head, mark, tail = rest.partition(",") if "," in rest else rest.partition(":")
    if mark and all(word[0].isupper() or word[0].isdigit() for word in head.split()):
        rest = tail
    rest = " ".join(rest.split()).strip(" ,;:-–—|")
    return rest if words(rest) else text


def _without(text: str, title: str) -> str:
    """A text without a title, wherever it stands as whole words, in upper or lower case.

    Compiling a pattern of each title would take longer than all else that is done with a caption.
    """
    if not (text.isascii() and title.isascii()):
        return re.sub(rf"(?<!\w){re.escape(title)}(?!\w)", " ", text, flags=re.IGNORECASE)
    lower, sought = text.lower(), title.lower()
    kept, start, at = [], 0, lower.find(sought)
    while at >= 0:
        end = at + len(sought)
        if _in_word(lower[at - 1 : at]) or _in_word(lower[end : end + 1]):
            end = at + 1
        else:
            kept += [text[start:at], " "]
            start = end
        at = lower.find(sought, end)
    return "".join([*kept, text[start:]])


def _in_word(character: str) -> bool:
    return character.isalnum() or character == "_"


def _any_of(named: Sequence[str], text: str) -> str:
    """One of the things named in a text, by chance, but always the same one."""
    return named[int.from_bytes(sha256(text.encode(errors="replace")).digest()[:8], "big") % len(named)]


def _name_like(text: str) -> set[str]:
    """Words with a capital or a digit: where only one row has them, they name it."""
    return {
        word.casefold() for word in re.findall(r"\w+", text) if word[0].isupper() or any(map(str.isdigit, word))
    } - STOP_WORDS


def _exchangeable(captions: Iterable[Sequence[str]]) -> dict[str, list[str]]:
    """Word → the other words that captions have in its place, sorted; only words that have such."""
    places: dict[tuple[tuple[str, ...], int], set[str]] = defaultdict(set)
    for caption in sorted(set(map(tuple, captions))):
        if 2 <= len(caption) <= LONGEST:
            for at, word in enumerate(caption):
                places[(*caption[:at], *caption[at + 1 :]), at].add(word)
    group: dict[str, set[str]] = {}
    for together in sorted(sorted(found) for found in places.values() if len(found) > 1):
        joined = set(together).union(*(group[word] for word in together if word in group))
        group.update(dict.fromkeys(joined, joined))
    return {word: sorted(members - {word}) for word, members in group.items()}


def _with_articles(text: str) -> str:
    """English articles that fit the word after them, as an exchanged word may need."""
    fixed = re.sub(r"\b([Aa])n?\s+(?=[aeiou])", r"\1n ", text)
    return re.sub(r"\b([Aa])n\s+(?=[^aeiou\W])", r"\1 ", fixed)
