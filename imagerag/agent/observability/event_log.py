"""Log events of runs: quiet until somebody listens, and never a prompt, a key, an image or an answer.

One INFO line when a run starts and when it stops, and one for every call that failed, or that another backend answered
than was asked; a DEBUG line for every other call. What a line says is also in the record's attributes, `run_id` first.
"""

import logging
from typing import TYPE_CHECKING, Any, Final

from imagerag.agent.types import ModelCall, RunSpec

if TYPE_CHECKING:
    from imagerag.agent.run_record import RunRecord

RUNS: Final = logging.getLogger("imagerag.runs")
CALLS: Final = logging.getLogger("imagerag.calls")


def log_run_start(run_id: str, setup: RunSpec) -> None:
    """A run starts, or goes on."""
    fields = {"generator": setup.generator, "judge": setup.judge, "library": setup.library}
    RUNS.info("run %s starts", run_id, extra=_extra("run.started", run_id, **fields))


def log_run_stop(run_id: str, record: "RunRecord | None") -> None:
    """It ended, or waits; without a record it was left as it is."""
    if record is None:
        RUNS.info("run %s is left unfinished", run_id, extra=_extra("run.left", run_id))
        return
    fields = {
        "status": record.status,
        "outcome": str(record.outcome) if record.outcome else None,
        "attempts": len(record.attempts),
        "calls": len(record.call_log),
        "cost_usd": record.cost_usd,
        "elapsed_s": record.elapsed_s,
    }
    stands = fields["outcome"] or ("waits for a choice" if record.question else record.status)
    RUNS.info("run %s: %s", run_id, stands, extra=_extra("run.stopped", run_id, **fields))


def log_failed_call(run_id: str, call: ModelCall, error: Exception) -> None:
    """A call got no answer. What it said may quote anything, and is in the run's record; here its class is enough."""
    fields = {**_of(call), "error": type(error).__name__, "retry_after_s": call.retry_after_s}
    again = "to be asked again" if getattr(error, "retryable", False) else "not to be asked again"
    CALLS.info(
        "%s: %s of %s, %s", call.role, fields["error"], call.backend, again, extra=_extra("call.lost", run_id, **fields)
    )


def log_answered_call(run_id: str, call: ModelCall) -> None:
    """A call was answered, by the journal or by a backend; in a fallback perhaps by another than was asked first."""
    if call.note:
        CALLS.info(
            "%s: stepped down to %s", call.role, call.backend, extra=_extra("call.stepped_down", run_id, **_of(call))
        )
    else:
        CALLS.debug("%s: %s answered", call.role, call.backend, extra=_extra("call.answered", run_id, **_of(call)))


def _of(call: ModelCall) -> dict[str, Any]:
    return {
        "role": call.role,
        "backend": call.backend,
        "round": call.round,
        "cached": call.cached,
        "cost_usd": call.cost_usd,
        "elapsed_s": round(call.elapsed_s, 3),
    }


def _extra(event: str, run_id: str, **fields: Any) -> dict[str, Any]:
    return {"run_id": run_id, "event": event, **fields}
