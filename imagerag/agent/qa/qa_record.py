"""An answered question as one document, `imagerag.answer/1`: a pure function of the thread's state."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from imagerag.agent.qa.next_steps import next_steps
from imagerag.agent.qa.types import AnswerOutcome, AnswerResponse, MatchReason, QAResult, RetrievedImage, SearchBy
from imagerag.agent.types import ImageRef, ModelCall, Scalar, SnapshotPins, assumed_cost, cost_of_calls, unsettled_cost

UNFINISHED: Final = QAResult(
    outcome=AnswerOutcome.CANCELLED, reason="stopped before its end, or somebody is still answering it"
)
"""How a question stands whose process is gone."""


class CitedSource(BaseModel):
    """An image that supports a part of the answer.

    Attributes:
        number: the source's number, as the answer writes it in brackets.
        similarity: cosine with the question's words; None when something else found it, far from the nearest.
        image_similarity: cosine with the nearest of the question's images, where those found it.
        supports: what of the answer it supports, in the answerer's words.
    """

    model_config = ConfigDict(extra="forbid")

    number: int
    id: str
    title: str
    similarity: float | None
    licence: str
    supports: str
    image_similarity: float | None = None


class RetrievedSource(BaseModel):
    """An image that was looked at for the question.

    Attributes:
        number: None when it was not accepted, and so was not shown to the answerer.
        image_similarity: cosine with the nearest of the question's images; None where it is not near, or there are
            none.
        by: similarity to the question's words or to its image, its metadata, or an earlier answer of the thread.
    """

    model_config = ConfigDict(extra="forbid")

    number: int | None
    id: str
    similarity: float | None
    accepted: bool
    by: MatchReason
    title: str
    caption: str
    metadata: dict[str, Scalar]
    tags: list[str]
    source: str
    author: str
    licence: str
    image_similarity: float | None = None


class BaselineAnswer(BaseModel):
    """The same model's answer without the library; `answer` is empty when it gave none, and `reason` says why."""

    model_config = ConfigDict(extra="forbid")

    answer: str
    reason: str = ""


class QACall(BaseModel):
    """One call of the answering model: with the retrieved images, or without them, for comparison.

    Attributes:
        order: which of the question's calls it was, from 1.
        sources: numbers of the library's images that it was told of, and shown where the answerer looks.
        question_images: ids of the person's own images that it was shown.
        completed: False where no answer came.
        cached: the answer came from another run's journal, and cost nothing.
    """

    model_config = ConfigDict(extra="forbid")

    order: int
    retrieval: bool
    backend: str
    sources: list[int]
    question_images: list[str]
    completed: bool
    cached: bool
    elapsed_s: float
    cost_usd: float | None


class AnswerRecord(BaseModel):
    """A question and what became of it. Images by hash, never as bytes; every text is of bounded length.

    Attributes:
        thread_id: what a follow-up question is asked under.
        turn: which question of the thread it is, from 1.
        new_thread: whether it began the thread, and so followed up on nothing.
        images: the person's own images that the question came with; their bytes are in the blob store.
        by: what the library was searched with: the question's images ("image"), its words, or both.
        shown: ids of the person's own images that the answerer was shown; those of the question before it, where a
            follow-up came with none.
        in_library: whether the library holds the answer.
        metadata_query: what a search of the library's metadata gave, in words; empty where none was made.
        snapshots: of each snapshot that was asked (`NAME@TAG`), the hash of what it held.
        threshold: the cosine with the words that an image had to reach; None when it was off, or nothing was found.
        image_threshold: the cosine with the question's image, likewise; None also where the library claims none.
        notes: what was left out of the model's answer, cut, or not to be had.
        calls: how often each model role was called; what was reused is no call.
        asked: what the model was asked, in that order, and what it was shown each time.
        cached_calls: how many answers of each role came from another run's journal.
        cost_usd: None when the price of any call is not known, and nothing was assumed for it.
        assumed_usd: how much of that was assumed, at most, for calls whose price is not known.
        unsettled_usd: how much of it calls without an answer may have cost, at most: the question was stopped during
            them.
        next_steps: what to do now, ready to be shown.
    """

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    schema_name: Literal["imagerag.answer/1"] = Field(default="imagerag.answer/1", alias="schema")
    thread_id: str
    turn: int
    new_thread: bool = False
    question: str
    images: list[ImageRef] = Field(default_factory=list)
    by: SearchBy = "words"
    shown: list[str] = Field(default_factory=list)
    outcome: AnswerOutcome
    answer: str
    in_library: bool
    reason: str = ""
    error: str | None = None
    citations: list[CitedSource] = Field(default_factory=list)
    retrieved: list[RetrievedSource] = Field(default_factory=list)
    metadata_query: str = ""
    baseline_answer: BaselineAnswer | None = None
    library: str | None = None
    snapshots: dict[str, str] = Field(default_factory=dict)
    answerer: str = ""
    threshold: float | None = None
    image_threshold: float | None = None
    notes: list[str] = Field(default_factory=list)
    calls: dict[str, int] = Field(default_factory=dict)
    asked: list[QACall] = Field(default_factory=list)
    cached_calls: dict[str, int] = Field(default_factory=dict)
    cost_usd: float | None = 0.0
    assumed_usd: float = 0.0
    unsettled_usd: float = 0.0
    has_unknown_cost: list[str] = Field(default_factory=list)
    started_at: str | None = None
    elapsed_s: float = 0.0
    next_steps: list[str] = Field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """The document as JSON-able data, its schema's name first."""
        return self.model_dump(mode="json", by_alias=True)

    def _repr_html_(self) -> str:
        """HTML for notebooks: the answer, and the images that it cites."""
        from imagerag.agent.notebook_display import answer_html

        return answer_html(self)


