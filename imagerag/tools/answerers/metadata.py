"""An answerer without a model: it says what a look-up in the library's metadata found, and nothing else.

It looks at no pixels and knows no language beyond `agent/qa/metadata_query`. What it does not understand it says,
and names what was found all the same; it does not guess.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Final

from imagerag.agent.ports import FREE, Capabilities, Embedder, ImagePart
from imagerag.agent.qa.metadata_query.query import NOTHING_LIKE_IT
from imagerag.agent.qa.metadata_query.vocabulary import written
from imagerag.agent.qa.ports import AnswerWithCitations, Source
from imagerag.agent.qa.types import MAX_CITATIONS, Citation, ConversationTurn, MetadataResult, Part
from imagerag.agent.types import SamplingParams
from imagerag.formatting.numbers import counted

if TYPE_CHECKING:
    from imagerag.tools.spec import BackendSpec

NAMED: Final = MAX_CITATIONS
"""Images named in one answer; of more it is said how many there are."""
_EXAMPLES: Final = 5
"""Images named where only their number was asked for, or nothing that was understood."""


@dataclass(frozen=True)
class MetadataAnswerer:
    """Answers from metadata alone: filters, orders, counts, averages, values."""

    identity: str = "metadata"
    capabilities: ClassVar[Capabilities] = Capabilities(tariff=FREE)

    @cached_property
    def synonyms(self) -> Mapping[str, str]:
        """`circular` for circle, `violet` for purple: other plain words for those of built-in libraries."""
        from imagerag.tools.registry import synonyms

        return synonyms()

    async def answer(
        self,
        question: str,
        sources: Sequence[Source],
        *,
        finding: MetadataResult | None,
        earlier: Sequence[ConversationTurn],
        variation: SamplingParams,
        question_images: Sequence[ImagePart] = (),
    ) -> AnswerWithCitations:
        """Put the finding into words; every image that is named is cited."""
        return _Answer(sources, finding).worded()

    async def answer_without(
        self,
        question: str,
        *,
        earlier: Sequence[ConversationTurn],
        variation: SamplingParams,
        question_images: Sequence[ImagePart] = (),
    ) -> AnswerWithCitations:
        """Nothing: without a library there is no metadata."""
        note = "this answerer has no model: without the library it knows nothing"
        return AnswerWithCitations(text="", in_library=False, notes=(note,), cost_usd=0.0)


def metadata_answerer(spec: "BackendSpec", *, embedder: Embedder | None = None) -> MetadataAnswerer:
    """`metadata`, and what stands for it beside the key-free judges: `sketch`, `clip`, `clip:NAME/TAG`.

    Raises:
        SpecError: an option; it has none.
    """
    spec.settings({})
    return MetadataAnswerer()


class _Answer:
    """One answer being worded."""

    def __init__(self, sources: Sequence[Source], finding: MetadataResult | None) -> None:
        self.sources = {source.id: source for source in sources}
        self.listed = list(sources)
        self.finding = finding or MetadataResult()
        self.cited: dict[int, str] = {}

    def worded(self) -> AnswerWithCitations:
        """The whole answer."""
        finding = self.finding
        if not finding.clear:
            text, held = self._unclear(), False
        elif not finding.matched:
            text, held = self._none(), False
        else:
            text, held = _WORDINGS[finding.kind](self), True
        parts = [*finding.notes, *([f"left out: {', '.join(finding.left_out)}"] if finding.left_out else [])]
        notes = f" ({'; '.join(parts)})" if parts else ""
        cited = tuple(Citation(source=number, supports=words) for number, words in self.cited.items())
        return AnswerWithCitations(text=text + notes, cited=cited, in_library=held, cost_usd=0.0)

    def best(self) -> str:
        """The first of an order, with what ties with it, and the first of each side of an "or"."""
        finding = self.finding
        first = [self.sources[sha] for sha in finding.ids[: finding.leading] if sha in self.sources]
        if not first:
            few = f"Of the {finding.matched} that fit there is no number {finding.rank} by {finding.key}."
            return few if finding.rank > 1 else f"None of the {finding.matched} that fit has a {finding.key}."
        named = self._named(first, lambda source: self._valued(source, (finding.key, *finding.asked)))
        if finding.rank > 1:
            tied = f" ({finding.leading} share it)" if finding.leading > 1 else ""
            text = f"Number {finding.rank} of {self._all()} by {finding.key}, {finding.direction} first: {named}{tied}."
        elif finding.wanted == 0:
            text = f"{_capital(self._all())} by {finding.key}, {finding.direction} first: {named}{self._more()}."
        elif finding.wanted > 1:
            unnamed = finding.leading - len(first)
            more = f" and {unnamed} more" if unnamed > 0 else ""
            ties = f" ({finding.leading}, for the last of them are equal)" if finding.leading > finding.wanted else ""
            few = f" (there are only {finding.leading})" if finding.leading < finding.wanted else ""
            of = f"The {finding.wanted} {finding.direction} in {finding.key} of {self._all()}"
            text = f"{of}{few}: {named}{more}{ties}."
        else:
            tied = f" ({finding.leading} share it)" if finding.leading > 1 else ""
            text = f"The {finding.direction} {finding.key} of {self._all()} is that of {named}{tied}."
        sides = [self._side(part) for part in finding.parts]
        return " ".join([text, *(side for side in sides if side)])

    def value(self) -> str:
        """What is asked of each image that fits."""
        finding = self.finding
        shown = self._shown()
        lacking = [key for key in finding.asked if not any(_value(source, key) for source in shown)]
        if lacking == list(finding.asked):
            return f"{self._named(shown, lambda s: '')}: the library does not say the {' or '.join(lacking)}."
        message = "; ".join(self._name(source, self._valued(source, finding.asked), ": {}") for source in shown)
        return f"{message}{self._more()}."

    def count(self) -> str:
        """How many fit, side by side where there is a choice."""
        finding = self.finding
        text = self._all(every="the library holds ")
        if len(finding.parts) > 1:
            text += " (" + ", ".join(f"{part.matched} with {part.words}" for part in finding.parts) + ")"
        return f"{_capital(text)}, {self._examples()}."

    def listing(self) -> str:
        """What fits; a few of them with what is written about them."""
        finding = self.finding
        shown = self._shown()
        detail = (lambda s: s.caption) if finding.matched <= 3 else (lambda s: "")
        text = self._all(every="the library holds ")
        return f"{_capital(text)}: {self._named(shown, detail)}{self._more()}."

    def distinct(self) -> str:
        """The values of a key."""
        return f"The library has these values of {self.finding.asked[0]}: {', '.join(self.finding.values)}."

    def computed(self) -> str:
        """An average or a total."""
        finding = self.finding
        for source in self._shown():
            self._cite(source, self._valued(source, (finding.key,)))
        number = written(finding.number) if finding.number is not None else "not known"
        return f"The {finding.kind} {finding.key} of {self._all()} is {number}."

    def _unclear(self) -> str:
        finding = self.finding
        if NOTHING_LIKE_IT in finding.notes:
            text = "I look at no image myself, and I can say nothing of this one."
        elif finding.unknown:
            words = ", ".join(f"“{word}”" for word in finding.unknown[:8])
            text = f"I do not understand the whole question: nothing in the library's metadata says {words}."
        else:
            text = "I do not understand the question: I can filter, order, count and average by the metadata."
        if finding.ids and (finding.condition or finding.notes):
            return f"{text} Without that, it is {self._all()}, {self._examples()}."
        near = self.listed[:_EXAMPLES]
        return f"{text} The nearest by similarity: {self._named(near, lambda s: s.caption)}." if near else text

    def _none(self) -> str:
        finding = self.finding
        text = f"The library holds nothing like that: of {counted(finding.rows, 'image')} none has {finding.condition}."
        near = [source for source in self.listed if source.by == "similarity"][:3]
        return f"{text} The nearest by similarity: {self._named(near, lambda s: s.caption)}." if near else text

    def _side(self, part: Part) -> str:
        if part.id is None:
            return f"Nothing has {part.words}."
        source = self.sources.get(part.id)
        if source is None:
            return ""
        named = self._named([source], lambda s: self._valued(s, (self.finding.key,)))
        return f"With {part.words} ({part.matched}) it is {named}."

    def _shown(self) -> "list[Source]":
        return [self.sources[sha] for sha in self.finding.ids if sha in self.sources][:NAMED]

    def _all(self, *, every: str = "all ") -> str:
        """`3 images with colour red`."""
        finding = self.finding
        what = counted(finding.matched, "image")
        if finding.condition:
            return f"{what} with {finding.condition}"
        return what if finding.notes and finding.matched == 1 else f"{every}{what}"

    def _examples(self) -> str:
        shown = self._shown()[:_EXAMPLES]
        some = "for instance " if self.finding.matched > len(shown) else "namely "
        return some + self._named(shown, lambda source: "")

    def _more(self) -> str:
        more = self.finding.matched - len(self._shown())
        return f" and {more} more" if more > 0 else ""

    def _named(self, sources: "Iterable[Source]", detail: Callable[[Source], str]) -> str:
        return ", ".join(self._name(source, detail(source)) for source in sources)

    def _name(self, source: Source, detail: str, form: str = " ({})") -> str:
        self._cite(source, detail)
        name = source.title or str(source.metadata.get("name") or "") or source.caption[:60] or source.id[:12]
        return f"{name} [{source.number}]" + (form.format(detail) if detail else "")

    def _cite(self, source: Source, supports: str) -> None:
        if not self.cited.get(source.number):
            self.cited[source.number] = supports or self.finding.condition or source.caption

    def _valued(self, source: Source, keys: Iterable[str]) -> str:
        return ", ".join(f"{key} {_value(source, key) or 'not said'}" for key in keys)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


_WORDINGS: Final[Mapping[str, Callable[[_Answer], str]]] = {
    "best": _Answer.best,
    "value": _Answer.value,
    "count": _Answer.count,
    "list": _Answer.listing,
    "distinct": _Answer.distinct,
    "average": _Answer.computed,
    "total": _Answer.computed,
}


def _value(source: Source, key: str) -> str:
    if key in source.metadata:
        return written(source.metadata[key])
    return {
        "licence": source.licence,
        "author": source.author,
        "title": source.title,
        "caption": source.caption,
        "tags": ", ".join(source.tags),
    }.get(key, "")
