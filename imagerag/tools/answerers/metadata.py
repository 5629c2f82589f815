"""Key-free answerer: reports the result of a metadata query on the library.

It looks at no pixels and parses only the language of `agent/qa/metadata_query`. Words that it cannot parse are named in
the answer, together with the result; it does not guess.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Final

from imagerag.agent.ports import FREE, Capabilities, Embedder, ImagePart
from imagerag.agent.qa.metadata_query.query import NOTHING_LIKE_IT
from imagerag.agent.qa.metadata_query.vocabulary import value_text
from imagerag.agent.qa.ports import AnswerWithCitations, Source
from imagerag.agent.qa.types import MAX_CITATIONS, Citation, ConversationTurn, MetadataResult, Part
from imagerag.agent.types import SamplingParams
from imagerag.formatting.numbers import counted

if TYPE_CHECKING:
    from imagerag.tools.spec import BackendSpec

NAMED: Final = MAX_CITATIONS
"""Maximum number of images named in one answer; of further ones only the number is given."""
_EXAMPLES: Final = 5
"""Maximum number of images named if only their number was asked for, or if nothing was parsed."""


@dataclass(frozen=True)
class MetadataAnswerer:
    """Answers from metadata alone: filters, orders, counts, averages, values."""

    identity: str = "metadata"
    capabilities: ClassVar[Capabilities] = Capabilities(tariff=FREE)

    @cached_property
    def synonyms(self) -> Mapping[str, str]:
        """Other words for those in the metadata of built-in libraries: `circular` for circle, `violet` for purple."""
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
        """Word the query's result; every named image is cited."""
        return _Answer(sources, finding).worded()

    async def answer_without(
        self,
        question: str,
        *,
        earlier: Sequence[ConversationTurn],
        variation: SamplingParams,
        question_images: Sequence[ImagePart] = (),
    ) -> AnswerWithCitations:
        """An empty answer: without a library there is no metadata."""
        note = "this answerer has no model: without the library it knows nothing"
        return AnswerWithCitations(text="", in_library=False, notes=(note,), cost_usd=0.0)


def metadata_answerer(spec: "BackendSpec", *, embedder: Embedder | None = None) -> MetadataAnswerer:
    """Factory of `metadata`, and of the key-free judges' specs: `sketch`, `clip`, `clip:NAME/TAG`.

    Raises:
        SpecError: an option is given; there are none.
    """
    spec.settings({})
    return MetadataAnswerer()


