"""A run as one document, `imagerag.run/1`: a pure function of its final state."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from math import fsum
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from imagerag.agent.next_steps import next_steps
from imagerag.agent.outcomes import best_attempts, describe_missing
from imagerag.agent.types import (
    Attempt,
    Cause,
    ImageRef,
    ModelCall,
    Outcome,
    ParentRun,
    Requirement,
    Revision,
    RunResult,
    RunSpec,
    Search,
    SnapshotPins,
    TrackedConcept,
    UsedReference,
    WebSource,
    assumed_cost,
    cost_of_calls,
    unsettled_cost,
)

Status = Literal["running", "interrupted", "ended"]

_BY_JUDGEMENT: Final = frozenset({Outcome.ALIGNED, Outcome.BEST_EFFORT, Outcome.NO_USABLE_REFERENCE})
"""The outcomes that a judge's verdict on the prompt led to."""


class RecordedImage(ImageRef):
    """The image a run gives back, and where its file is (None where only the hash is known)."""

    path: str | None = None


class RunRecord(BaseModel):
    """Record of a run, from the prompt to the outcome. Images by hash and path, never as bytes.

    Attributes:
        status: "running" also covers a run whose process was killed; `imagerag resume` continues it.
        outcome: None until the run has ended.
        causes: why there was no usable reference, what is most worth changing first.
        image: the best attempt's.
        unresolved: what the best attempt still lacks, in few words.
        references: what the best attempt was drawn with, and the image of an earlier run that it changes.
        sources: what the generator's own model found on the web for the best attempt.
        calls: how often a model was asked in each role, every vote of a judge counted; what was reused is no call.
        cached_calls: how many answers of each role came from another run's journal, every vote counted.
        cost_usd: None when the price of any call is not known, and nothing was assumed for it.
        assumed_usd: how much of that was assumed, at most, for calls whose price is not known.
        unsettled_usd: how much of it calls without an answer may have cost, at most: the run was stopped during them,
            or what they were answered cannot be read.
        has_unknown_cost: the backends whose calls cost nobody knows how much.
        next_steps: what to do now, ready to be shown.
        snapshots: of each snapshot of a library that it searched (`NAME@TAG`), the hash of what that held.
        parent_run: the run it started from, when it did.
        excluded_images: library images that are never used, by SHA-256; `kept_images` are sent every time.
        feedback: what a person wanted changed in the images of earlier runs, oldest first.
        revision: the image of an earlier run that was changed for it; None where it was drawn anew.
        warnings: what was likely to go wrong before the run began, and what to type instead.
        question: what the run waits to be told, while it is interrupted.
    """

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    schema_name: Literal["imagerag.run/1"] = Field(default="imagerag.run/1", alias="schema")
    run_id: str
    status: Status
    prompt: str
    outcome: Outcome | None
    reason: str = ""
    error: str | None = None
    causes: list[Cause] = Field(default_factory=list)
    image: RecordedImage | None = None
    best_attempt: int | None = None
    attempts: list[Attempt] = Field(default_factory=list)
    requirements: list[Requirement] = Field(default_factory=list)
    concepts: list[TrackedConcept] = Field(default_factory=list)
    searches: list[Search] = Field(default_factory=list)
    unresolved: list[str] = Field(default_factory=list)
    references: list[UsedReference] = Field(default_factory=list)
    sources: list[WebSource] = Field(default_factory=list)
    calls: dict[str, int] = Field(default_factory=dict)
    cached_calls: dict[str, int] = Field(default_factory=dict)
    call_log: list[ModelCall] = Field(default_factory=list)
    cost_usd: float | None = 0.0
    assumed_usd: float = 0.0
    unsettled_usd: float = 0.0
    has_unknown_cost: list[str] = Field(default_factory=list)
    started_at: str | None = None
    elapsed_s: float = 0.0
    setup: RunSpec | None = None
    snapshots: dict[str, str] = Field(default_factory=dict)
    parent_run: ParentRun | None = None
    excluded_images: list[str] = Field(default_factory=list)
    kept_images: list[UsedReference] = Field(default_factory=list)
    feedback: list[str] = Field(default_factory=list)
    revision: Revision | None = None
    next_steps: list[str] = Field(default_factory=list)
    warnings: list[str] = Field(default_factory=list)
    question: dict[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        """The document as JSON-able data, its schema's name first."""
        return self.model_dump(mode="json", by_alias=True)

    def _repr_html_(self) -> str:
        """HTML for a notebook: the image, the outcome and its reason."""
        from imagerag.agent.notebook_display import run_html

        return run_html(self)

    def _repr_png_(self) -> bytes | None:
        """The image, for what shows no HTML."""
        from imagerag.agent.notebook_display import run_png

        return run_png(self)

    def canonical(self) -> "RunRecord":
        """The same run without what names it, dates it, or says who paid for it, and without calls that were lost.

        A replay in which nothing was changed has the canonical record of the run it does again.
        """
        calls = [call.canonical() for call in self.call_log if call.completed]
        plain = self.model_copy(
            update={
                "run_id": "run",
                "started_at": None,
                "elapsed_s": 0.0,
                "parent_run": None,
                "setup": self.setup.canonical() if self.setup else None,
                "call_log": calls,
                "calls": _request_counts(calls),
                "cached_calls": {},
                "cost_usd": 0.0,
                "assumed_usd": 0.0,
                "unsettled_usd": 0.0,
                "has_unknown_cost": [],
            }
        )
        return plain.model_copy(update={"next_steps": next_steps(plain)})


def run_record(run_id: str, state: Mapping[str, Any], *, question: dict[str, Any] | None = None) -> RunRecord:
    """The record of a run in `state`.

    Args:
        run_id: the LangGraph thread id.
        state: the values of the run's newest checkpoint.
        question: what the run waits to be told, when it is interrupted.
    """
    result: RunResult | None = state.get("result")
    setup: RunSpec | None = state.get("setup")
    attempts: list[Attempt] = list(state.get("attempts") or [])
    best = _best(state.get("best"), attempts)
    calls: list[ModelCall] = list(state.get("calls") or [])
    record = RunRecord(
        run_id=run_id,
        status="ended" if result else "interrupted" if question else "running",
        prompt=_prompt_of(state, result),
        outcome=result.outcome if result else None,
        reason=result.reason if result else "",
        error=result.error if result else None,
        causes=list(result.causes) if result else [],
        image=RecordedImage(**best.image.model_dump()) if best else None,
        best_attempt=best.index if best else None,
        attempts=attempts,
        requirements=state.get("requirements") or [],
        concepts=state.get("tracked_concepts") or [],
        searches=state.get("searches") or [],
        unresolved=describe_missing(best.verdict) if best else [],
        references=references_within(best, state.get("revision")) if best else [],
        sources=list(best.sources) if best else [],
        calls=_request_counts(calls),
        cached_calls=_request_counts(calls, reused=True),
        call_log=calls,
        cost_usd=_rounded(cost_of_calls(calls)),
        assumed_usd=round(assumed_cost(calls), 12),
        unsettled_usd=round(unsettled_cost(calls), 12),
        has_unknown_cost=sorted({call.backend for call in calls if _unpriced(call)}),
        started_at=state.get("started_at"),
        elapsed_s=_elapsed(state.get("started_at"), result, calls),
        setup=setup,
        snapshots=setup.snapshots if setup else (state.get("snapshots") or SnapshotPins()).hashes,
        parent_run=state.get("parent_run"),
        excluded_images=state.get("excluded_images") or [],
        kept_images=state.get("kept_images") or [],
        feedback=state.get("feedback") or [],
        revision=state.get("revision"),
        warnings=state.get("warnings") or [],
        question=question,
    )
    return record.model_copy(update={"next_steps": next_steps(record)})


def _prompt_of(state: Mapping[str, Any], result: RunResult | None) -> str:
    """The words that the run was made for: others may have been written into its thread after it ended."""
    judged = state.get("judged_prompt")
    return str(judged if judged and result and result.outcome in _BY_JUDGEMENT else state.get("prompt", ""))


def _best(index: int | None, attempts: list[Attempt]) -> Attempt | None:
    if index is not None and index < len(attempts):
        return attempts[index]
    best = best_attempts(attempts)
    return best[0] if best else None


def references_within(attempt: Attempt, revision: Revision | None) -> list[UsedReference]:
    """What is in an image: what it was drawn with, and what the image was drawn with that it changes."""
    sent = [reference.image.sha256 for reference in attempt.references]
    if revision is None or revision.image.sha256 not in sent:
        return list(attempt.references)
    return [*attempt.references, *(one for one in revision.references if one.image.sha256 not in sent)]


def _unpriced(call: ModelCall) -> bool:
    """Whether nobody knows what a call cost, nor, where it has no answer, what it can have cost at most."""
    return call.counts and call.cost_usd is None and not (call.unsettled and call.max_cost_usd is not None)


def _request_counts(calls: list[ModelCall], *, reused: bool = False) -> dict[str, int]:
    """Requests by role: those that were made, or those whose answers were reused instead."""
    counts: Counter[str] = Counter()
    for call in calls:
        if call.cached == reused:
            counts[call.role] += call.requests
    return dict(+counts)


def _rounded(usd: float | None) -> float | None:
    # Twelve digits: what a sum of fractions leaves behind is not part of the price.
    return None if usd is None else round(usd, 12)


def _elapsed(started_at: str | None, result: RunResult | None, calls: list[ModelCall]) -> float:
    if started_at and result and result.at:
        seconds = (datetime.fromisoformat(result.at) - datetime.fromisoformat(started_at)).total_seconds()
        if seconds >= 0:  # else the clock was set back before a resume
            return seconds
    return fsum(call.elapsed_s for call in calls)
