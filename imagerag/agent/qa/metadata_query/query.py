"""Looking a question up in a library's metadata, without a model: a filter, an order, a count, and nothing invented.

Similarity finds images that look like a question; it cannot say which of them is the cheapest. So answering looks at
both: what is near, and what the metadata of the whole library says.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from imagerag.agent.qa.metadata_query.clauses import Clause, ParsedFilter, best_parse, joined
from imagerag.agent.qa.metadata_query.follow_up_questions import (
    continued,
    continues_question,
    is_about_image,
    refers_to_answer,
    reverses_order,
)
from imagerag.agent.qa.metadata_query.ordering import PRICE, Direction, SortOrder
from imagerag.agent.qa.metadata_query.parser import ParsedQuestion, RangeFilter
from imagerag.agent.qa.metadata_query.vocabulary import Vocabulary, VocabularyEntry, value_of, value_text
from imagerag.agent.qa.types import MAX_CITATIONS, HasMetadata, MetadataResult, Part

_SIGNS: Final = {"<": "under", "<=": "at most", ">": "over", ">=": "at least", "=": "exactly"}
_MOST_VALUES: Final = 40

NOTHING_LIKE_IT: Final = "nothing in the library is like the image"
_SPOKEN_OF: Final = "only what the answer before spoke of was looked at"
_LIKE_IT: Final = "only what is like the image was looked at"


def query_metadata(
    question: str,
    rows: Sequence[HasMetadata],
    *,
    synonyms: Mapping[str, str] | None = None,
    similarity: Mapping[str, float] | None = None,
    before: str | None = None,
    spoken_of: Collection[str] = (),
    similar_images: Collection[str] | None = None,
) -> MetadataResult:
    """Answer a question from the metadata of `rows`.

    Args:
        synonyms: words → the library's own words for them.
        similarity: cosine with the question by id; orders what no number orders.
        before: the question before this one in the same thread.
        spoken_of: ids that the answer before this one spoke of, for "which of those".
        similar_images: ids of what is like the image that the question came with; None where it came with none.
    """
    vocabulary = Vocabulary.of(rows)
    understood, as_english = best_parse(question, vocabulary, synonyms or {})
    if before is not None and (continues_question(understood) or reverses_order(understood)):
        understood = continued(understood, best_parse(before, vocabulary, synonyms or {})[0], vocabulary)
    finding = _run_search(understood, vocabulary, similarity or {}, spoken_of, similar_images)
    note = (f"read as: {as_english}",) if as_english else ()
    return finding.model_copy(update={"notes": (*note, *finding.notes)})


def _run_search(
    understood: ParsedFilter,
    vocabulary: Vocabulary,
    similarity: Mapping[str, float],
    spoken_of: Collection[str],
    similar_images: Collection[str] | None,
) -> MetadataResult:
    """Images that a parsed question finds: among those like its image, those mentioned before, or all."""
    ids = {entry.id for entry in vocabulary.entries}
    if similar_images is not None and is_about_image(understood):
        those = frozenset(similar_images) & ids
        if not those:
            return MetadataResult(rows=len(ids), unknown=understood.unknown, notes=(NOTHING_LIKE_IT,))
        return _Search(vocabulary, understood, similarity, those, _LIKE_IT).finding()
    those = frozenset(spoken_of) & ids if refers_to_answer(understood) else frozenset[str]()
    return _Search(vocabulary, understood, similarity, those).finding()


@dataclass(frozen=True)
class _Search:
    vocabulary: Vocabulary
    read: ParsedFilter
    similarity: Mapping[str, float]
    those: frozenset[str]
    why_those: str = _SPOKEN_OF

    @property
    def ask(self) -> ParsedQuestion:
        return self.read.ask

    def finding(self) -> MetadataResult:
        pool = [entry for entry in self.vocabulary.entries if not self.those or entry.id in self.those]
        notes = (self.why_those,) if self.those else ()
        blank = MetadataResult(rows=len(pool), unknown=self.read.unknown, left_out=self.read.left_out, notes=notes)
        bound = self._relative() if self._is_relative() else self._bound()
        if bound is None:
            return blank
        key, limits, clauses, condition = bound
        searched = replace(self.read, clauses=clauses)
        fitting = [e for e in pool if searched.fits(e) and all(_within(e.numbers.get(key), limit) for limit in limits)]
        fitting.sort(key=lambda e: (-self.similarity.get(e.id, -2.0), e.name, e.id))
        result = self._answer_kind(blank, searched, fitting, has_condition=bool(clauses or limits or self.those))
        return result.model_copy(update={"condition": condition, "matched": len(fitting)}) if result else blank

    def _answer_kind(
        self, blank: MetadataResult, searched: ParsedFilter, fitting: list[VocabularyEntry], *, has_condition: bool
    ) -> MetadataResult | None:
        """The kind of answer that is asked for; None when it is not clear."""
        ask, keys = self.ask, list(self.read.asked)
        numbers = [key for key in keys if key in self.vocabulary.numeric]
        price = self.vocabulary.number(PRICE)
        if ask.price and price and price not in keys:
            keys.append(price)
        if ask.author:
            keys.append("author")
        if self.read.unknown and not has_condition:
            return None
        if ask.count:
            return self._list_result(blank, "count", searched, fitting, keys)
        if ask.average or ask.total:
            key = next(iter(numbers), price if ask.price else self.vocabulary.only_number)
            return self._computed(blank, fitting, key) if key else None
        if ask.order and not self._is_relative():
            return self._ordered(blank, searched, fitting, keys, has_condition=has_condition)
        if ask.price and not price:
            return None
        if keys and not has_condition:
            return self._distinct(blank, fitting, keys[0])
        if keys:
            return self._list_result(blank, "value", searched, fitting, keys)
        return self._list_result(blank, "list", searched, fitting, keys) if has_condition or ask.lists else None

    def _list_result(
        self, blank: MetadataResult, kind: str, searched: ParsedFilter, fitting: list[VocabularyEntry], keys: list[str]
    ) -> MetadataResult:
        parts = self._parts(searched, fitting)
        ids = _first([*(part.id for part in parts if part.id), *(entry.id for entry in fitting)])
        return blank.model_copy(update={"kind": kind, "asked": tuple(keys), "ids": ids, "parts": parts})

    def _ordered(
        self,
        blank: MetadataResult,
        searched: ParsedFilter,
        fitting: list[VocabularyEntry],
        keys: list[str],
        *,
        has_condition: bool,
    ) -> MetadataResult | None:
        order = self.ask.order
        assert order is not None, "called for questions that have one"
        key, direction = self._ordering(order)
        if key is None or (order.compared and not has_condition):
            return None
        valued = [entry for entry in fitting if key in entry.numbers]
        _sort(valued, key, direction)
        if order.rank > 1:  # whoever has the same number as that one is it, too
            it = valued[order.rank - 1].numbers[key] if order.rank <= len(valued) else None
            valued.sort(key=lambda entry: entry.numbers[key] != it)
            leading = sum(entry.numbers[key] == it for entry in valued)
        else:  # whoever has the same number as the last that was asked for belongs to them
            count = order.first or len(valued)
            last = valued[min(count, len(valued)) - 1].numbers[key] if valued else None
            leading = max((at for at, entry in enumerate(valued, start=1) if entry.numbers[key] == last), default=0)
        parts = self._parts(searched, valued)
        ids = _first([*(e.id for e in valued[:leading]), *(p.id for p in parts if p.id), *(e.id for e in valued)])
        lacking = len(fitting) - len(valued)
        notes = (*blank.notes, *([f"left out, for they have no number as {key}: {lacking}"] if lacking else []))
        update = {
            "kind": "best",
            "key": key,
            "direction": direction,
            "wanted": order.first,
            "rank": order.rank,
            "leading": leading,
        }
        keys = [name for name in keys if name != key]
        return blank.model_copy(update={**update, "ids": ids, "parts": parts, "asked": tuple(keys), "notes": notes})

    def _computed(self, blank: MetadataResult, fitting: list[VocabularyEntry], key: str) -> MetadataResult:
        numbers = [entry.numbers[key] for entry in fitting if key in entry.numbers]
        total = sum(numbers)
        number = total if self.ask.total else total / len(numbers) if numbers else None
        kind = "total" if self.ask.total else "average"
        lacking = len(fitting) - len(numbers)
        notes = (*blank.notes, *([f"left out, for they have no number as {key}: {lacking}"] if lacking else []))
        ids = _first([entry.id for entry in fitting])
        return blank.model_copy(update={"kind": kind, "key": key, "number": number, "notes": notes, "ids": ids})

    def _distinct(self, blank: MetadataResult, fitting: list[VocabularyEntry], key: str) -> MetadataResult:
        counted = Counter(value for entry in fitting if (value := value_of(entry.row, key)))
        values = [f"{value} ({times})" for value, times in counted.most_common(_MOST_VALUES)]
        if len(counted) > _MOST_VALUES:
            values.append(f"and {len(counted) - _MOST_VALUES} more")
        return blank.model_copy(update={"kind": "distinct", "asked": (key,), "values": tuple(values)})

    def _parts(self, searched: ParsedFilter, fitting: list[VocabularyEntry]) -> tuple[Part, ...]:
        if len(searched.clauses) < 2:
            return ()
        parts = []
        for clause in searched.clauses:
            mine = [entry for entry in fitting if all(term.fits(entry) for term in clause)]
            parts.append(Part(words=_in_words(clause), matched=len(mine), id=mine[0].id if mine else None))
        return tuple(parts)

    def _bound(self) -> tuple[str, tuple[RangeFilter, ...], tuple[Clause, ...], str] | None:
        """The number that limits are about, the limits, the clauses, and all that in words."""
        clauses, limits = self.read.clauses, self.ask.limits
        words = " or ".join(map(_in_words, clauses))
        if not limits:
            return "", (), clauses, words
        number_key = next((key for key in self.read.asked if key in self.vocabulary.numeric), None)
        key = number_key or self.vocabulary.number(PRICE) or self.vocabulary.only_number
        if key is None:
            return None
        bounds = " and ".join(f"{key} {_SIGNS[limit.sign]} {value_text(limit.value)}" for limit in limits)
        joint = f"({words}) and {bounds}" if len(clauses) > 1 else " and ".join(filter(None, [words, bounds]))
        return key, limits, clauses, joint

    def _ordering(self, order: SortOrder) -> tuple[str | None, Direction]:
        """The number that orders, of those that the question may mean, and which end comes first."""
        options = ((self.vocabulary.number(names), direction) for names, direction in order.options)
        return next(((key, direction) for key, direction in options if key), (None, ""))

    def _is_relative(self) -> bool:
        """Whether it is about what is, say, cheaper than something that is named."""
        words, order = self.ask.words, self.ask.order
        if not (order and order.compared and "than" in words):
            return False
        return any(term.start > words.index("than") for term in self.read.terms) and not self._before_than_named()

    def _before_than_named(self) -> bool:
        """`Is Widget A cheaper than Widget B` compares the two; nothing is looked for."""
        than = self.ask.words.index("than")
        names = {term.about for term in self.read.terms if term.start > than}
        return any(term.about in names for term in self.read.terms if term.start < than)

    def _relative(self) -> tuple[str, tuple[RangeFilter, ...], tuple[Clause, ...], str] | None:
        order, than = self.ask.order, self.ask.words.index("than")
        assert order is not None, "called for questions that compare"
        key, direction = self._ordering(order)
        after = joined([term for term in self.read.terms if term.start > than], self.ask.words)
        clauses = joined([term for term in self.read.terms if term.start < than], self.ask.words)
        measures = replace(self.read, clauses=after)
        values = (
            {e.numbers[key] for e in self.vocabulary.entries if key in e.numbers and measures.fits(e)} if key else ()
        )
        if key is None or len(values) != 1:
            return None
        limit = RangeFilter(">" if direction == "highest" else "<", next(iter(values)))
        bound = f"{key} {_SIGNS[limit.sign]} {value_text(limit.value)} ({' or '.join(map(_in_words, after))})"
        return key, (limit,), clauses, " and ".join(filter(None, [" or ".join(map(_in_words, clauses)), bound]))


def _sort(entries: list[VocabularyEntry], key: str, direction: Direction) -> None:
    sign = -1 if direction == "highest" else 1
    entries.sort(key=lambda entry: (sign * entry.numbers[key], entry.name, entry.id))


def _within(number: float | None, limit: RangeFilter) -> bool:
    if number is None:
        return False
    return {
        "<": number < limit.value,
        "<=": number <= limit.value,
        ">": number > limit.value,
        ">=": number >= limit.value,
        "=": number == limit.value,
    }[limit.sign]


def _in_words(clause: Clause) -> str:
    return " and ".join(term.text() for term in clause)


def _first(ids: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(ids))[:MAX_CITATIONS]