def answer_record(thread_id: str, state: Mapping[str, Any]) -> AnswerRecord:
    """The record of the question that a thread's state is about.

    Args:
        thread_id: the thread, as the caller named it.
        state: the values of its newest checkpoint; a question that has not ended is told as one that was stopped.
    """
    result: QAResult = state.get("result") or UNFINISHED
    reply: AnswerResponse = state.get("reply") or AnswerResponse()
    without: AnswerResponse | None = state.get("without")
    calls: list[ModelCall] = state.get("calls") or []
    sources: list[RetrievedImage] = state.get("sources") or []
    numbered = {source.number: source for source in sources if source.number}
    cost_usd = cost_of_calls(calls)
    # One that was stopped is not among those that have ended.
    turn = max(len(state.get("earlier") or []), state.get("asked") or 0) + (result.outcome is AnswerOutcome.CANCELLED)
    record = AnswerRecord(
        thread_id=thread_id,
        turn=turn,
        new_thread=turn == 1,
        question=state["question"],
        images=list(state.get("images") or []),
        by=state.get("by") or "words",
        shown=[image.sha256 for image in state.get("shown") or []],
        outcome=result.outcome,
        answer=reply.text,
        in_library=result.outcome is AnswerOutcome.ANSWERED,
        reason=result.reason,
        error=result.error,
        citations=[
            _cited_source(numbered[c.source], c.source, c.supports) for c in reply.cited if c.source in numbered
        ],
        retrieved=[_retrieved_source(source) for source in sources],
        metadata_query=state.get("metadata_query") or "",
        baseline_answer=BaselineAnswer(answer=without.text, reason=without.reason) if without else None,
        library=state.get("library"),
        snapshots=(state.get("question_snapshots") or state.get("snapshots") or SnapshotPins()).hashes,
        answerer=state.get("answerer") or "",
        threshold=state.get("threshold"),
        image_threshold=state.get("image_threshold"),
        notes=[*(state.get("notes") or []), *reply.notes],
        calls=dict(Counter(call.role for call in calls if not call.cached)),
        asked=_qa_calls(state, calls, sources),
        cached_calls=dict(Counter(call.role for call in calls if call.cached)),
        cost_usd=None if cost_usd is None else round(cost_usd, 12),
        assumed_usd=round(assumed_cost(calls), 12),
        unsettled_usd=round(unsettled_cost(calls), 12),
        has_unknown_cost=sorted({call.backend for call in calls if call.error is None and call.cost_usd is None}),
        started_at=state.get("started_at"),
        elapsed_s=_elapsed(state.get("started_at"), result.at),
    )
    return record.model_copy(update={"next_steps": next_steps(record)})


def _qa_calls(state: Mapping[str, Any], calls: list[ModelCall], sources: list[RetrievedImage]) -> list[QACall]:
    numbers = [source.number for source in sources if source.number]
    question_images = [image.sha256 for image in state.get("shown") or []]
    return [
        QACall(
            order=order,
            retrieval=call.role == "answer",
            backend=call.backend,
            sources=numbers if call.role == "answer" else [],
            question_images=question_images,
            completed=call.completed,
            cached=call.cached,
            elapsed_s=call.elapsed_s,
            cost_usd=call.cost_usd,
        )
        for order, call in enumerate(calls, start=1)
    ]


def _cited_source(source: RetrievedImage, number: int, supports: str) -> CitedSource:
    return CitedSource(
        number=number,
        id=source.image.sha256,
        title=source.title,
        similarity=source.similarity,
        image_similarity=source.image_similarity,
        licence=source.licence,
        supports=supports,
    )


def _retrieved_source(source: RetrievedImage) -> RetrievedSource:
    return RetrievedSource(
        number=source.number,
        id=source.image.sha256,
        similarity=source.similarity,
        image_similarity=source.image_similarity,
        accepted=source.number is not None,
        by=source.by,
        title=source.title,
        caption=source.caption,
        metadata=dict(source.metadata),
        tags=list(source.tags),
        source=source.source,
        author=source.author,
        licence=source.licence,
    )


def _elapsed(started_at: str | None, ended_at: str | None) -> float:
    if not (started_at and ended_at):
        return 0.0
    seconds = (datetime.fromisoformat(ended_at) - datetime.fromisoformat(started_at)).total_seconds()
    return max(0.0, seconds)  # the clock may have been set back before a resume
