"""Results of a batch, line by line: `imagerag.batch/1`."""

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from imagerag.agent.run_record import RunRecord
from imagerag.agent.types import Outcome

Status = Literal["done", "failed", "invalid"]
TECHNICAL: Final = (Outcome.FAILED, Outcome.JUDGE_UNAVAILABLE)


class BatchReference(BaseModel):
    """A library image that is in the image."""

    model_config = ConfigDict(extra="forbid")

    sha256: str
    role: str
    concept: str
    similarity: float | None
    title: str
    source: str
    licence: str


class BatchImage(BaseModel):
    """The image; `path` is relative to the batch's folder."""

    model_config = ConfigDict(extra="forbid")

    path: str
    sha256: str
    media_type: str
    width: int
    height: int


class BatchResult(BaseModel):
    """The result of one line of a batch.

    Attributes:
        index: the line's place in the input, from 1.
        input: SHA-256 of everything that decided the run: prompt, options, the bytes of its files, the backends.
        status: "done" for every run that ended by a verdict, aligned or not; "failed" when something technical ended
            it (outcome `failed` or `judge_unavailable`, or no outcome at all); "invalid" when the line cannot be run.
        run_count: how many runs were made for it; more than 1 after `retry_failed`.
        cost_usd: of all its runs; None when the price of a call is not known.
        reserved_cost_usd: what the batch's budget counts for it: its cost, or the most it can be when unknown.
        score: requirements met by the image, of all, in [0, 1].
    """

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    schema_name: Literal["imagerag.batch/1"] = Field(default="imagerag.batch/1", alias="schema")
    id: str
    index: int
    input: str
    prompt: str
    status: Status
    outcome: Outcome | None = None
    reason: str = ""
    error: str | None = None
    run_id: str | None = None
    run_count: int = 1
    image: BatchImage | None = None
    score: float | None = None
    attempts: int = 0
    unresolved: list[str] = Field(default_factory=list)
    references: list[BatchReference] = Field(default_factory=list)
    calls: dict[str, int] = Field(default_factory=dict)
    cost_usd: float | None = 0.0
    reserved_cost_usd: float = 0.0
    elapsed_s: float = 0.0
    next_steps: list[str] = Field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """The line as JSON-able data, its schema's name first."""
        return self.model_dump(mode="json", by_alias=True)

    def with_run(self, record: RunRecord, image: BatchImage | None) -> "BatchResult":
        """This line with the result of its run."""
        best = record.attempts[record.best_attempt] if record.best_attempt is not None else None
        references = [
            BatchReference(sha256=reference.image.sha256, **{name: getattr(reference, name) for name in _CREDITS})
            for reference in record.references
        ]
        update = {
            "status": "failed" if record.outcome in TECHNICAL else "done",
            "score": best.verdict.score if best and best.verdict else None,
            "attempts": len(record.attempts),
            "references": references,
            "image": image,
            **{name: getattr(record, name) for name in _KEPT},
        }
        return self.model_copy(update=update)

    def failed(self, error: Exception, status: Status, cost_usd: float | None) -> "BatchResult":
        """This line with the error that ended it."""
        reason = str(error) or repr(error)
        update = {"reason": reason, "error": type(error).__name__, "status": status, "cost_usd": cost_usd}
        return self.model_copy(update=update)

    def booked(self, usd: float, before: "BatchResult | None") -> "BatchResult":
        """This line with what the budget counts for it, together with what an earlier run of it cost."""
        if before is None:
            return self.model_copy(update={"reserved_cost_usd": usd})
        costs = (before.cost_usd, self.cost_usd)
        total = None if None in costs else sum(cost or 0.0 for cost in costs)
        return self.model_copy(update={"cost_usd": total, "reserved_cost_usd": before.reserved_cost_usd + usd})


_CREDITS: Final = ("role", "concept", "similarity", "title", "source", "licence")
_KEPT: Final = (
    "run_id", "outcome", "reason", "error", "unresolved", "calls", "cost_usd", "elapsed_s", "next_steps",
)  # fmt: skip
