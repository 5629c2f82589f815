"""Calls without an answer: whose they are to book, and in which order they are told."""

from typing import Any

import pytest

from imagerag.agent.calls import pending_calls
from imagerag.agent.calls.journal import CallRequest, FailedCall, JournalEntry
from imagerag.agent.errors import AuthError, BackendError, RateLimitedError, UsageError
from imagerag.agent.types import ModelCall, SamplingParams

CALL = ModelCall(role="generate", backend="b", elapsed_s=0, request="r", completed=False, call_id="one")


def lost(
    call: ModelCall = CALL, *, at: str = "2026-01-01T00:00:02+00:00", task: str = "t", under_way: bool = False
) -> FailedCall:
    return FailedCall(run_id="run", call=call, at=at, task=task, under_way=under_way)


def entry(request: str = "r", nth: int = 0, *, at: str = "2026-01-01T00:00:01+00:00", **answer: Any) -> JournalEntry:
    asked = CallRequest(role="judge.critique", backend="j", content={}, request=request, nth=nth)
    return JournalEntry(
        run_id="run", asked=asked, round=2, answer={"raw": "yes", **answer}, elapsed_s=1.5, cost_usd=0.2, at=at
    )


class Journal:
    def __init__(self, entries: list[JournalEntry], lost: list[FailedCall]) -> None:
        self.kept = entries, lost

    async def of_run(self, run_id: str) -> Any:
        return self.kept


async def found(
    entries: list[JournalEntry], lost: list[FailedCall], known: list[ModelCall], **how: bool
) -> list[ModelCall]:
    return await pending_calls.unrecorded_calls(Journal(entries, lost), "run", known, **how)  # type: ignore[arg-type]


def test_a_call_that_this_process_makes_right_now_is_nobodys_to_book() -> None:
    assert pending_calls.pending_calls_of([lost()], []) == [CALL]
    pending_calls.under_way.add("one")
    try:
        assert pending_calls.pending_calls_of([lost()], []) == []
    finally:
        pending_calls.under_way.discard("one")


def test_what_is_known_is_not_booked_twice_with_an_id_or_without() -> None:
    assert pending_calls.pending_calls_of([lost()], [CALL.model_copy(update={"elapsed_s": 3})]) == []
    old = CALL.model_copy(update={"call_id": ""})
    assert pending_calls.pending_calls_of([lost(old)], [old]) == []
    assert pending_calls.pending_calls_of([lost(old)], [CALL]) == [old]


def test_a_task_beside_others_books_its_own_alone() -> None:
    assert pending_calls.pending_calls_of([lost(task="mine"), lost(task="other")], [], of_task="mine") == [CALL]
    assert len(pending_calls.pending_calls_of([lost(task="mine"), lost(task="other")], [])) == 2


def test_a_wait_that_was_asked_for_then_is_not_waited_for_now() -> None:
    (call,) = pending_calls.pending_calls_of([lost(CALL.model_copy(update={"retry_after_s": 30.0}))], [])
    assert call.retry_after_s is None


async def test_they_are_told_in_the_order_of_time() -> None:
    later = lost(CALL.model_copy(update={"call_id": "two"}), at="2026-01-01T00:00:00+00:00")
    calls = await found([entry()], [lost(), later], [])
    assert [call.call_id for call in calls] == ["two", "", "one"]


async def test_of_an_ask_that_was_made_twice_the_second_is_found_when_the_first_is_known() -> None:
    known = [ModelCall(role="judge.critique", backend="j", elapsed_s=0, request="r")]
    assert len(await found([entry(nth=0), entry(nth=1)], [], known)) == 1
    assert len(await found([entry(nth=0), entry(nth=1)], [], [])) == 2
    # What was known and had no answer is none of the answers.
    assert len(await found([entry(nth=0)], [], [known[0].model_copy(update={"completed": False})])) == 1


async def test_while_somebody_makes_the_run_what_is_under_way_is_not_lost() -> None:
    kept = [lost(under_way=True), lost(CALL.model_copy(update={"call_id": "failed"}))]
    assert [call.call_id for call in await found([], kept, [], skip_under_way=True)] == ["failed"]
    assert len(await found([], kept, [])) == 2


async def test_an_answer_that_no_state_holds_is_told_as_it_was() -> None:
    (call,) = await found(
        [entry(served_by="other", fallback_errors=["one", "two"], requests=3, usage={"text_in": 4})], [], []
    )
    assert (call.role, call.backend, call.round, call.note) == ("judge.critique", "other", 2, "one; two")
    assert (call.requests, call.usage, call.cost_usd, call.cached, call.raw_response) == (
        3,
        {"text_in": 4},
        0.2,
        False,
        "yes",
    )
    assert call.elapsed_s == 1.5


def test_an_answer_that_another_run_paid_for_costs_nothing() -> None:
    call = pending_calls.with_answer(CALL, entry(variation=SamplingParams(seed=5).model_dump(mode="json")), reused=True)
    assert (call.cost_usd, call.cached, call.variation.seed) == (0.0, True, 5)


def test_a_call_begins_at_the_most_it_can_cost_and_has_an_id_of_its_own() -> None:
    one, other = (pending_calls.pending_call(CALL, max_cost_usd=0.4, assumed=True, requests=3) for _ in range(2))
    assert (one.max_cost_usd, one.assumed, one.requests, one.completed, one.unsettled) == (0.4, True, 3, False, True)
    assert one.call_id != other.call_id


def without_sending() -> BackendError:
    error = AuthError("needs a key")
    error.sent = False
    return error


@pytest.mark.parametrize(
    ("error", "requests", "wait"),
    [
        (RateLimitedError("slow", retry_after_s=7), 1, 7),
        (BackendError("down"), 1, None),
        (ValueError("ours"), 1, None),
        (without_sending(), 0, None),
        (UsageError("an image for the judge cannot be read"), 0, None),
    ],
)
def test_a_call_that_failed_is_one_request_unless_nothing_was_sent(error: Exception, requests: int, wait: Any) -> None:
    begun = pending_calls.pending_call(CALL, max_cost_usd=0.4, assumed=False, requests=5)
    call = pending_calls.failed_call(begun, error, elapsed_s=2, unsettled=False)
    assert (call.requests, call.retry_after_s, call.error, call.unsettled) == (requests, wait, str(error), False)