class _Answer:
    """Builds the text of one answer."""

    def __init__(self, sources: Sequence[Source], finding: MetadataResult | None) -> None:
        self.sources = {source.id: source for source in sources}
        self.listed = list(sources)
        self.finding = finding or MetadataResult()
        self.cited: dict[int, str] = {}

    def worded(self) -> AnswerWithCitations:
        """The whole answer."""
        finding = self.finding
        if not finding.clear:
            text, in_library = self._unclear(), False
        elif not finding.matched:
            text, in_library = self._none(), False
        else:
            text, in_library = _WORDINGS[finding.kind](self), True
        parts = [*finding.notes, *([f"left out: {', '.join(finding.left_out)}"] if finding.left_out else [])]
        notes = f" ({'; '.join(parts)})" if parts else ""
        cited = tuple(Citation(source=number, supports=words) for number, words in self.cited.items())
        return AnswerWithCitations(text=text + notes, cited=cited, in_library=in_library, cost_usd=0.0)

    def best(self) -> str:
        """The first image of an order, with its ties, and the first on each side of an "or"."""
        finding = self.finding
        first = [self.sources[sha] for sha in finding.ids[: finding.leading] if sha in self.sources]
        if not first:
            few = f"Of the {finding.matched} that fit there is no number {finding.rank} by {finding.key}."
            return few if finding.rank > 1 else f"None of the {finding.matched} that fit has a {finding.key}."
        best = self._name_list(first, lambda source: self._valued(source, (finding.key, *finding.asked)))
        if finding.rank > 1:
            tied = f" ({finding.leading} share it)" if finding.leading > 1 else ""
            text = f"Number {finding.rank} of {self._all()} by {finding.key}, {finding.direction} first: {best}{tied}."
        elif finding.wanted == 0:
            text = f"{_capital(self._all())} by {finding.key}, {finding.direction} first: {best}{self._more()}."
        elif finding.wanted > 1:
            unnamed = finding.leading - len(first)
            more = f" and {unnamed} more" if unnamed > 0 else ""
            ties = f" ({finding.leading}, for the last of them are equal)" if finding.leading > finding.wanted else ""
            few = f" (there are only {finding.leading})" if finding.leading < finding.wanted else ""
            of = f"The {finding.wanted} {finding.direction} in {finding.key} of {self._all()}"
            text = f"{of}{few}: {best}{more}{ties}."
        else:
            tied = f" ({finding.leading} share it)" if finding.leading > 1 else ""
            text = f"The {finding.direction} {finding.key} of {self._all()} is that of {best}{tied}."
        sides = [self._side(part) for part in finding.parts]
        return " ".join([text, *(side for side in sides if side)])

    def value(self) -> str:
        """The requested value of each matching image."""
        finding = self.finding
        sources = self._named_sources()
        lacking = [key for key in finding.asked if not any(_value(source, key) for source in sources)]
        if lacking == list(finding.asked):
            return f"{self._name_list(sources, lambda s: '')}: the library does not say the {' or '.join(lacking)}."
        message = "; ".join(self._name(source, self._valued(source, finding.asked), ": {}") for source in sources)
        return f"{message}{self._more()}."

    def count(self) -> str:
        """Number of matching images, per side of an "or"."""
        finding = self.finding
        text = self._all(every="the library holds ")
        if len(finding.parts) > 1:
            text += " (" + ", ".join(f"{part.matched} with {part.words}" for part in finding.parts) + ")"
        return f"{_capital(text)}, {self._examples()}."

    def listing(self) -> str:
        """The matching images, a few of them with their metadata."""
        finding = self.finding
        sources = self._named_sources()
        detail = (lambda s: s.caption) if finding.matched <= 3 else (lambda s: "")
        text = self._all(every="the library holds ")
        return f"{_capital(text)}: {self._name_list(sources, detail)}{self._more()}."

    def distinct(self) -> str:
        """The values of a key."""
        return f"The library has these values of {self.finding.asked[0]}: {', '.join(self.finding.values)}."

    def computed(self) -> str:
        """An average or a total."""
        finding = self.finding
        for source in self._named_sources():
            self._cite(source, self._valued(source, (finding.key,)))
        number = value_text(finding.number) if finding.number is not None else "not known"
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
        return f"{text} The nearest by similarity: {self._name_list(near, lambda s: s.caption)}." if near else text

    def _none(self) -> str:
        finding = self.finding
        text = f"The library holds nothing like that: of {counted(finding.rows, 'image')} none has {finding.condition}."
        near = [source for source in self.listed if source.by == "similarity"][:3]
        return f"{text} The nearest by similarity: {self._name_list(near, lambda s: s.caption)}." if near else text

    def _side(self, part: Part) -> str:
        if part.id is None:
            return f"Nothing has {part.words}."
        source = self.sources.get(part.id)
        if source is None:
            return ""
        name = self._name_list([source], lambda s: self._valued(s, (self.finding.key,)))
        return f"With {part.words} ({part.matched}) it is {name}."

    def _named_sources(self) -> "list[Source]":
        return [self.sources[sha] for sha in self.finding.ids if sha in self.sources][:NAMED]

    def _all(self, *, every: str = "all ") -> str:
        """`3 images with colour red`."""
        finding = self.finding
        matched = counted(finding.matched, "image")
        if finding.condition:
            return f"{matched} with {finding.condition}"
        return matched if finding.notes and finding.matched == 1 else f"{every}{matched}"

    def _examples(self) -> str:
        examples = self._named_sources()[:_EXAMPLES]
        some = "for instance " if self.finding.matched > len(examples) else "namely "
        return some + self._name_list(examples, lambda source: "")

    def _more(self) -> str:
        more = self.finding.matched - len(self._named_sources())
        return f" and {more} more" if more > 0 else ""

    def _name_list(self, sources: "Iterable[Source]", detail: Callable[[Source], str]) -> str:
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
        return value_text(source.metadata[key])
    return {
        "licence": source.licence,
        "author": source.author,
        "title": source.title,
        "caption": source.caption,
        "tags": ", ".join(source.tags),
    }.get(key, "")
