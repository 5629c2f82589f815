"""What each tool answers as data: small, bounded, without pixels. Foreign texts are cut to one line each."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import Field

from imagerag.agent.qa.qa_record import AnswerRecord
from imagerag.agent.qa.types import AnswerOutcome
from imagerag.agent.run_record import RunRecord
from imagerag.agent.types import Cause, FrozenModel, ImageRef, Outcome, UsedReference
from imagerag.formatting.quoting import line

if TYPE_CHECKING:
    from imagerag.agent.ports import Hit

MOST: Final = 20
"""Entries of any list."""

SHORT: Final = 120
LONG: Final = 400
ANSWER: Final = 2_000
MAX_PATH: Final = 4_096
"""A path that was cut or changed leads nowhere: a longer one, or one with control characters, is left out."""


class ReportedImage(FrozenModel):
    """A picture: its id, and where its file is."""

    uri: Annotated[str, Field(description="image://SHA256")]
    media_type: str
    width: int
    height: int
    path: str | None = None

    @classmethod
    def of(cls, image: ImageRef, path: str | None = None) -> "ReportedImage":
        """From what a run or a library says of it."""
        return cls(
            uri=uri(image.sha256),
            media_type=line(image.media_type, SHORT),
            width=image.width,
            height=image.height,
            path=path if path and path == line(path, MAX_PATH) else None,
        )


class ReferenceReport(FrozenModel):
    """A library picture, or one of the user's own, that went into a picture, found itself, or waits to be chosen."""

    number: int
    uri: str
    role: Literal["reference", "subject", "edit", "hit", "offered", "cited"] = "reference"
    similarity: float | None = None
    image_similarity: Annotated[float | None, Field(description="Cosine with the question's own picture.")] = None
    accepted: Annotated[bool | None, Field(description="Whether a run would use it by itself.")] = None
    concept: Annotated[str, Field(description="What of the prompt it stands for.")] = ""
    supports: Annotated[str, Field(description="What of the answer it supports.")] = ""
    title: str = ""
    caption: str = ""
    licence: str = ""
    author: str = ""
    source: str = ""


class RunReport(FrozenModel):
    """How a run stands. Of what it cost, `assumed_usd` was assumed where no price is known, and `unsettled_usd` is what
    calls without an answer may have cost."""

    kind: Literal["run"] = "run"
    run_id: str
    status: Literal["running", "interrupted", "ended"]
    outcome: Outcome | None
    reason: str = ""
    causes: Annotated[tuple[Cause, ...], Field(description="Why there was no usable reference.")] = ()
    image: ReportedImage | None = None
    last_image: Annotated[
        str | None, Field(description="image://SHA256 of the newest attempt, where an earlier one is better.")
    ] = None
    references: tuple[ReferenceReport, ...] = ()
    unresolved: tuple[str, ...] = ()
    offered: Annotated[
        tuple[ReferenceReport, ...], Field(description="While it is interrupted: what there is to choose from.")
    ] = ()
    max_selections: int | None = None
    calls: int = 0
    cached_calls: Annotated[int, Field(description="Answers from the journal: no calls, and paid for before.")] = 0
    cost_usd: Annotated[float | None, Field(description="None when a price is not known.")] = None
    assumed_usd: float = 0.0
    unsettled_usd: float = 0.0
    has_unknown_cost: tuple[str, ...] = ()
    elapsed_s: float = 0.0
    parent_run: str | None = None
    warnings: tuple[str, ...] = ()


class MetadataReport(FrozenModel):
    """A metadata key and its most frequent values."""

    key: str
    values: tuple[str, ...] = ()


class LibraryReport(FrozenModel):
    """What a library holds, and what its pictures can be filtered by: the most frequent first."""

    name: str
    usual: bool = False
    images: int | None = None
    captioned: int | None = None
    threshold: float | None = None
    tags: tuple[str, ...] = ()
    licences: tuple[str, ...] = ()
    metadata: tuple[MetadataReport, ...] = ()
    note: str = ""


class LibrariesReport(FrozenModel):
    """The libraries there are."""

    kind: Literal["libraries"] = "libraries"
    libraries: tuple[LibraryReport, ...] = ()
    note: str = ""


class SearchReport(FrozenModel):
    """What a search found, best first."""

    kind: Literal["search"] = "search"
    library: str
    threshold: Annotated[
        float | None,
        Field(description="Cosine from which a run uses a picture by itself; by picture: the same thing."),
    ]
    by: Literal["words", "picture"] = "words"
    hits: tuple[ReferenceReport, ...] = ()
    note: str = ""


class AnswerReport(FrozenModel):
    """An answer from the pictures of a library; what it cost is told as in `RunReport`."""

    kind: Literal["answer"] = "answer"
    outcome: AnswerOutcome
    in_library: Annotated[bool, Field(description="Whether the pictures hold the answer.")]
    answer: str
    reason: str = ""
    citations: tuple[ReferenceReport, ...] = ()
    thread_id: Annotated[str, Field(description="To be passed as thread with a follow-up question.")]
    baseline_answer: Annotated[str | None, Field(description="What the model says without the pictures.")] = None
    calls: int = 0
    cached_calls: int = 0
    cost_usd: float | None = None
    assumed_usd: float = 0.0
    unsettled_usd: float = 0.0
    has_unknown_cost: tuple[str, ...] = ()


