"""A question met with a library's vocabulary: which values it names, how they are joined, and what stays unknown."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from imagerag.agent.answering.question import Ask, frame, is_plain
from imagerag.agent.answering.vocabulary import LONGEST, Entry, Vocabulary, stemmed

_NOT = frozenset({"not", "without", "except", "excluding", "non", "no"})
_BETWEEN = frozenset({"a", "an", "the", "by", "in", "of", "from", "with", "for", "under", "made"})


@dataclass(frozen=True)
class Term:
    """Something a question names.

    Attributes:
        key: the key it is a value of; empty for a word that only stands in captions and the like.
        keys: every key that has such a value.
        words: the value, as stems.
        written: as the library writes it.
        start, end: its place in the question.
        negated: it is to be absent.
    """

    key: str
    keys: frozenset[str]
    words: tuple[str, ...]
    written: str
    start: int
    end: int
    negated: bool = False

    @property
    def about(self) -> str:
        """What two terms must share to exclude each other; words of captions never do."""
        return self.key or f"says {self.words}"

    def fits(self, entry: Entry) -> bool:
        """Whether a picture has it (or has it not, when negated)."""
        if self.key:
            has = any(self.words in entry.texts.get(key, ()) for key in self.keys)
        else:
            has = self.words[0] in entry.words
        return has is not self.negated

    def told(self) -> str:
        """What a picture has, in words: `colour purple`, `pattern other than striped`, `“dog” in its words`."""
        if self.key:
            return f"{self.key} other than {self.written}" if self.negated else f"{self.key} {self.written}"
        return f"{'no ' if self.negated else ''}“{self.written}” in its words"


Clause = tuple[Term, ...]
"""Terms that hold together."""


@dataclass(frozen=True)
class Read:
    """A question as far as it was understood.

    Attributes:
        clauses: one of them must hold; none lets everything through.
        asked: keys that are mentioned, in their order.
        unknown: words that mean nothing in this library.
    """

    ask: Ask
    terms: tuple[Term, ...] = ()
    clauses: tuple[Clause, ...] = ()
    asked: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    def fits(self, entry: Entry) -> bool:
        """Whether a picture is one that the question names."""
        return not self.clauses or any(all(term.fits(entry) for term in clause) for clause in self.clauses)


@dataclass
class _Reader:
    ask: Ask
    vocabulary: Vocabulary
    synonyms: Mapping[str, str]
    terms: list[Term] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    def read(self) -> Read:
        at = 0
        while at < len(self.ask.words):
            at += self._take(at)
        own = {term.key for term in self.terms}
        asked = tuple(dict.fromkeys(key for key in self.asked if key not in own))
        clauses = joined(self.terms, self.ask.words)
        return Read(self.ask, tuple(self.terms), clauses, asked, tuple(dict.fromkeys(self.unknown)))

    def _take(self, at: int) -> int:
        words = self.ask.words
        for length in range(min(LONGEST, len(words) - at), 0, -1):
            span = words[at : at + length]
            if "" in span or "," in span:
                continue
            met = tuple(map(stemmed, span))
            for meant in (met, self._meant(span)):
                if meant and self._value(meant, at, length):
                    return length
            if met in self.vocabulary.keys and not (length == 1 and is_plain(span[0])):
                self.asked.append(self.vocabulary.keys[met])
                return length
        self._word(at)
        return 1

    def _meant(self, span: tuple[str, ...]) -> tuple[str, ...]:
        instead = self.synonyms.get(" ".join(span))
        return tuple(map(stemmed, instead.split())) if instead else ()

    def _value(self, met: tuple[str, ...], at: int, length: int) -> bool:
        found = self.vocabulary.values.get(met)
        if not found or (length == 1 and is_plain(self.ask.words[at])):
            return False
        key = next(iter(found))
        self.terms.append(self._term(key, frozenset(found), met, found[key], at, at + length))
        return True

    def _word(self, at: int) -> None:
        word = self.ask.words[at]
        if not word or is_plain(word) or word in ("price", "cost", "costs", "priced", "prices"):
            return
        for meant in (stemmed(word), *self._meant((word,))):
            if meant in self.vocabulary.words:
                self.terms.append(self._term("", frozenset(), (meant,), word, at, at + 1))
                return
        if not (self.ask.author and word in ("made", "drew", "took", "painted", "created", "designed", "drawn")):
            self.unknown.append(word)

    def _term(self, key: str, keys: frozenset[str], met: tuple[str, ...], written: str, at: int, end: int) -> Term:
        before = [word for word in self.ask.words[max(0, at - 3) : at] if word not in _BETWEEN]
        negated = bool(before) and before[-1] in _NOT
        return Term(key, keys, met, written, at, end, negated)


def read(question: str, vocabulary: Vocabulary, synonyms: Mapping[str, str]) -> Read:
    """Read a question with the words that a library has.

    Args:
        synonyms: further words, each with the library's own word for it; used where the library lacks the first.
    """
    return _Reader(frame(question), vocabulary, synonyms).read()


def joined(terms: list[Term], words: tuple[str, ...]) -> tuple[Clause, ...]:
    """How terms hold together: side by side or with "and" they all hold, "or" gives a choice.

    "And" between two values of one key ("purple and blue circles") is a choice too, for nothing is both. A side that
    lacks what its neighbour says ("purple or blue circles") takes it over.
    """
    clauses: list[list[Term]] = []
    for term in terms:
        between = words[clauses[-1][-1].end : term.start] if clauses else ()
        mine = {other.about for other in clauses[-1]} if clauses else set[str]()
        choice = "or" in between or (term.about in mine and bool({"and", ",", "than", "versus", "vs"} & set(between)))
        if not clauses or (choice and not term.negated):
            clauses.append([term])
        else:
            clauses[-1].append(term)
    return tuple(tuple(_completed(clauses, at)) for at in range(len(clauses)))


def _completed(clauses: list[list[Term]], at: int) -> list[Term]:
    own = {term.about for term in clauses[at]}
    for other in (*clauses[at + 1 :], *reversed(clauses[:at])):
        if own < {term.about for term in other}:
            return [*clauses[at], *(term for term in other if term.about not in own)]
    return clauses[at]
