"""The nodes of the answering graph: retrieve, answer, answer without, finish."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Literal, cast

from langgraph.runtime import Runtime

from imagerag.agent import clock
from imagerag.agent.calls.journal import Journal
from imagerag.agent.calls.model_caller import Failed, ModelCaller
from imagerag.agent.errors import (
    BlobError,
    BudgetExceededError,
    JudgeReplyError,
    RefusalError,
    UsageError,
)
from imagerag.agent.ports import BlobStore, ImagePart, ReferenceLibrary, Reranker, capabilities_of
from imagerag.agent.qa.metadata_query.result_text import describe_result
from imagerag.agent.qa.outcomes import result_of
from imagerag.agent.qa.ports import Answerer, AnswerWithCitations, Source
from imagerag.agent.qa.retrieval import Retriever
from imagerag.agent.qa.source_reranking import SourceReranker
from imagerag.agent.qa.state import QAState, QAUpdate, question_name
from imagerag.agent.qa.types import (
    MAX_ANSWER,
    MAX_CITATIONS,
    MAX_SUPPORT,
    AnswerOutcome,
    AnswerResponse,
    Citation,
    ConversationTurn,
    QAResult,
    RetrievedImage,
    short,
)
from imagerag.agent.sent_images import ImageParts
from imagerag.agent.state import RunState
from imagerag.agent.types import ImageRef, RunConfig

EARLIER: Final = 6
"""How many of a thread's last questions and answers an answerer is told."""
KEPT: Final = 50
"""How many of them a thread keeps."""
_SEARCHED_WITH: Final = "the answerer looks at no image: yours was only searched with"
_UNSEEN: Final = "the answerer looks at no image, and it was not searched with: `by=both`"


