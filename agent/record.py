"""A run as one document, `imagerag.run/1`: a pure function of its final state."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from imagerag.agent.endings import best_attempts, missing_words
from imagerag.agent.types import (
    BUILT_IN_LIBRARY,
    Attempt,
    Call,
    Ending,
    ImageRef,
    LedgerEntry,
    Lineage,
    Outcome,
    Requirement,
    Search,
    Setup,
    UsedReference,
)

Status = Literal["running", "interrupted", "ended"]


class RecordedImage(ImageRef):
    """The picture a run gives back, and where its file is (None where only the hash is known)."""

    path: str | None = None


class RunRecord(BaseModel):
    """What a run did, from the prompt to the outcome. Images by hash and path, never as bytes.

    Attributes:
        status: "running" also covers a run whose process was killed; `imagerag resume` continues it.
        outcome: None until the run has ended.
        image: the best attempt's.
        unresolved: what the best attempt still lacks, in few words.
        references: what the best attempt was drawn with.
        calls: how often a model was asked in each role, every vote of a judge counted.
        cost_usd: None when the price of any call is not known.
        unpriced: the backends whose calls cost nobody knows how much.
        next_steps: what to do now, ready to be shown.
        continues: the run it started from, when it did.
        excluded: library images it was told never to use, by SHA-256; `pinned` those it was told to send every time.
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
    image: RecordedImage | None = None
    best_attempt: int | None = None
    attempts: list[Attempt] = Field(default_factory=list)
    requirements: list[Requirement] = Field(default_factory=list)
    concepts: list[LedgerEntry] = Field(default_factory=list)
    searches: list[Search] = Field(default_factory=list)
    unresolved: list[str] = Field(default_factory=list)
    references: list[UsedReference] = Field(default_factory=list)
    calls: dict[str, int] = Field(default_factory=dict)
    call_log: list[Call] = Field(default_factory=list)
    cost_usd: float | None = 0.0
    unpriced: list[str] = Field(default_factory=list)
    started_at: str | None = None
    elapsed_s: float = 0.0
    setup: Setup | None = None
    continues: Lineage | None = None
    excluded: list[str] = Field(default_factory=list)
    pinned: list[UsedReference] = Field(default_factory=list)
    next_steps: list[str] = Field(default_factory=list)
    question: dict[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        """The document as JSON-able data, its schema's name first."""
        return self.model_dump(mode="json", by_alias=True)

    def canonical(self) -> "RunRecord":
        """The same run without what names it, dates it, or says who paid for it, and without calls that were lost.

        A replay in which nothing was changed has the canonical record of the run it does again.
        """
        calls = [call.canonical() for call in self.call_log if call.answered]
        plain = self.model_copy(
            update={
                "run_id": "run",
                "started_at": None,
                "elapsed_s": 0.0,
                "continues": None,
                "setup": self.setup.canonical() if self.setup else None,
                "call_log": calls,
                "calls": _asked(calls),
                "cost_usd": 0.0,
                "unpriced": [],
            }
        )
        return plain.model_copy(update={"next_steps": next_steps(plain)})


def run_record(
    run_id: str, state: Mapping[str, Any], *, path: str | None = None, question: dict[str, Any] | None = None
) -> RunRecord:
    """The record of a run in `state`.

    Args:
        run_id: the LangGraph thread id.
        state: the values of the run's newest checkpoint.
        path: the file that holds the best image, where there is one.
        question: what the run waits to be told, when it is interrupted.
    """
    ending: Ending | None = state.get("ending")
    attempts: list[Attempt] = list(state.get("attempts") or [])
    best = _best(state.get("best"), attempts)
    calls: list[Call] = list(state.get("calls") or [])
    record = RunRecord(
        run_id=run_id,
        status="ended" if ending else "interrupted" if question else "running",
        prompt=state.get("prompt", ""),
        outcome=ending.outcome if ending else None,
        reason=ending.reason if ending else "",
        error=ending.error if ending else None,
        image=RecordedImage(**best.image.model_dump(), path=path) if best else None,
        best_attempt=best.index if best else None,
        attempts=attempts,
        requirements=state.get("requirements") or [],
        concepts=state.get("ledger") or [],
        searches=state.get("searches") or [],
        unresolved=missing_words(best.verdict) if best else [],
        references=list(best.references) if best else [],
        calls=_asked(calls),
        call_log=calls,
        cost_usd=_cost(calls),
        unpriced=sorted({call.backend for call in calls if call.error is None and call.cost_usd is None}),
        started_at=state.get("started_at"),
        elapsed_s=_elapsed(state.get("started_at"), ending, calls),
        setup=state.get("setup"),
        continues=state.get("continues"),
        excluded=state.get("excluded") or [],
        pinned=state.get("pinned") or [],
        question=question,
    )
    return record.model_copy(update={"next_steps": next_steps(record)})


def next_steps(record: RunRecord) -> list[str]:
    """What a person or an assistant would do now, most useful first."""
    resume, go_on = f"imagerag resume {record.run_id}", f"imagerag continue {record.run_id}"
    if record.status == "interrupted":
        return [f"choose references by number: {resume} --choose 1,2 (or --choose none)"]
    if record.outcome is None:
        return [f"the run is unfinished: {resume}"]
    return (
        _mask_steps(record)
        + {
            Outcome.ALIGNED: [],
            Outcome.BEST_EFFORT: [f"allow more rounds: {go_on} --more-rounds 3", _add(record)],
            Outcome.NO_USABLE_REFERENCE: [_add(record), "or accept the best attempt as it is"],
            Outcome.REFUSED: ["change the prompt: asking the same again does not help"],
            Outcome.BUDGET_EXHAUSTED: [f"allow more: {go_on} with --max-calls, --max-cost-usd or --deadline-s"],
            Outcome.JUDGE_UNAVAILABLE: ["look at the image yourself, or try another judge with --judge"],
            Outcome.FAILED: [f"see what happened: imagerag show {record.run_id}"],
            Outcome.CANCELLED: [],
        }[record.outcome]
    )


def _mask_steps(record: RunRecord) -> list[str]:
    """What to know of a mask that could not be held."""
    best = record.attempts[record.best_attempt] if record.best_attempt is not None else None
    if best is None or best.mask is None or best.mask.held:
        return []
    changed = f"{100 * best.mask.changed_outside:.0f} % of what is outside of it changed"
    return [f"the mask is not held ({best.mask.reason}; {changed}): give --size in the picture's own shape"]


def _add(record: RunRecord) -> str:
    lacking = record.unresolved or [entry.concept.text for entry in record.concepts if entry.resolved is None]
    what = " and of ".join(f"'{text}'" for text in dict.fromkeys(lacking)) or "what is missing"
    name = record.setup.library if record.setup else None
    if name == BUILT_IN_LIBRARY:
        return f"the built-in catalogue has no picture of {what}: imagerag index FILE --library NAME makes one of yours"
    return f"add a picture of {what}: imagerag index FILE --library {name or 'NAME'}"


def _best(index: int | None, attempts: list[Attempt]) -> Attempt | None:
    if index is not None and index < len(attempts):
        return attempts[index]
    best = best_attempts(attempts)
    return best[0] if best else None


def _asked(calls: list[Call]) -> dict[str, int]:
    asked: Counter[str] = Counter()
    for call in calls:
        asked[call.role] += call.requests
    return dict(asked)


def _cost(calls: list[Call]) -> float | None:
    costs = [call.cost_usd for call in calls if call.error is None]
    return None if None in costs else round(sum(cost for cost in costs if cost is not None), 6)


def _elapsed(started_at: str | None, ending: Ending | None, calls: list[Call]) -> float:
    if started_at and ending and ending.at:
        return round((datetime.fromisoformat(ending.at) - datetime.fromisoformat(started_at)).total_seconds(), 3)
    return round(sum(call.elapsed_s for call in calls), 3)
