"""Which images of a library show what a caption says, told from the words of their captions alone.

Calibration needs it twice: to leave out the images that do show what is asked for, and to make captions that none
shows. It errs towards "shows it": an image wrongly left out costs a little sharpness, one wrongly kept would teach
the threshold to refuse good hits.
"""

import random
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

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

    Attributes:
        texts: per row, its caption without the thing's name; "" where it has none.
        rows: phrase → the row it is from, ascending.
        holders: word → the phrases that have it, ascending.
        names: words that only name one thing and describe nothing.
    """

    texts: tuple[str, ...]
    rows: "NDArray[np.intp]"
    holders: "dict[str, NDArray[np.intp]]"
    names: frozenset[str]

    @classmethod
    def of(cls, rows: Sequence[ImageRecord]) -> "CaptionIndex":
        """Read the captions of a library's rows, in their order."""
        import numpy as np

        texts = tuple(query_of(row.caption, row.title) for row in rows)
        holders: dict[str, list[int]] = defaultdict(list)
        owner: list[int] = []
        for at, text in enumerate(texts):
            for phrase, _ in phrases(text):
                for word in set(words(phrase)):
                    holders[word].append(len(owner))
                owner.append(at)
        named = set().union(*map(_name_like, texts))
        arrays = {word: np.array(found, dtype=np.intp) for word, found in holders.items()}
        names = frozenset(word for word in named if word in arrays and len(arrays[word]) == 1)
        return cls(texts, np.array(owner, dtype=np.intp), arrays, names)

    def matches(self, text: str) -> "NDArray[np.intp]":
        """The rows that show all a text says, ascending: each of its phrases lies within one of theirs."""
        import numpy as np

        found: NDArray[np.intp] | None = None
        for required in self._required(text):
            rows = self.rows[self._holding(required)]
            found = rows if found is None else np.intersect1d(found, rows)
        return np.zeros(0, dtype=np.intp) if found is None else np.unique(found)

    def sample(self, most: int) -> list[CaptionQuery]:
        """Up to `most` different things: of each picture one that its caption names, or the caption if it names none.

        A concept is searched for, so single things are asked for: an image with one of two things in it is near to a
        caption of both, and asking with that would teach that near is not enough even for a true match. One of each
        picture: a thing is harder to find in a crowded picture than alone, and if every thing had the same chance,
        the few crowded pictures of a library, which name most of its things, would speak for all of it.
        """
        chosen: dict[frozenset[frozenset[str]], str] = {}
        for text in self.texts[:SCANNED]:
            if len(chosen) == most:
                break
            said = _any_of(things(text) or [text], text)
            if required := self._required(said):
                chosen.setdefault(required, said)
        return [CaptionQuery(said, self.matches(said)) for said in chosen.values()]

    def near_misses(self, most: int) -> list[str]:
        """Up to `most` texts that differ from what a caption says by one word, and that no image fits.

        Which words can stand for each other is learned from phrases that differ in one place only: from "a red
        circle" and "a blue circle", that something red could have been blue.
        """
        others = _exchangeable(words(phrase) for text in self.texts[:SCANNED] for phrase, _ in phrases(text))
        chance = random.Random(0)
        found: dict[frozenset[frozenset[str]], str] = {}
        for text in [said.text for said in self.sample(4 * most)] * 2:
            places = [word for word in words(text) if word in others]
            if len(found) == most or not places:
                continue
            old = chance.choice(places)
            swapped = re.sub(rf"\b{re.escape(old)}\b", chance.choice(others[old]), text, count=1, flags=re.IGNORECASE)
            swapped = _with_articles(swapped)
            if not self.matches(swapped).size:
                found.setdefault(self._required(swapped), swapped)
        return list(found.values())

    def _required(self, text: str) -> frozenset[frozenset[str]]:
        """Per phrase, the words that must be there: all that are not names, if there are others."""
        content = [frozenset(words(phrase)) for phrase, _ in phrases(text)]
        return frozenset(described for found in content if (described := found - self.names or found))

    def _holding(self, required: frozenset[str]) -> "NDArray[np.intp]":
        """The phrases that have all these words."""
        import numpy as np

        none = np.zeros(0, dtype=np.intp)
        rarest, *others = sorted((self.holders.get(word, none) for word in required), key=len)
        for other in others:
            rarest = rarest[np.isin(rarest, other, assume_unique=True)]
        return rarest


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
    return [word for word in re.findall(r"\w+", text.casefold()) if word not in STOP_WORDS]


def query_of(caption: str, title: str) -> str:
    """A caption without the name of the thing: "Widget A, a red circle" is asked for as "a red circle".

    The name is the title when the caption has it, else a first part before a comma or colon whose words are all
    capitalised. Nothing is taken away when nothing would be left.
    """
    text = " ".join(caption.split())
    rest = re.sub(rf"(?<!\w){re.escape(title)}(?!\w)", " ", text, flags=re.IGNORECASE) if title.strip() else text
    head, mark, tail = rest.partition(",") if "," in rest else rest.partition(":")
    if mark and all(word[0].isupper() or word[0].isdigit() for word in head.split()):
        rest = tail
    rest = " ".join(rest.split()).strip(" ,;:-–—|")
    return rest if words(rest) else text


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