@dataclass(frozen=True, kw_only=True)
class QANodes:
    """The nodes, bound to the ports they act through.

    Attributes:
        library: None means that nothing is ever found.
        blobs: where the images are that questions come with; None takes none.
        reranker: what orders the images that are near enough; None leaves them by similarity.
        journal: None keeps no answers.
        failed: what failing tries of a node called, until the try that succeeds takes it over.
    """

    answerer: Answerer
    library: ReferenceLibrary | None
    blobs: BlobStore | None = None
    reranker: Reranker | None = None
    journal: Journal | None = None
    failed: Failed = field(default_factory=dict)

    async def retrieve(self, state: QAState, runtime: Runtime[RunConfig]) -> QAUpdate:
        """Find what may hold the answer: what is similar, what the metadata says, what was just spoken of."""
        own_images, by = state.get("images", []), state.get("by", "words")
        shown_images, notes = await self._to_be_shown(state)
        if self.library is None:
            return {"shown": shown_images, "notes": [*notes, "there is no library"]}
        question_images = [(await self._own(image)).data for image in own_images]
        calls, order = self._calls(state, runtime), None
        if self.reranker is not None:
            order = SourceReranker(reranker=self.reranker, library=self.library, calls=calls)
        gathered = await Retriever(self.library, self.answerer, runtime.context, question_images, by, order).gather(
            state["question"], _of_library(state)
        )
        return {
            "calls": [*state["calls"], *calls.made],
            "shown": shown_images,
            "image_threshold": gathered.image_threshold,
            "sources": list(gathered.sources),
            "finding": gathered.finding,
            "metadata_query": describe_result(gathered.finding) if gathered.finding else "",
            "threshold": gathered.threshold,
            "notes": [*notes, *gathered.notes],
        }

    async def answer(self, state: QAState, runtime: Runtime[RunConfig]) -> QAUpdate:
        """Answer from what was retrieved. An unreadable answer is asked for once more, then it is said to be one."""
        calls, earlier = self._calls(state, runtime), _earlier(state)
        accepted = [source for source in state["sources"] if source.number]
        shown_sources = accepted if capabilities_of(self.answerer).needs_images else []
        parts = {
            source.image.sha256: part for source in shown_sources if (part := await self._part(source)) is not None
        }
        shown_sources = [source for source in shown_sources if source.image.sha256 in parts]
        sources = [Source.of(source, parts.get(source.image.sha256)) for source in accepted]
        finding, own = state["finding"], await self._question_images(state)
        inputs = _inputs(state, earlier)
        content = {
            **inputs,
            "sources": [_deciding_fields(source) for source in accepted],
            "images": [*inputs.get("images", ()), *(source.image.sha256 for source in shown_sources)],
            "finding": finding.model_dump(mode="json") if finding else None,
        }
        ask = partial(self.answerer.answer, state["question"], sources, finding=finding, earlier=earlier, **own)
        try:
            answered = await calls.execute_and_parse(
                "answer", self.answerer.identity, AnswerWithCitations, content, lambda v: ask(variation=v)
            )
        except JudgeReplyError as error:
            reason = short(f"the answer could not be read, twice: {error}", MAX_SUPPORT)
            result = QAResult(outcome=AnswerOutcome.UNREADABLE, reason=reason, error=type(error).__name__)
            return {"result": result, "calls": [*state["calls"], *calls.made]}
        numbers = {source.number for source in accepted if source.number}
        return {"reply": _bounded(answered, numbers), "calls": [*state["calls"], *calls.made]}

    async def answer_without(self, state: QAState, runtime: Runtime[RunConfig]) -> QAUpdate:
        """Ask the same model the same question without any source. That this fails takes nothing from the answer."""
        calls, earlier = self._calls(state, runtime), _earlier(state)
        ask = partial(
            self.answerer.answer_without, state["question"], earlier=earlier, **await self._question_images(state)
        )
        try:
            answered = await calls.execute_and_parse(
                "answer.without",
                self.answerer.identity,
                AnswerWithCitations,
                _inputs(state, earlier),
                lambda v: ask(variation=v),
            )
            without = AnswerResponse(text=short(answered.text, MAX_ANSWER), reason="; ".join(answered.notes))
        except (RefusalError, BudgetExceededError, JudgeReplyError) as error:
            without = AnswerResponse(reason=short(str(error), MAX_SUPPORT))
        return {"without": without, "calls": [*state["calls"], *calls.made]}

    async def finish(self, state: QAState) -> QAUpdate:
        """Name the outcome, and let the thread remember question and answer."""
        at = clock.now()
        result = (state["result"] or result_of(state)).model_copy(update={"at": at})
        reply = state["reply"] or AnswerResponse()
        if result.outcome is AnswerOutcome.NOT_HELD and not reply.text:
            reply = reply.model_copy(update={"text": result.reason})
        cited = {citation.source for citation in reply.cited}
        spoken_of = [source for source in state["sources"] if source.number in cited]
        exchange = ConversationTurn(
            question=short(state["question"], MAX_ANSWER),
            answer=reply.text,
            outcome=result.outcome,
            library=state["library"],
            sources=tuple(spoken_of[:MAX_CITATIONS]),
            images=tuple(state.get("images") or state.get("shown") or ()),
        )
        earlier = [*(state.get("earlier") or []), exchange][-KEPT:]
        return {"result": result, "reply": reply, "earlier": earlier, "asked": state.get("asked", 0) + 1}

    def _calls(self, state: QAState, runtime: Runtime[RunConfig]) -> ModelCaller:
        backends = {"answer": self.answerer, "rerank": self.reranker}
        calls = ModelCaller.of(cast(RunState, state), runtime, self.journal, self.failed, backends)
        calls.round = state.get("asked", 0)
        calls.run_id = question_name(cast(dict[str, Any], state), calls.run_id)
        return calls

    async def _to_be_shown(self, state: QAState) -> tuple[list[ImageRef], list[str]]:
        """The person's own images that the answerer is shown, and what is to be said of that.

        A follow-up that comes with none is shown those of the question before it, where they are still there.
        """
        images = list(state.get("images") or [])
        if not capabilities_of(self.answerer).takes_images:
            note = _UNSEEN if state.get("by") == "words" else _SEARCHED_WITH
            return [], [note] if images else []
        if images or not (earlier := _earlier(state)):
            return images, []
        before: list[ImageRef] = []
        for image in earlier[-1].images:
            with suppress(BlobError):
                await self._own(image)
                before.append(image)
        return before, ["the image of the question before was shown again"] if before else []

    async def _question_images(self, state: QAState) -> dict[str, Any]:
        """The person's own images as an argument; none for an answerer that takes none."""
        images = state.get("shown") or []
        return {"question_images": [await self._own(image) for image in images]} if images else {}

    async def _own(self, image: ImageRef) -> ImagePart:
        if self.blobs is None:
            raise UsageError("a question can come with no image here: there is no store for images")
        data, media_type = await self.blobs.encode_for_model(image.sha256)
        return ImagePart(data=data, media_type=media_type, role="subject")

    async def _part(self, source: RetrievedImage) -> ImagePart | None:
        """A source's image, kept for later; None where its file is missing: what is written about it still counts."""
        assert self.library is not None, "sources come from a library"
        try:
            if self.blobs is None:
                data, media_type = await self.library.encode_for_model(source.image.sha256)
            else:
                parts = ImageParts(blobs=self.blobs, library=self.library)
                data, media_type = await parts.encoded_of_library(source.image.sha256)
        except BlobError:
            return None
        return ImagePart(data=data, media_type=media_type, concept=source.title, caption=source.caption)


