"""Reading a question about a library's metadata: what it asks for, and in which words.

English only, and no more than shows here. What is not understood stays visible in `Ask.rest`: nothing is guessed.
"""

import re
import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, Literal

Direction = Literal["highest", "lowest", ""]

SPELLINGS: Final[Mapping[str, str]] = {
    "color": "colour", "colored": "coloured", "gray": "grey", "license": "licence", "jewelry": "jewellery",
    "catalog": "catalogue", "photographer": "author", "artist": "author", "maker": "author", "creator": "author",
}  # fmt: skip
"""Words that are taken for another one, whatever the library."""

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

_STOP: Final = frozenset(
    """
    a an the this that is are was were be been do does did have has had of in on at to for from with by and or as it its
    i me my we us our you your they them their he she his her there here what which who whom whose when where how many
    much any some all every everything anything something each one ones of any also so then than but not no please can
    could would should will may might must shall tell show give list name find get see look know want need like say says
    said let about into only just product products item items thing things object objects picture pictures image images
    photo photos library catalogue collection offer offers sell sells stock exist exists available own come comes made
    make kind kinds type types sort sorts total average mean sum number count both either two three these those such
    other others same again yes now really together out up use used using look looks looking called contain contains
    doing told good if am s t re ve d m versus vs between under below over above up dollars dollar euros euro pounds usd
    eur gbp altogether overall whole entire among amongst most least per value values
    """.split()  # noqa: SIM905, prose is easier to read than a list of quoted words
)
_TOKEN: Final = re.compile(r"\d+(?:[.,]\d+)*|\w+|[,;]")
_OF: Final = re.compile(r"['’]s\b")
_LISTS: Final = re.compile(r"\b(list|show|everything|all|every|is there|are there|have|hold|holds)\b")
_COUNTS: Final = re.compile(r"\b(how many|number of|count)\b")
_AVERAGE: Final = re.compile(r"\b(average|mean)\b")
_TOTAL: Final = re.compile(r"\b(total|sum|altogether)\b")
_HOW_MUCH: Final = re.compile(r"\b(how much|costs?|prices?|priced)\b")
_AUTHOR: Final = re.compile(r"\b(who (?:made|drew|took|painted|created|designed|is the author)|made by|drawn by)\b")
_THOSE: Final = re.compile(r"\b(?:of|among|from|between) (?:those|these|them)\b|\bthose\b|\bthese\b")
_IT: Final = re.compile(r"\b(it|its|they|them|their|both|that one|this one)\b")
_AND_SO: Final = re.compile(r"^(?:and|or|but|what about|how about|then)\b")
_NUMBERS: Final = "one two three four five six seven eight nine ten eleven twelve".split()  # noqa: SIM905
_NUMBER: Final = r"[$€£]?\s*(\d[\d,]*(?:\.\d+)?)"
_LIMITS: Final = (
    (re.compile(rf"\bbetween {_NUMBER} and {_NUMBER}"), ">=", "<="),
    (re.compile(rf"\b(?:no more than|at most|up to|not over|maximum of) {_NUMBER}"), "<=", ""),
    (re.compile(rf"\b(?:no less than|at least|from) {_NUMBER}"), ">=", ""),
    (re.compile(rf"\b(?:under|below|less than|cheaper than|less expensive than|fewer than) {_NUMBER}"), "<", ""),
    (re.compile(rf"\b(?:over|above|more than|more expensive than|dearer than) {_NUMBER}"), ">", ""),
)


@dataclass(frozen=True)
class Limit:
    """A bound on a number: `<`, `<=`, `>` or `>=`."""

    sign: str
    value: float


@dataclass(frozen=True)
class Order:
    """An order by a number.

    Attributes:
        options: names that the number may have, and which end then comes first: the *oldest* has the highest age or
            the lowest year.
        compared: two things are only compared ("cheaper").
        first: how many are asked for: three, of "the three cheapest".
    """

    options: tuple[tuple[tuple[str, ...], Direction], ...]
    compared: bool = False
    first: int = 1


@dataclass(frozen=True)
class Ask:
    """The frame of a question: everything but the values it names.

    Attributes:
        words: the question as tokens, folded; those that the frame explains are "".
        text: the same, as one string.
        those: it asks about what was just spoken of.
        it: it has a pronoun, which means the same when nothing else is named.
        continues: it begins like the second half of something.
    """

    words: tuple[str, ...]
    text: str
    count: bool = False
    average: bool = False
    total: bool = False
    lists: bool = False
    price: bool = False
    author: bool = False
    order: Order | None = None
    limits: tuple[Limit, ...] = ()
    those: bool = False
    it: bool = False
    continues: bool = False


def fold(text: str) -> str:
    """Lower case, without accents: for comparing."""
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(sign for sign in decomposed if not unicodedata.combining(sign))


