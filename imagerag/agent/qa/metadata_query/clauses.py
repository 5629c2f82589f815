"""A question met with a library's vocabulary: which values it names, how they are joined, and what stays unknown."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from imagerag.agent.qa.metadata_query.languages import in_english
from imagerag.agent.qa.metadata_query.parser import ParsedQuestion, parse_question
from imagerag.agent.qa.metadata_query.vocabulary import LONGEST, Vocabulary, VocabularyEntry, stemmed
from imagerag.agent.qa.metadata_query.word_forms import TOLD, is_plain

_NOT = frozenset({"not", "without", "except", "excluding", "non", "no", "nor", "neither", "never"})
_REACHED = frozenset({"or", "nor", "and", ",", "a", "an", "the"})
"""Words over which a negation reaches on to another value of the same key."""
_ASKED_OF: Final[Mapping[str, tuple[str, ...]]] = {
    "when": ("date", "year", "time"),
    "where": ("place", "location", "city", "country"),
    "why": (),
    "how": (),
}
_BETWEEN = frozenset({"a", "an", "the", "by", "in", "of", "from", "with", "for", "under", "made"})


@dataclass(frozen=True)
class Condition:
    """Something a question names.

    Attributes:
        key: the key it is a value of; empty for a word that only stands in captions and the like.
        keys: every key that has such a value.
        words: the value, as stems.
        written: as the library writes it.
        start, end: its place in the question.
        negated: it is to be absent.
        both: terms of which not all may hold together, of "not a red circle".
    """

    key: str
    keys: frozenset[str]
    words: tuple[str, ...]
    written: str
    start: int
    end: int
    negated: bool = False
    both: "tuple[Condition, ...]" = ()

    @property
    def about(self) -> str:
        """The subject that two terms must share to exclude each other; words of captions never do."""
        if self.both:
            return f"both {self.words}"
        return self.key or f"says {self.words}"

    def fits(self, entry: VocabularyEntry) -> bool:
        """Whether an image has it (or has it not, when negated)."""
        if self.both:
            has = all(term.fits(entry) for term in self.both)
        elif self.key:
            has = any(self.words in entry.texts.get(key, ()) for key in self.keys)
        else:
            has = self.words[0] in entry.words
        return has is not self.negated

    def text(self) -> str:
        """Describe the condition: `colour purple`, `pattern other than striped`, `“dog” in its words`."""
        if self.both:
            return f"anything but {' and '.join(term.text() for term in self.both)}"
        if self.key:
            return f"{self.key} other than {self.written}" if self.negated else f"{self.key} {self.written}"
        return f"{'no ' if self.negated else ''}“{self.written}” in its words"


Clause = tuple[Condition, ...]
"""Terms that hold together."""


@dataclass(frozen=True)
class ParsedFilter:
    """A question as far as it was understood.

    Attributes:
        clauses: one of them must hold; none lets everything through.
        asked: keys that are mentioned, in their order.
        unknown: words that mean nothing in this library.
        left_out: words that say what somebody is after, and nothing about an image.
    """

    ask: ParsedQuestion
    terms: tuple[Condition, ...] = ()
    clauses: tuple[Clause, ...] = ()
    asked: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    def fits(self, entry: VocabularyEntry) -> bool:
        """Whether the question names an image."""
        return not self.clauses or any(all(term.fits(entry) for term in clause) for clause in self.clauses)


@dataclass
class _Reader:
    ask: ParsedQuestion
    vocabulary: Vocabulary
    synonyms: Mapping[str, str]
    terms: list[Condition] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def read(self) -> ParsedFilter:
        at = 0
        while at < len(self.ask.words):
            at += self._take(at)
        own = {term.key for term in self.terms}
        keys = tuple(dict.fromkeys(key for key in self.asked if key not in own))
        terms = _negated(self.terms, self.ask.words)
        clauses = joined(terms, self.ask.words)
        unknown, left_out = (tuple(dict.fromkeys(words)) for words in (self.unknown, self.left_out))
        return ParsedFilter(self.ask, tuple(terms), clauses, keys, unknown, left_out)

    def _take(self, at: int) -> int:
        words = self.ask.words
        for length in range(min(LONGEST, len(words) - at), 0, -1):
            span = words[at : at + length]
            if "" in span or "," in span:
                continue
            stems = tuple(map(stemmed, span))
            for alternative in (stems, self._synonym_stems(span)):
                if alternative and self._value(alternative, at, length):
                    return length
            if stems in self.vocabulary.keys and not (length == 1 and is_plain(span[0])):
                self.asked.append(self.vocabulary.keys[stems])
                return length
        self._word(at)
        return 1

    def _synonym_stems(self, span: tuple[str, ...]) -> tuple[str, ...]:
        instead = self.synonyms.get(" ".join(span))
        return tuple(map(stemmed, instead.split())) if instead else ()

    def _value(self, stems: tuple[str, ...], at: int, length: int) -> bool:
        texts_by_key = self.vocabulary.values.get(stems)
        if not texts_by_key or (length == 1 and is_plain(self.ask.words[at])):
            return False
        key = next(iter(texts_by_key))
        self.terms.append(self._term(key, frozenset(texts_by_key), stems, texts_by_key[key], at, at + length))
        return True

    def _word(self, at: int) -> None:
        word = self.ask.words[at]
        if word in _ASKED_OF:
            self._of_a_key(at, word)
            return
        if word in TOLD:
            self.left_out.append(word)
        if not word or is_plain(word) or word in _NOT or word in ("price", "cost", "costs", "priced", "prices"):
            return
        for stem in (stemmed(word), *self._synonym_stems((word,))):
            if stem in self.vocabulary.words:
                self.terms.append(self._term("", frozenset(), (stem,), word, at, at + 1))
                return
        if not (self.ask.author and word in ("made", "drew", "took", "painted", "created", "designed", "drawn")):
            self.unknown.append(word)

    def _of_a_key(self, at: int, word: str) -> None:
        """`when` and `where` ask for a key; where the library has none of the kind, they cannot be answered."""
        if word == "how" and self.ask.words[at + 1 : at + 2] and self.ask.words[at + 1] in ("many", "much", "about"):
            return
        names = (self.vocabulary.keys.get((stemmed(name),)) for name in _ASKED_OF[word])
        key = next((key for key in names if key), None)
        if key is not None:
            self.asked.append(key)
        elif word != "how" or not (self.ask.order or self.ask.limits):
            self.unknown.append(word)

    def _term(self, key: str, keys: frozenset[str], stems: tuple[str, ...], text: str, at: int, end: int) -> Condition:
        before = [word for word in self.ask.words[max(0, at - 3) : at] if word not in _BETWEEN]
        negated = bool(before) and before[-1] in _NOT
        return Condition(key, keys, stems, text, at, end, negated)


def parse_filter(question: str, vocabulary: Vocabulary, synonyms: Mapping[str, str]) -> ParsedFilter:
    """Read a question with the words that a library has.

    Args:
        synonyms: further words, each with the library's own word for it; used where the library lacks the first.
    """
    return _Reader(parse_question(question), vocabulary, synonyms).read()


def best_parse(question: str, vocabulary: Vocabulary, synonyms: Mapping[str, str]) -> tuple[ParsedFilter, str]:
    """A question read as English, or as the language that leaves the fewest of its words unknown; and as what.

    The second is empty where it was read as it stands.
    """
    best, words = parse_filter(question, vocabulary, synonyms), ""
    if not best.unknown:
        return best, words
    for _, english in in_english(question, lambda word: (stemmed(word),) in vocabulary.keys):
        other = parse_filter(english, vocabulary, synonyms)
        if len(other.unknown) < len(best.unknown):
            best, words = other, english
    return best, words


def _negated(terms: list[Condition], words: tuple[str, ...]) -> list[Condition]:
    """Terms with their negations as far as these reach: over an "or" ("not red or blue"), and over a whole thing
    ("not a red circle" may be red, and may be a circle)."""
    result: list[Condition] = []
    for term in terms:
        last = result[-1] if result else None
        between = {word for word in words[last.end : term.start] if word} if last else set[str]()
        if last is None or not last.negated or term.negated or not between <= _REACHED:
            result.append(term)
        elif between and last.key == term.key:
            result.append(replace(term, negated=True))
        elif not between and last.key != term.key and words[last.start - 1] != "non":
            parts = (*(last.both or (replace(last, negated=False),)), term)
            stems = tuple(word for part in parts for word in part.words)
            result[-1] = replace(last, key="", words=stems, written="", end=term.end, both=parts)
        else:
            result.append(term)
    return result


def joined(terms: list[Condition], words: tuple[str, ...]) -> tuple[Clause, ...]:
    """Combine terms: side by side or with "and" all must hold, "or" gives a choice.

    "And" between two values of one key ("purple and blue circles") is a choice too, for nothing is both. A side that
    lacks what its neighbour says ("purple or blue circles") takes it over.
    """
    clauses: list[list[Condition]] = []
    for term in terms:
        between = words[clauses[-1][-1].end : term.start] if clauses else ()
        mine = {other.about for other in clauses[-1]} if clauses else set[str]()
        choice = "or" in between or (term.about in mine and bool({"and", ",", "than", "versus", "vs"} & set(between)))
        if not clauses or (choice and not term.negated):
            clauses.append([term])
        else:
            clauses[-1].append(term)
    return tuple(tuple(_completed(clauses, at)) for at in range(len(clauses)))


def _completed(clauses: list[list[Condition]], at: int) -> list[Condition]:
    own = {term.about for term in clauses[at]}
    for other in (*clauses[at + 1 :], *reversed(clauses[:at])):
        if own < {term.about for term in other}:
            return [*clauses[at], *(term for term in other if term.about not in own)]
    return clauses[at]