def after_retrieval(state: QAState) -> Literal["answer", "answer_without", "finish"]:
    """Route to the answerer where something was accepted; a comparison is made in any case."""
    finding = state["finding"]
    computed = finding is not None and finding.clear and bool(finding.values)
    if any(source.number for source in state["sources"]) or computed:
        return "answer"
    return after_answer(state)


def after_answer(state: QAState) -> Literal["answer_without", "finish"]:
    """Compare, when that is wanted and nothing has gone wrong."""
    return "answer_without" if state["compare"] and state["result"] is None else "finish"


def _inputs(state: QAState, earlier: Sequence[ConversationTurn]) -> dict[str, Any]:
    """The inputs of an answer besides its sources. A thread's next question is another one, even in the same words."""
    detail = [[one.question, one.answer] for one in earlier]
    inputs = {"question": state["question"], "earlier": detail, "turn": state.get("asked", 0)}
    if own := [image.sha256 for image in state.get("shown") or ()]:
        # Prices are counted by `images`; `pictures` is part of the key by which recorded responses are found.
        inputs |= {"pictures": own, "images": own}
    return inputs


def _deciding_fields(source: RetrievedImage) -> dict[str, Any]:
    """A source as what decides an answer; what was found by words alone, as before there were images."""
    fields = source.model_dump(mode="json")
    return (
        fields if source.image_similarity is not None else {k: v for k, v in fields.items() if k != "image_similarity"}
    )


def _earlier(state: QAState) -> list[ConversationTurn]:
    return list(state.get("earlier") or [])[-EARLIER:]


def _of_library(state: QAState) -> list[ConversationTurn]:
    """The earlier questions about the library that is asked now."""
    return [one for one in _earlier(state) if one.library == state["library"]]


def _bounded(answered: AnswerWithCitations, numbers: set[int]) -> AnswerResponse:
    """An answer of bounded length, with citations of sources that exist."""
    cited = [c for c in answered.cited if c.source in numbers]
    invented = sorted({c.source for c in answered.cited} - numbers)
    notes = list(answered.notes)
    if invented:
        notes.append(f"it cited sources that do not exist, which were left out: {', '.join(map(str, invented[:10]))}")
    if len(answered.text) > MAX_ANSWER:
        notes.append(f"the answer had {len(answered.text)} characters and was cut")
    bounded = tuple(Citation(source=c.source, supports=short(c.supports, MAX_SUPPORT)) for c in cited[:MAX_CITATIONS])
    notes = [short(note, MAX_SUPPORT) for note in notes]
    return AnswerResponse(
        text=short(answered.text, MAX_ANSWER), cited=bounded, in_library=answered.in_library, notes=tuple(notes)
    )