def tokens(text: str) -> tuple[str, ...]:
    """Words and numbers of a folded text; commas and semicolons as "," for they separate."""
    return tuple(_TOKEN.findall(_OF.sub("", fold(text)).replace(";", ",")))


def stem(word: str) -> str:
    """A word without its ending: circles, circle and circular are one, as are striped and stripes."""
    word = SPELLINGS.get(word, word)
    for ending, instead in (("ular", "le"), ("onal", "on"), ("ies", "y")):
        if word.endswith(ending) and len(word) - len(ending) >= 2:
            word = word[: -len(ending)] + instead
    if word.endswith("s") and not word.endswith("ss") and len(word) > 3:
        word = word[:-1]
    if word.endswith("ed") and len(word) > 4:
        word = word[:-2]
        if len(word) > 3 and word[-1] == word[-2] and word[-1] in "bdgmnprt":
            word = word[:-1]
    return word[:-1] if word.endswith("e") and len(word) > 3 else word


def is_plain(word: str) -> bool:
    """Whether a word says nothing about a picture."""
    return word in _STOP or word == ","


def content_of(question: str) -> str:
    """The words of a question that say something about a picture."""
    said = [word for word in tokens(question) if not is_plain(word) and word not in (*PRICE, "costs", "prices")]
    return " ".join(said)


def frame(question: str) -> Ask:
    """Read what a question asks for."""
    words = list(tokens(question))
    spaced = " ".join(words)
    limits: list[Limit] = []
    flat = " ".join(fold(question).replace(",", ", ").split())
    for pattern, sign, second in _LIMITS:
        for found in pattern.finditer(flat):
            for number, which in zip(found.groups(), (sign, second), strict=False):
                limits.append(Limit(which, float(number.replace(",", ""))))
            spent = tokens(found.group())
            words = ["" if word in spent and not word.isalpha() else word for word in words]
            flat = flat.replace(found.group(), " ")
    order = _order(words) if not limits or re.search(r"\w+est\b|\bmost\b", flat) else None
    if limits:
        for at, word in enumerate(words):
            if word in ("cheaper", "dearer", "expensive", "fewer", "less", "more"):
                words[at] = ""
    return Ask(
        words=tuple(words),
        text=spaced,
        count=bool(_COUNTS.search(spaced)),
        average=bool(_AVERAGE.search(spaced)),
        total=bool(_TOTAL.search(spaced)) and not _COUNTS.search(spaced),
        lists=bool(_LISTS.search(spaced)),
        price=bool(_HOW_MUCH.search(spaced)),
        author=bool(_AUTHOR.search(spaced)),
        order=order,
        limits=tuple(limits),
        those=bool(_THOSE.search(spaced)),
        it=bool(_IT.search(spaced)),
        continues=bool(_AND_SO.match(spaced)),
    )


def _order(words: list[str]) -> Order | None:
    """The order a question asks for; its words are taken out of `words`."""
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
                return Order(tuple(options), compared=True)
            return Order(tuple(options), first=_first(words, begin, at))
    for at, word in enumerate(words):
        following = words[at + 1] if at + 1 < len(words) else ""
        if word in _HIGH | _LOW and following and following not in ("than", "of") and not is_plain(following):
            words[at] = ""
            direction_: Direction = "highest" if word in _HIGH else "lowest"
            if word in _COMPARED:
                return Order((((following,), direction_),), compared=True)
            return Order((((following,), direction_),), first=_first(words, at, at))
    return _ranked(words) or _costing(words)


def _costing(words: list[str]) -> Order | None:
    """`which two cost the most`."""
    for at, word in enumerate(words[:-1]):
        end = at + 2 if words[at + 1] == "the" and at + 2 < len(words) else at + 1
        if word in ("cost", "costs") and words[end] in ("most", "least"):
            direction: Direction = "highest" if words[end] == "most" else "lowest"
            words[at : end + 1] = [""] * (end + 1 - at)
            return Order(((PRICE, direction),), first=_first(words, at, end))
    return None


def _ranked(words: list[str]) -> Order | None:
    """`top 3 by rating`: an order without an adjective."""
    for at, word in enumerate(words[:-1]):
        ends: dict[str, Direction] = {"top": "highest", "bottom": "lowest"}
        if word in ends and (first := _count(words[at + 1])) and "by" in words[at + 2 : -1]:
            by = words.index("by", at + 2)
            options: tuple[tuple[tuple[str, ...], Direction], ...] = (((words[by + 1],), ends[word]),)
            words[at : at + 2] = ["", ""]
            return Order(options, first=first)
    return None


def _first(words: list[str], begin: int, end: int) -> int:
    """How many of the first a superlative at `words[begin : end + 1]` asks for; what says so is taken out."""
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
