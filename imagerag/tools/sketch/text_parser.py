"""Parse a text of the sketch world into its things and background.

This is the generator's language understanding. It uses only the text; words without a meaning here are kept in
`ParsedMention.unknown`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from imagerag.tools.sketch.caption_text import SYNONYMS
from imagerag.tools.sketch.world import BACKGROUNDS, COLOURS, MAX_THINGS, PATTERNS, SHAPES, article, articles


@dataclass(frozen=True, slots=True)
class ParsedMention:
    """One thing that a text mentions. `None` means that the text leaves it open.

    Attributes:
        shape, colour, pattern: words of the vocabulary.
        name: a proper name in apposition, as in `Widget A, a red solid circle`.
        unknown: words without a meaning in this world, in order.
        text: the words it was parsed from, in lower case.
    """

    shape: str | None = None
    colour: str | None = None
    pattern: str | None = None
    name: str = ""
    unknown: tuple[str, ...] = ()
    text: str = ""

    @property
    def has_meaning(self) -> bool:
        """Whether any of its words has a meaning in this world."""
        return bool(self.shape or self.colour or self.pattern)

    @property
    def bare_phrase(self) -> str:
        """Canonical wording, without an article: `red solid circle`, `blue thing`, `zorple`."""
        noun = self.shape or (self.unknown[-1] if self.unknown else "thing")
        others = self.unknown if self.shape else self.unknown[:-1]
        return " ".join([word for word in (self.colour, self.pattern) if word] + [*others, noun])

    def phrase(self) -> str:
        """Canonical wording: `a red solid circle`, `a blue thing`, `a zorple`."""
        return article(self.bare_phrase)


@dataclass(frozen=True, slots=True)
class ParsedText:
    """A parsed text: its mentions in order (a numeral repeats one), and the background if it names one."""

    mentions: tuple[ParsedMention, ...]
    background: str | None = None


_FORMS: Final[dict[str, tuple[str, ...]]] = {
    "circle": ("circular", "round"), "triangle": ("triangular",), "rectangle": ("rectangular",),
    "oval": ("elliptical",),
    "hexagon": ("hexagonal",), "diamond": ("lozenge",), "star": ("starry",), "heart": ("heart-shaped",),
    "cross": ("cruciform",), "square": ("quadratic",), "crescent": ("crescents", "half-moon", "half moon"),
    "striped": ("stripe", "stripes", "with stripes"), "dotted": ("dots", "polka dot", "polka dotted", "polka dots"),
    "checkered": ("checks", "chequerboard", "checker", "checkerboard-patterned"), "split": ("halved", "bicolour"),
    "ringed": ("rings", "concentric rings", "concentric"), "purple": ("lilac-coloured",), "solid": ("unpatterned",),
}  # fmt: skip
_NUMERALS: Final = {"two": 2, "three": 3, "2": 2, "3": 3}
NOUNS: Final = {"shape", "thing", "object", "something", "figure", "item", "one", "anything", "shapes", "things"}
_BREAKS: Final = {
    "and", "beside", "next", "near", "above", "below", "under", "over", "behind", "plus", "then", "also", "together",
    "alongside", "between",
}  # fmt: skip
_FILLER: Final = frozenset(
    """
    a an the my your our of in on at to is are that which has have it its from by for as this these there picture
    pictures photo photograph image images drawing illustration sketch painting rendering draw show generate create make
    paint render showing depicting please me single simple clean clear detailed flat style coloured colored color colour
    pattern patterned left right front side top bottom centre center middle centred centered small big large little tiny
    huge background backdrop shaped very some
    """.split()  # noqa: SIM905, prose is easier to read than a list of quoted words
)
_ARTICLES: Final = {"a", "an", "the", "one"}


def _lexicon() -> dict[str, tuple[str, str]]:
    table: dict[str, tuple[str, str]] = {}
    for kind, words in (("shape", SHAPES), ("colour", COLOURS), ("pattern", PATTERNS)):
        for word in words:
            for form in (word, *SYNONYMS.get(word, ()), *_FORMS.get(word, ())):
                table[form.replace("-", " ")] = kind, word
                if kind == "shape":
                    table[_plural(form.replace("-", " "))] = kind, word
    return table


def _plural(word: str) -> str:
    return f"{word}es" if word.endswith(("s", "x", "ss")) else f"{word}s"


_LEXICON: Final = _lexicon()
_LONGEST: Final = max(len(form.split()) for form in _LEXICON)
_GROUND: Final = "|".join(
    sorted((re.escape(form) for word in BACKGROUNDS for form in (word, *SYNONYMS.get(word, ()))), key=len, reverse=True)
)
_ON: Final = re.compile(
    r"\b(?:on|against|over|with|in front of)\s+(?:(?:a|an|the)\s+)?(?:(?:plain|pale|light|simple)\s+)*"
    rf"({_GROUND})(?:\s+(?:paper\s+)?(?:background|backdrop|paper|canvas)\b|(?=\s*(?:[.,;]|$|\band\b)))"
    rf"|\b({_GROUND})\s+(?:background|backdrop)\b"
)
_MEDIUM: Final = re.compile(r"\b(?:icon|logo|graphic|vector|clip ?art|render|print|poster)s? (?:of|showing|depicting) ")


def phrases(mentions: Iterable[ParsedMention]) -> list[str]:
    """The phrase of each mention."""
    return articles([mention.bare_phrase for mention in mentions])


@lru_cache(maxsize=4096)  # cached: a prompt is parsed for every requirement and every look
def parse(text: str) -> ParsedText:
    """Parse a text.

    Args:
        text: any text; case, order of adjectives, synonyms, plurals and small numerals are understood.

    Returns:
        The mentions in their order, at least the unknown ones, and the background when the text names one.
    """
    lowered = _MEDIUM.sub(" ", text.lower().replace("’", "'"))
    match = _ON.search(lowered)
    background = _background(match.group(1) or match.group(2)) if match else None
    if match:
        lowered = f"{lowered[: match.start()]} . {lowered[match.end() :]}"
    reader = _Reader()
    for clause in re.split(r"([,;:.!?()\n])", lowered):
        reader.clause(clause)
    return ParsedText(reader.finish(), background)


def _background(form: str) -> str:
    return next(word for word in BACKGROUNDS if form == word or form in SYNONYMS.get(word, ()))


class _Reader:
    """Collects words until a noun closes a mention; words after the noun may still complete it."""

    def __init__(self) -> None:
        self.mentions: list[ParsedMention] = []
        self._start()

    def _start(self) -> None:
        self.words: dict[str, str] = {}
        self.unknown: list[str] = []
        self.raw: list[str] = []
        self.count = 1
        self.determined = self.noun = False

    def clause(self, clause: str) -> None:
        if re.fullmatch(r"[,;:.!?()\n]", clause):
            # A comma after a noun may continue it ("a circle, red and solid"); any other mark ends it.
            if clause != "," or not self.noun:
                self._close(comma=clause == ",")
            else:
                self.raw.append(",")
            return
        tokens = re.findall(r"[\w'#%&/+]+", clause.replace("-", " "))
        if self.noun and self._names_something(tokens):
            self._close()  # ", dotted star": the comma separated two things
        at = 0
        while at < len(tokens):
            if tokens[at] == "a" and at == len(tokens) - 1 and self.unknown and not self.determined:
                self.unknown.append("a")  # a letter in a name, "Widget A": no article ends a clause
                self.raw.append("a")
                return
            at += self._take(tokens, at)

    def _names_something(self, tokens: list[str]) -> bool:
        """Whether a shape or a noun comes before the next connecting word."""
        for at, token in enumerate(tokens):
            if token in _BREAKS or token == "with":
                return False
            spans = (" ".join(tokens[at : at + length]) for length in range(1, _LONGEST + 1))
            if token in NOUNS or any(_LEXICON.get(span, ("",))[0] == "shape" for span in spans):
                return True
        return False

    def _take(self, tokens: list[str], at: int) -> int:
        for length in range(min(_LONGEST, len(tokens) - at), 0, -1):
            entry = _LEXICON.get(" ".join(tokens[at : at + length]))
            if entry and not self._means_and(tokens, at):
                self._word(*entry, tokens[at : at + length])
                return length
        if tokens[at] in ("and", "with"):
            self._connect(tokens[at], tokens[at + 1 :])
        else:
            self._other(tokens[at])
        return 1

    def _means_and(self, tokens: list[str], at: int) -> bool:
        """`plus` is a shape only after a determiner or an adjective, and otherwise means "and"."""
        return tokens[at] == "plus" and (self.noun or not (self.determined or self.words))

    def _word(self, kind: str, word: str, tokens: list[str]) -> None:
        again = self.noun and (kind == "shape" or kind in self.words)
        if again or self.words.get(kind, word) != word:
            self._close()
        self.words[kind] = word
        self.raw += tokens
        self.noun = self.noun or kind == "shape"

    def _other(self, token: str) -> None:
        if token in _NUMERALS and (self.noun or not self.words):
            self._close()
            self.count, self.determined = _NUMERALS[token], True
        elif token in _ARTICLES:
            self._article(token)
        elif token in _BREAKS:
            self._close()
        elif token in NOUNS:
            if self.noun and token in ("something", "anything"):
                self._close()
            self.noun = True
            self.raw.append(token)
        elif token not in _FILLER:
            if self.words.get("shape"):
                self._close()
            self.unknown.append(token)
            self.raw.append(token)

    def _article(self, token: str) -> None:
        if token == "one" and self.words:
            self.noun = True  # "a red one"
            return
        if self.noun:
            self._close()  # a new article begins a new mention, even without "and"
        self.determined = True

    def _connect(self, token: str, following: list[str]) -> None:
        # "a circle that is red and solid" continues, "a circle and a dotted square" does not: the next words decide.
        goes_on = not self._names_something(following) if self.noun else bool(self.words) and not self.unknown
        if goes_on:
            self.raw.append(token)
        else:
            self._close()

    def _close(self, *, comma: bool = False) -> None:
        raw = " ".join(self.raw).replace(" ,", ",").strip(" ,").removesuffix(" and").removesuffix(" with").strip(" ,")
        mention = ParsedMention(
            self.words.get("shape"), self.words.get("colour"), self.words.get("pattern"),
            unknown=tuple(self.unknown), text=raw,
        )  # fmt: skip
        previous = self.mentions[-1] if self.mentions else None
        if mention.has_meaning and previous and previous.name and not previous.has_meaning:
            self.mentions.pop()
            mention = replace(mention, name=previous.name, text=f"{previous.text}, {raw}")
        elif comma and self.unknown and not self.determined and not self.words:
            mention = replace(mention, name=raw)
        if mention.has_meaning or mention.unknown or self.noun:
            self.mentions += [mention] * min(self.count, MAX_THINGS)
        self._start()

    def finish(self) -> tuple[ParsedMention, ...]:
        """Close the last mention and return all of them."""
        self._close()
        return tuple(self.mentions)


def meanings() -> dict[str, str]:
    """Each synonym with its word of the world: `circular` → `circle`, `polka dots` → `dotted`."""
    own = {*SHAPES, *COLOURS, *PATTERNS}
    return {form: word for form, (_, word) in _LEXICON.items() if form not in own}
