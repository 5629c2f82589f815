"""Reading a question about a library's metadata: what it asks for, and in which words.

English, and no more than shows here (`languages.py` makes English of other languages' questions). What is not
understood stays visible among the words: nothing is guessed.
"""

import re
from dataclasses import dataclass
from typing import Final

from imagerag.agent.qa.metadata_query.ordering import PRICE, SortOrder, ordered
from imagerag.agent.qa.metadata_query.word_forms import fold, is_plain, tokens

_LISTS: Final = re.compile(r"\b(list|show|everything|all|every|is there|are there|have|hold|holds)\b")
_COUNTS: Final = re.compile(r"\b(how many|number of|count)\b")
_AVERAGE: Final = re.compile(r"\b(average|mean)\b")
_TOTAL: Final = re.compile(r"\b(total|sum|altogether)\b")
_HOW_MUCH: Final = re.compile(r"\b(how much|costs?|prices?|priced)\b")
_AUTHOR: Final = re.compile(r"\b(who (?:made|drew|took|painted|created|designed|is the author)|made by|drawn by)\b")
_THOSE: Final = re.compile(r"\b(?:of|among|from|between) (?:those|these|them)\b|\bthose\b|\bthese\b")
_IT: Final = re.compile(r"\b(it|its|they|them|their|both|that one|this one)\b")
_AND_SO: Final = re.compile(r"^(?:and|or|but|what about|how about|then)\b")
_NUMBER: Final = r"[$€£]?\s*(\d[\d,]*(?:\.\d+)?)"
_UNIT: Final = r"(?: ?(?:dollars?|euros?|pounds?|usd|eur|gbp|[$€£]))?"
_EXCEPT: Final = re.compile(
    r"\b(?:(?P<all>anything|everything|(?:all|every)(?: \w+)?) but(?! not\b)|other than|apart from|aside from|but for"
    r"|(?:do not|don.t|never) (?:want|need|like)(?: to \w+)?)\b",
    re.IGNORECASE,
)
"""Ways to say "except": they name what is not wanted."""
_MONEY: Final = r" ?(?:dollars?|euros?|pounds?|usd|eur|gbp|[$€£])"
_EXACTLY: Final = r"(?:exactly |precisely )?"
_LIMITS: Final = (
    (re.compile(rf"\bbetween {_NUMBER}{_UNIT} and {_NUMBER}"), ">=", "<="),
    (re.compile(rf"\bfrom {_NUMBER}{_UNIT} (?:up )?to {_NUMBER}"), ">=", "<="),
    (re.compile(rf"{_NUMBER}{_UNIT} or (?:less|under|below|cheaper)\b"), "<=", ""),
    (re.compile(rf"{_NUMBER}{_UNIT} or (?:more|over|above)\b"), ">=", ""),
    (re.compile(rf"(?:<=|≤) ?{_NUMBER}"), "<=", ""),
    (re.compile(rf"(?:>=|≥) ?{_NUMBER}"), ">=", ""),
    (re.compile(rf"< ?{_NUMBER}"), "<", ""),
    (re.compile(rf"> ?{_NUMBER}"), ">", ""),
    (re.compile(rf"\b(?:no more than|not more than|at most|up to|not over|maximum of|within) {_NUMBER}"), "<=", ""),
    (re.compile(rf"\b(?:no less than|not less than|at least|from) {_NUMBER}"), ">=", ""),
    (re.compile(rf"\b(?:under|below|less than|cheaper than|less expensive than|fewer than) {_NUMBER}"), "<", ""),
    (re.compile(rf"\b(?:over|above|more than|more expensive than|dearer than) {_NUMBER}"), ">", ""),
    (
        re.compile(
            rf"\b(?:exactly|precisely|costs?|costing|how much is|priced at|price (?:is|of)) {_EXACTLY}{_NUMBER}"
        ),
        "=",
        "",
    ),
    (re.compile(rf"\bfor (?:exactly )?(?=[$€£]|\d[\d,]*\.\d\d\b|[\d,.]+{_MONEY}){_NUMBER}"), "=", ""),
)


@dataclass(frozen=True)
class RangeFilter:
    """A bound on a number: `<`, `<=`, `>`, `>=`, or `=` for the number itself."""

    sign: str
    value: float


@dataclass(frozen=True)
class ParsedQuestion:
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
    order: SortOrder | None = None
    limits: tuple[RangeFilter, ...] = ()
    those: bool = False
    it: bool = False
    continues: bool = False


def content_words(question: str) -> str:
    """The words of a question that say something about an image."""
    content = [word for word in tokens(question) if not is_plain(word) and word not in (*PRICE, "costs", "prices")]
    return " ".join(content)


def parse_question(question: str) -> ParsedQuestion:
    """Read what a question asks for."""
    question = _EXCEPT.sub(lambda match: f"{match['all'] or ''} except", question)
    words = list(tokens(question))
    spaced = " ".join(words)
    limits: list[RangeFilter] = []
    flat = " ".join(fold(question).replace(",", ", ").split())
    for pattern, sign, second in _LIMITS:
        for match in pattern.finditer(flat):
            for number, which in zip(match.groups(), (sign, second), strict=False):
                limits.append(RangeFilter(which, float(number.replace(",", ""))))
            spent = tokens(match.group())
            words = ["" if word in spent and not word.isalpha() else word for word in words]
            flat = flat.replace(match.group(), " ")
    order = ordered(words) if not limits or re.search(r"\w+est\b|\bmost\b", flat) else None
    if limits:
        for at, word in enumerate(words):
            if word in ("cheaper", "dearer", "expensive", "fewer", "less", "more", "exactly", "precisely"):
                words[at] = ""
    return ParsedQuestion(
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
