"""The order that a question asks for: the cheapest, the second most expensive, all by their price."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from imagerag.agent.qa.metadata_query.word_forms import is_plain

Direction = Literal["highest", "lowest", ""]

PRICE: Final = ("price", "cost", "usd", "eur", "gbp", "amount")
_SCALES: Final[Mapping[tuple[str, ...], tuple[str, str]]] = {
    PRICE: ("expensive pricey costly dear", "cheap inexpensive affordable"),
    ("weight", "mass", "kg", "grams"): ("heavy", "light"),
    ("size", "area", "volume"): ("large big", "small"),
    ("height",): ("tall high", "short low"),
    ("length",): ("long", "short"),
    ("age",): ("old", "young"),
    ("year", "date"): ("new recent late", "old early"),
}
"""Names of a number → the adjectives that mean much and little of it."""

_COMPARED: Final = frozenset("higher more greater larger bigger lower less fewer smaller".split())  # noqa: SIM905
_HIGH: Final = frozenset(
    "highest most maximum max greatest largest biggest higher more greater larger bigger".split()  # noqa: SIM905
)
_LOW: Final = frozenset("lowest least minimum min smallest lower less fewer smaller".split())  # noqa: SIM905

_NUMBERS: Final = "one two three four five six seven eight nine ten eleven twelve".split()  # noqa: SIM905


@dataclass(frozen=True)
class SortOrder:
    """An order by a number.

    Attributes:
        options: names that the number may have, and which end then comes first: the *oldest* has the highest age or
            the lowest year.
        compared: two things are only compared ("cheaper").
        first: how many are asked for: three, of "the three cheapest"; 0 is all of them, in this order.
        rank: which one is asked for: 2, of "the second cheapest".
    """

    options: tuple[tuple[tuple[str, ...], Direction], ...]
    compared: bool = False
    first: int = 1
    rank: int = 1


_SORTED: Final = frozenset("sort sorted order ordered arrange arranged rank ranked ranking".split())  # noqa: SIM905
_DOWN: Final = frozenset({"descending", "desc", "down", "falling"})
_UP: Final = frozenset({"ascending", "asc", "rising"})
_ORDINALS: Final = "first second third fourth fifth sixth seventh eighth ninth tenth".split()  # noqa: SIM905
_ORDINAL: Final = re.compile(r"(\d{1,3})(?:st|nd|rd|th)")


def ordered(words: list[str]) -> SortOrder | None:
    """The order a question asks for; its words are taken out of `words`."""
    remaining = list(words)
    order = _by_key(words) or _superlative(words)
    if order is None or order.compared:
        return order
    if _asks_for_all(words, remaining):
        return replace(order, first=0)
    return replace(order, rank=_rank(words, remaining))


def _by_key(words: list[str]) -> SortOrder | None:
    """`sort by price`, `ordered by price descending`: every image, by a number that is named."""
    at = next((at for at, word in enumerate(words) if word in _SORTED), None)
    if at is None or "by" not in words[at + 1 : -1]:
        return None
    by = words.index("by", at + 1)
    ends = [word for word in words[by + 1 :] if word in _DOWN | _UP]
    falls = bool(_DOWN & set(ends)) or any(word in ("highest", "most") for word in words[by + 2 :])
    key = words[by + 1]
    for place, word in enumerate(words):
        if place in (at, by, by + 1) or word in _DOWN | _UP or (place > by and word in ("highest", "lowest", "first")):
            words[place] = ""
    names = next((names for names in _SCALES if key in names), (key,))
    return SortOrder(((names, "highest" if falls else "lowest"),), first=0)


def _asks_for_all(words: list[str], original: list[str]) -> bool:
    """Whether an order is that of a list: `cheapest first`, `from cheapest to most expensive`, `sorted, …`."""
    changed = [at for at, (now, before) in enumerate(zip(words, original, strict=True)) if now != before]
    if not changed:
        return False
    last = max(changed)
    if words[last + 1 : last + 2] == ["first"]:
        words[last + 1] = ""
        return True
    if words[last + 1 : last + 2] == ["to"]:
        rest = words[last + 1 : last + 5]
        end = next((at for at, word in enumerate(rest) if _is_adjective(word)), None)
        if end is not None:
            while end + 1 < len(rest) and _is_adjective(rest[end + 1]):  # "most expensive" is one
                end += 1
            words[last + 1 : last + 2 + end] = [""] * (end + 1)
            return True
    sorting = [at for at, word in enumerate(words) if word in _SORTED]
    for at in sorting:
        words[at] = ""
    return bool(sorting)


def _is_adjective(word: str) -> bool:
    return (
        any(_form(word, side.split()) in ("plain", "est") for adjectives in _SCALES.values() for side in adjectives)
        or word in _HIGH | _LOW
    )


def _rank(words: list[str], original: list[str]) -> int:
    """The place that an ordinal before the superlative asks for; its word is taken out."""
    superlative = next((at for at, (now, before) in enumerate(zip(words, original, strict=True)) if now != before), 0)
    for at in range(superlative - 1, max(-1, superlative - 4), -1):
        word = words[at]
        match = _ORDINAL.fullmatch(word)
        rank = int(match[1]) if match else _ORDINALS.index(word) + 1 if word in _ORDINALS else 0
        if rank:
            words[at] = ""
            return rank
        if word and not is_plain(word):
            break
    return 1


def _superlative(words: list[str]) -> SortOrder | None:
    """The order that an adjective asks for."""
    for at, word in enumerate(words):
        before = words[at - 1] if at else ""
        options: list[tuple[tuple[str, ...], Direction]] = []
        form = ""
        for names, (much, little) in _SCALES.items():
            for adjectives, direction in ((much.split(), "highest"), (little.split(), "lowest")):
                form = _form(word, adjectives) or form
                if _form(word, adjectives) == "plain" and before in ("most", "least", "more", "less"):
                    options.append((names, _turned(direction, before)))
                elif _form(word, adjectives) in ("er", "est") and not _named_by_key(words, at):
                    options.append((names, _as_direction(direction)))
        if options:
            begin = at - 1 if form == "plain" else at
            words[begin : at + 1] = [""] * (at + 1 - begin)
            if form == "er" or before in ("more", "less"):
                return SortOrder(tuple(options), compared=True)
            return SortOrder(tuple(options), first=_first(words, begin, at))
    for at, word in enumerate(words):
        following = words[at + 1] if at + 1 < len(words) else ""
        if word in _HIGH | _LOW and following and following not in ("than", "of") and not is_plain(following):
            words[at] = ""
            direction_: Direction = "highest" if word in _HIGH else "lowest"
            if word in _COMPARED:
                return SortOrder((((following,), direction_),), compared=True)
            return SortOrder((((following,), direction_),), first=_first(words, at, at))
    return _ranked(words) or _costing(words)


def _costing(words: list[str]) -> SortOrder | None:
    """`which two cost the most`, `what costs more than Widget A`."""
    for at, word in enumerate(words[:-2]):
        if word in ("cost", "costs", "costing") and words[at + 1] in ("more", "less") and words[at + 2] == "than":
            side: Direction = "highest" if words[at + 1] == "more" else "lowest"
            words[at : at + 2] = ["", ""]
            return SortOrder(((PRICE, side),), compared=True)
    for at, word in enumerate(words[:-1]):
        end = at + 2 if words[at + 1] == "the" and at + 2 < len(words) else at + 1
        if word in ("cost", "costs") and words[end] in ("most", "least"):
            direction: Direction = "highest" if words[end] == "most" else "lowest"
            words[at : end + 1] = [""] * (end + 1 - at)
            return SortOrder(((PRICE, direction),), first=_first(words, at, end))
    return None


def _ranked(words: list[str]) -> SortOrder | None:
    """`top 3 by rating`: an order without an adjective."""
    for at, word in enumerate(words[:-1]):
        ends: dict[str, Direction] = {"top": "highest", "bottom": "lowest"}
        if word in ends and (first := _count(words[at + 1])) and "by" in words[at + 2 : -1]:
            by = words.index("by", at + 2)
            options: tuple[tuple[tuple[str, ...], Direction], ...] = (((words[by + 1],), ends[word]),)
            words[at : at + 2] = ["", ""]
            return SortOrder(options, first=first)
    return None


def _first(words: list[str], begin: int, end: int) -> int:
    """The number of first images that a superlative at `words[begin : end + 1]` asks for; its word is taken out."""
    for at in (begin - 1, end + 1):
        if 0 <= at < len(words) and (number := _count(words[at])):
            words[at] = ""
            break
    else:
        at, number = begin, 1
    if at > 0 and words[at - 1] in ("top", "bottom"):
        words[at - 1] = ""
    return number


def _count(word: str) -> int:
    """A number as people count; 0 when it is none."""
    if word in _NUMBERS:
        return _NUMBERS.index(word) + 1
    return int(word) if word.isascii() and word.isdigit() and len(word) < 4 else 0


def _named_by_key(words: list[str], at: int) -> bool:
    """Whether the number is named behind the adjective: the *lowest price* is no matter of height."""
    return words[at] in _HIGH | _LOW and at + 1 < len(words) and not is_plain(words[at + 1])


def _form(word: str, adjectives: Collection[str]) -> str:
    for adjective in adjectives:
        if word == adjective:
            return "plain"
        root = adjective[:-1] + "i" if adjective.endswith("y") else adjective.removesuffix("e")
        for ending in ("er", "est"):
            if word in (root + ending, root + root[-1] + ending):
                return ending
    return ""


def _turned(direction: str, before: str) -> Direction:
    if before in ("most", "more"):
        return _as_direction(direction)
    return "lowest" if direction == "highest" else "highest"


def _as_direction(word: str) -> Direction:
    return "highest" if word == "highest" else "lowest"
