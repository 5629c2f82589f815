"""Records and search results as structured tool results. Foreign text is cut to one line each."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from imagerag.agent.qa.qa_record import AnswerRecord
from imagerag.agent.run_record import RunRecord
from imagerag.agent.types import UsedReference, WebSource, is_low
from imagerag.assistants.tool_outputs import (
    ANSWER,
    LONG,
    MOST,
    SHORT,
    AnswerReport,
    ReferenceReport,
    ReportedImage,
    RunReport,
    SearchReport,
    WebSourceReport,
    uri,
)
from imagerag.assistants.tool_terms import tool_terms
from imagerag.formatting.found_by import found_by_text
from imagerag.formatting.quoting import line

if TYPE_CHECKING:
    from imagerag.agent.ports import Hit


def run_report(record: RunRecord) -> RunReport:
    """A run as data."""
    question = record.question if record.status == "interrupted" and record.question else {}
    limit, last = question.get("limit"), len(record.attempts) - 1
    behind = record.best_attempt is not None and record.best_attempt < last
    return RunReport(
        run_id=line(record.run_id, SHORT),
        status=record.status,
        outcome=record.outcome,
        reason=line(tool_terms(record.reason), LONG),
        causes=tuple(record.causes),
        image=ReportedImage.of(record.image, record.image.path) if record.image else None,
        last_image=uri(record.attempts[last].image.sha256) if behind else None,
        references=tuple(
            _reference_report(at, reference) for at, reference in enumerate(record.references[:MOST], start=1)
        ),
        sources=tuple(_source_report(source) for source in record.sources[:MOST]),
        unresolved=tuple(line(text, SHORT) for text in record.unresolved[:MOST]),
        offered=tuple(_offered(candidate) for candidate in (question.get("candidates") or [])[: 2 * MOST]),
        max_selections=limit if isinstance(limit, int) else None,
        **_costs(record),
        elapsed_s=record.elapsed_s,
        parent_run=line(record.parent_run.run_id, SHORT) if record.parent_run else None,
        warnings=tuple(line(tool_terms(warning), LONG) for warning in record.warnings[:MOST]),
    )


def search_report(
    library: str,
    threshold: float | None,
    hits: "Sequence[Hit]",
    *,
    note: str = "",
    by: Literal["words", "image", "terms", "captions"] = "words",
    terms: Sequence[str] = (),
) -> SearchReport:
    """A search as data. By captions, the similarity of a hit is that of its caption."""
    reports = [
        ReferenceReport(
            number=at,
            uri=uri(hit.image.sha256),
            role="hit",
            similarity=hit.caption_similarity if by == "captions" else float(hit.similarity),
            accepted=None if threshold is None else hit.reaches(threshold, by_caption=by == "captions"),
            contributions=tuple(term.contribution for term in hit.terms),
            found_by=line(found_by_text(hit.found_by), SHORT),
            title=line(hit.title, SHORT),
            caption=line(hit.caption, LONG),
            ocr=line(hit.ocr, LONG),
            **_described(hit),
            region=hit.region,
            licence=line(hit.licence, SHORT),
            author=line(hit.author, SHORT),
            source=line(hit.source, SHORT),
        )
        for at, hit in enumerate(hits[:MOST], start=1)
    ]
    return SearchReport(
        library=line(library, SHORT),
        threshold=threshold,
        by=by,
        terms=tuple(line(term, SHORT) for term in terms),
        hits=tuple(reports),
        note=line(note, LONG),
    )


def _described(hit: "Hit") -> dict[str, Any]:
    """A model's description of a hit with that model; nothing where it probably does not fit."""
    if is_low(hit.description_confidence):
        return {}
    return {"description": line(hit.description, LONG), "described_by": line(hit.described_by, SHORT)}


def _reference_report(at: int, reference: UsedReference) -> ReferenceReport:
    return ReferenceReport(
        number=at,
        uri=uri(reference.image.sha256),
        role=reference.role,
        similarity=reference.similarity,
        concept=line(reference.concept, SHORT),
        title=line(reference.title, SHORT),
        caption=line(reference.caption, SHORT),
        region=reference.region if reference.crop else None,
        licence=line(reference.licence, SHORT),
        author=line(reference.author, SHORT),
        source=line(reference.source, SHORT),
    )


def _source_report(source: WebSource) -> WebSourceReport:
    return WebSourceReport(title=line(source.name, SHORT), page=source.page, image=source.image)


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
        author=line(str(candidate.get("author") or ""), SHORT),
        source=line(str((candidate.get("web") or {}).get("page") or ""), LONG),
    )


def answer_report(record: AnswerRecord) -> AnswerReport:
    """An answer from images as data."""
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
        reason=line(tool_terms(record.reason), LONG),
        citations=tuple(cited),
        thread_id=line(record.thread_id, SHORT),
        baseline_answer=None if without is None else line(without.answer or tool_terms(without.reason), LONG),
        **_costs(record),
    )


def _costs(record: RunRecord | AnswerRecord) -> dict[str, Any]:
    """The calls of a record, and what they cost."""
    return {
        "calls": sum(record.calls.values()),
        "cached_calls": sum(record.cached_calls.values()),
        "cost_usd": record.cost_usd,
        "assumed_usd": record.assumed_usd,
        "unsettled_usd": record.unsettled_usd,
        "has_unknown_cost": tuple(line(backend, SHORT) for backend in record.has_unknown_cost[:MOST]),
    }
