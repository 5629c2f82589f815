"""Calls without an answer: noted before they are made, and booked until somebody knows what became of them.

A process can end at any moment of a call: killed, stopped with Ctrl-C, its run cancelled. The service may have been
paid by then. So a call is in the journal before it is made, with the most it can cost, and leaves it with its answer.
What is left there belongs in the run's record and in its budget, whoever goes on with the run.
"""

import uuid
from collections import Counter
from collections.abc import Sequence
from typing import Final

from imagerag.agent.calls.journal import FailedCall, Journal, JournalEntry
from imagerag.agent.calls.response_check import known_cost, token_counts
from imagerag.agent.error_message import message_of
from imagerag.agent.errors import UsageError
from imagerag.agent.types import ModelCall, SamplingParams

NO_ANSWER: Final = "no answer arrived: the run was stopped during the call, and the service may charge for it"

under_way: Final[set[str]] = set()
"""The `call_id` of every call that this process makes right now: none of them is anybody's to book but who makes it."""


def pending_call(call: ModelCall, *, max_cost_usd: float | None, assumed: bool, requests: int) -> ModelCall:
    """A call as it is booked until it is answered: at its highest price, and with all requests it may come to."""
    fields = {"max_cost_usd": max_cost_usd, "assumed": assumed, "requests": requests, "call_id": uuid.uuid4().hex}
    return call.model_copy(update={**fields, "completed": False, "unsettled": True, "error": NO_ANSWER})


def failed_call(call: ModelCall, error: Exception, *, elapsed_s: float, unsettled: bool) -> ModelCall:
    """The record of a call that failed: one request unless nothing was sent, and a price only where the service told
    one, or nobody knows whether there is one."""
    cost_usd, usage = known_cost(getattr(error, "cost_usd", None)), token_counts(getattr(error, "usage", None))
    fields = {"elapsed_s": elapsed_s, "error": message_of(error), "cost_usd": cost_usd, "usage": usage}
    fields["unsettled"] = unsettled and cost_usd is None
    wait = getattr(error, "retry_after_s", None)
    requests = int(getattr(error, "sent", not isinstance(error, UsageError)))
    return call.model_copy(update={**fields, "requests": requests, "retry_after_s": wait})


def pending_calls_of(
    failed_calls: Sequence[FailedCall], calls: Sequence[ModelCall], *, of_task: str | None = None
) -> list[ModelCall]:
    """The calls without an answer that are not known yet, and that nobody in this process makes right now.

    Args:
        of_task: only those of this task: others of the same step run beside it, and see to their own.
    """
    ids = {call.call_id for call in calls if call.call_id} | under_way
    return [
        # The service asked to wait then, and not now.
        one.call.model_copy(update={"retry_after_s": None})
        for one in failed_calls
        if (one.call.call_id not in ids if one.call.call_id else one.call not in calls) and of_task in (None, one.task)
    ]


async def unrecorded_calls(
    journal: Journal, run_id: str, calls: Sequence[ModelCall], *, skip_under_way: bool = False
) -> list[ModelCall]:
    """The run's calls that its state does not hold: of a node that never came to its end, answered or not.

    Args:
        calls: the calls that the state holds.
        skip_under_way: somebody makes the run right now, and so may be making the calls that are not answered yet.
    """
    entries, failed_calls = await journal.of_run(run_id)
    answered = Counter(call.request for call in calls if call.completed)
    timed_calls = [
        (entry.at, recovered_call(entry)) for entry in entries if entry.asked.nth >= answered[entry.asked.request]
    ]
    timed_calls += [
        (one.at, call)
        for one in failed_calls
        if not (skip_under_way and one.under_way)
        for call in pending_calls_of([one], calls)
    ]
    return [call for _, call in sorted(timed_calls, key=lambda pair: pair[0])]


def recovered_call(entry: JournalEntry) -> ModelCall:
    """The call that an entry answers."""
    requests = entry.asked
    call = ModelCall(
        role=requests.role,
        backend=requests.backend,
        round=entry.round,
        variation=SamplingParams.model_validate(requests.content.get("variation") or {}),
        request=requests.request,
        elapsed_s=entry.elapsed_s,
    )
    return with_answer(call, entry, reused=False)


def with_answer(call: ModelCall, entry: JournalEntry, *, reused: bool) -> ModelCall:
    """A call with what it was answered. What was paid for and cannot be read counts at the most it can have cost, if
    the service does not tell its cost."""
    answer, unsettled = entry.answer or {}, entry.unsettled and not reused
    return call.model_copy(
        update={
            "unsettled": unsettled,
            "max_cost_usd": entry.max_cost_usd if unsettled else call.max_cost_usd,
            "backend": answer.get("served_by") or call.backend,
            "note": "; ".join(answer.get("fallback_errors") or ()),
            "elapsed_s": entry.elapsed_s,
            "cost_usd": 0.0 if reused else entry.cost_usd,
            "usage": answer.get("usage") or entry.usage,
            "requests": answer.get("requests", 1),
            "variation": SamplingParams.model_validate(answer.get("variation") or call.variation),
            "raw_response": entry.raw,
            "error": entry.error,
            "cached": reused,
        }
    )