class ImageReport(FrozenModel):
    """A picture that was asked for by its id."""

    kind: Literal["image"] = "image"
    image: ReportedImage


class ErrorReport(FrozenModel):
    """Why nothing was done."""

    kind: Literal["error"] = "error"
    error: Annotated[str, Field(description="The class of the error.")]
    message: str


def uri(sha256: str) -> str:
    """How a picture is named towards an assistant."""
    return f"image://{sha256}"


def run_report(record: RunRecord) -> RunReport:
    """A run as data."""
    question = record.question if record.status == "interrupted" and record.question else {}
    limit, last = question.get("limit"), len(record.attempts) - 1
    behind = record.best_attempt is not None and record.best_attempt < last
    return RunReport(
        run_id=line(record.run_id, SHORT),
        status=record.status,
        outcome=record.outcome,
        reason=line(record.reason, LONG),
        causes=tuple(record.causes),
        image=ReportedImage.of(record.image, record.image.path) if record.image else None,
        last_image=uri(record.attempts[last].image.sha256) if behind else None,
        references=tuple(_used(at, used) for at, used in enumerate(record.references[:MOST], start=1)),
        unresolved=tuple(line(text, SHORT) for text in record.unresolved[:MOST]),
        offered=tuple(_offered(candidate) for candidate in (question.get("candidates") or [])[: 2 * MOST]),
        max_selections=limit if isinstance(limit, int) else None,
        calls=sum(record.calls.values()),
        cached_calls=sum(record.cached_calls.values()),
        cost_usd=record.cost_usd,
        assumed_usd=record.assumed_usd,
        unsettled_usd=record.unsettled_usd,
        has_unknown_cost=_unpriced(record.has_unknown_cost),
        elapsed_s=record.elapsed_s,
        parent_run=line(record.parent_run.run_id, SHORT) if record.parent_run else None,
        warnings=tuple(line(warning, LONG) for warning in record.warnings[:MOST]),
    )


def search_report(
    library: str,
    threshold: float | None,
    hits: "Sequence[Hit]",
    *,
    note: str = "",
    by: Literal["words", "picture"] = "words",
) -> SearchReport:
    """A search as data."""
    found = [
        ReferenceReport(
            number=at,
            uri=uri(hit.image.sha256),
            role="hit",
            similarity=float(hit.similarity),
            accepted=None if threshold is None else hit.similarity >= threshold,
            title=line(hit.title, SHORT),
            caption=line(hit.caption, LONG),
            licence=line(hit.licence, SHORT),
            author=line(hit.author, SHORT),
            source=line(hit.source, SHORT),
        )
        for at, hit in enumerate(hits[:MOST], start=1)
    ]
    return SearchReport(
        library=line(library, SHORT), threshold=threshold, by=by, hits=tuple(found), note=line(note, LONG)
    )


def _used(at: int, used: UsedReference) -> ReferenceReport:
    return ReferenceReport(
        number=at,
        uri=uri(used.image.sha256),
        role=used.role,
        similarity=used.similarity,
        concept=line(used.concept, SHORT),
        title=line(used.title, SHORT),
        caption=line(used.caption, SHORT),
        licence=line(used.licence, SHORT),
        author=line(used.author, SHORT),
        source=line(used.source, SHORT),
    )


def _offered(candidate: Mapping[str, Any]) -> ReferenceReport:
    similarity = candidate.get("similarity")
    return ReferenceReport(
        number=int(candidate.get("number") or 0),
        uri=uri(line(str(candidate.get("id") or ""), 64)),
        role="offered",
        similarity=similarity if isinstance(similarity, int | float) else None,
        concept=line(str(candidate.get("concept") or ""), SHORT),
        title=line(str(candidate.get("title") or ""), SHORT),
        caption=line(str(candidate.get("caption") or ""), SHORT),
        licence=line(str(candidate.get("licence") or ""), SHORT),
    )


def answer_report(record: AnswerRecord) -> AnswerReport:
    """An answer from pictures as data."""
    cited = [
        ReferenceReport(
            number=one.number,
            uri=uri(one.id),
            role="cited",
            similarity=one.similarity,
            image_similarity=one.image_similarity,
            title=line(one.title, SHORT),
            licence=line(one.licence, SHORT),
            supports=line(one.supports, SHORT),
        )
        for one in record.citations[:MOST]
    ]
    without = record.baseline_answer
    return AnswerReport(
        outcome=record.outcome,
        in_library=record.in_library,
        answer=line(record.answer, ANSWER),
        reason=line(record.reason, LONG),
        citations=tuple(cited),
        thread_id=line(record.thread_id, SHORT),
        baseline_answer=None if without is None else line(without.answer or without.reason, LONG),
        calls=sum(record.calls.values()),
        cached_calls=sum(record.cached_calls.values()),
        cost_usd=record.cost_usd,
        assumed_usd=record.assumed_usd,
        unsettled_usd=record.unsettled_usd,
        has_unknown_cost=_unpriced(record.has_unknown_cost),
    )


def _unpriced(backends: Sequence[str]) -> tuple[str, ...]:
    return tuple(line(backend, SHORT) for backend in backends[:MOST])
