"""How long a run waits for a service, and how it ends where that is too long."""

import time
from pathlib import Path
from typing import Any

import pytest

from imagerag.agent import retry_policy
from imagerag.agent.errors import BackendError, RateLimitedError
from imagerag.agent.nodes import Nodes
from imagerag.agent.run_record import run_record
from imagerag.agent.types import ModelCall, Outcome, RunConfig
from imagerag.graphs.generation import RETRY, build_workflow
from imagerag.tools.generators.openai_images import OpenAIImages
from imagerag.tools.judges.vlm.spec import vlm_judge
from imagerag.tools.spec import BackendSpec
from imagerag.tools.testing.fakes import MemoryBlobs
from imagerag.tools.testing.mock_openai import Fault, MockOpenAIServer, MockResponse
from imagerag.tools.testing.mock_openai.responses import Raw

YES = '{"checks": [{"number": 1, "requirement": "r", "kind": "content", "evidence": "", "met": true, "caption": ""}]}'


def answer(request: Any) -> MockResponse:
    from imagerag.tools.testing.mock_openai import DefaultResponder

    return DefaultResponder(text=YES)(request)


async def run(server: MockOpenAIServer, **config: Any) -> dict[str, Any]:
    generator = OpenAIImages("m", base_url=server.base_url)
    judge = vlm_judge(BackendSpec.parse(f"openai:judge?max_images=8@{server.base_url}"))  # said: it is not asked
    nodes = Nodes(generator=generator, judge=judge, library=None, blobs=MemoryBlobs())
    state: dict[str, Any] = (
        await build_workflow(nodes).compile().ainvoke({"prompt": "a cat"}, context=RunConfig(**config))
    )
    return state


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What was waited for, without waiting."""
    slept: list[float] = []

    async def note(seconds: float, result: object = None) -> None:
        slept.append(round(seconds, 3))

    monkeypatch.setattr("imagerag.agent.calls.model_caller.asyncio.sleep", note)
    return slept


SAID = {
    "words": Raw(429, {"error": {"message": "Please try again in 12s."}}),
    "gemini": Raw(429, [{"error": {"code": 429, "message": "quota", "details": [{"retryDelay": "12s"}]}}]),
    "header": Raw(429, {"error": "slow"}, {"retry-after": "12"}),
    "reset": Raw(429, {"error": "slow"}, {"x-ratelimit-reset-images": "12s"}),
    "with 200": Raw(200, {"error": {"message": "Please try again in 12s.", "code": "rate_limit_exceeded"}}),
}


@pytest.mark.parametrize("endpoint", ["images.generate", "chat"])
@pytest.mark.parametrize("said", SAID)
async def test_a_run_waits_as_long_as_it_is_told_however_that_is_said(
    endpoint: Any, said: str, waits: list[float]
) -> None:
    with MockOpenAIServer(answer) as server:
        server.enqueue(endpoint, SAID[said])
        state = await run(server)
        assert state["result"].outcome is Outcome.ALIGNED
        assert 12 in waits
        assert server.count("images.generate") == (2 if endpoint == "images.generate" else 1)


@pytest.mark.parametrize("endpoint", ["images.generate", "chat"])
async def test_a_wait_beyond_the_patience_ends_the_run_at_once_and_by_its_name(
    endpoint: Any, waits: list[float]
) -> None:
    with MockOpenAIServer(answer) as server:
        server.enqueue(endpoint, Raw(429, {"error": {"message": "daily limit"}}, {"retry-after": "40000"}))
        state = await run(server)
    result = state["result"]
    assert result.outcome is (Outcome.FAILED if endpoint == "images.generate" else Outcome.JUDGE_UNAVAILABLE)
    assert result.error == "WaitTooLongError"
    assert "daily limit" in result.reason
    assert "it asks to wait 11 h 7 min" in result.reason
    assert "`patience_s`" in result.reason
    lost = ModelCall(role="generate", backend="m", elapsed_s=0, completed=False, retry_after_s=40000)
    again, wait, *_ = run_record("r", {**state, "prompt": "a cat", "calls": [lost]}).next_steps
    assert again.startswith("run it again in 11 h 7 min; ")
    assert again.endswith("cache='reuse')`")
    assert wait.endswith("cache='reuse', patience_s=40000)`")
    assert server.count(endpoint) == 1
    assert not [wait for wait in waits if wait > 5]


async def test_a_wait_beyond_the_deadline_ends_it_too(waits: list[float]) -> None:
    with MockOpenAIServer(answer) as server:
        server.enqueue("chat", Raw(429, {"error": {"message": "Please try again in 1m2s."}}))
        state = await run(server, deadline_at=time.time() + 50)
    assert state["result"].error == "WaitTooLongError"
    assert state["result"].outcome is Outcome.JUDGE_UNAVAILABLE
    assert "deadline" in state["result"].reason
    assert state["attempts"]


async def test_patience_is_of_all_tries_of_a_call_together(waits: list[float]) -> None:
    with MockOpenAIServer(answer) as server:
        server.enqueue("chat", *[Raw(429, {"error": {"message": "Please try again in 40s."}})] * 4)
        state = await run(server)
        assert server.count("chat") == 4
    assert [wait for wait in waits if wait == 40] == [40] * 3
    assert "after 2 min of waiting" in state["result"].reason
    waits.clear()
    with MockOpenAIServer(answer) as server:
        server.enqueue("chat", *[Raw(429, {"error": {"message": "Please try again in 40s."}})] * 4)
        state = await run(server, patience_s=200)
    assert state["result"].outcome is Outcome.ALIGNED


async def test_no_patience_at_all(waits: list[float]) -> None:
    with MockOpenAIServer(answer) as server:
        server.enqueue("chat", Fault("rate_limit", retry_after_s=0.5))
        state = await run(server, patience_s=0)
        assert state["result"].error == "WaitTooLongError"


def pauses(error: Exception) -> list[float]:
    """The pauses that the retries of one error come to, in seconds, without what is added by chance."""
    found, tried = [], 1
    while True:
        policy = next((policy for policy in RETRY if policy.retry_on(error)), None)  # type: ignore[operator]
        if policy is None or tried >= policy.max_attempts:
            return found
        found.append(min(policy.max_interval, policy.initial_interval * policy.backoff_factor ** (tried - 1)))
        tried += 1


def test_a_limit_that_does_not_say_how_long_is_given_longer_than_a_minute() -> None:
    assert sum(pauses(RateLimitedError("slow down"))) > 60
    assert tuple(pauses(RateLimitedError("slow down"))) == retry_policy.BUSY_S


def test_after_a_drawing_was_paid_for_retries_are_not_over_in_seconds() -> None:
    error = BackendError("the judge restarts")
    assert sum(pauses(error)) < 5
    error.__dict__["after_payment"] = True
    assert tuple(pauses(error)) == retry_policy.PAID_S


def test_a_pause_does_not_go_past_the_deadline() -> None:
    error = RateLimitedError("slow down")
    lost = ModelCall(role="judge.critique", backend="b", elapsed_s=0, completed=False)
    error.__dict__.update(deadline_at=time.time() + 20, calls=[lost] * 2)
    assert retry_policy.busy(error)
    error.__dict__["calls"] = [lost] * 4
    assert not retry_policy.busy(error)


def test_what_cannot_help_is_not_tried_again() -> None:
    assert pauses(BackendError("no", retryable=False)) == []
    assert pauses(ValueError("ours")) == []


async def test_a_judge_that_fails_after_a_paid_drawing_is_known_to(tmp_path: Path) -> None:
    from imagerag.agent.calls.model_caller import ModelCaller
    from imagerag.agent.types import SamplingParams

    paid = ModelCall(role="generate", backend="g", elapsed_s=0, cost_usd=None)
    for cost, expected in ((None, True), (0.04, True), (0.0, False)):
        before = [paid.model_copy(update={"cost_usd": cost})]
        calls = ModelCaller(config=RunConfig(), journal=None, run_id="r", task="t", before=before, round=0, failed={})

        async def ask() -> Any:
            raise BackendError("down")

        with pytest.raises(BackendError) as failed:
            await calls.execute("judge.critique", "j", object, {}, ask, SamplingParams())  # type: ignore[type-var]
        assert retry_policy.after_payment(failed.value) is expected


def test_durations_for_people() -> None:
    told = {0.25: "0.25 s", 12: "12 s", 62: "62 s", 150: "2 min 30 s", 120: "2 min", 40000: "11 h 7 min", 7200: "2 h"}
    assert {seconds: retry_policy.describe_delay(seconds) for seconds in told} == told


def test_only_a_failure_that_can_pass_and_says_when_is_asked_again_then() -> None:
    assert retry_policy.requested_delay(RateLimitedError("slow", retry_after_s=0.0))
    assert not retry_policy.requested_delay(RateLimitedError("slow"))
    assert not retry_policy.requested_delay(BackendError("gone", retryable=False, retry_after_s=3))


def test_the_pause_that_counts_is_the_next_one_after_the_last_answer() -> None:
    answered = ModelCall(role="generate", backend="b", elapsed_s=0)
    lost = ModelCall(role="judge.critique", backend="b", elapsed_s=0, completed=False)
    error = RateLimitedError("slow down")
    for calls, pause in (
        ([], 1.0),
        ([lost], 1.0),
        ([lost] * 3, 9.0),
        ([lost] * 9, 30.0),
        ([lost] * 4 + [answered, lost], 1.0),
    ):
        error.__dict__.update(calls=calls, deadline_at=time.time() + pause + 5)
        assert retry_policy.busy(error), calls
        error.__dict__["deadline_at"] = time.time() + pause - 0.2
        assert not retry_policy.busy(error), calls
    paid = BackendError("the judge restarts")
    paid.__dict__.update(after_payment=True, calls=[lost] * 2, deadline_at=time.time() + 20)
    assert not retry_policy.after_payment(paid)
    paid.__dict__["calls"] = [lost]
    assert retry_policy.after_payment(paid)


def test_durations_are_rounded_up_to_the_minute_from_an_hour_on() -> None:
    told = {119: "119 s", 3601: "1 h 1 min", 7260: "2 h 1 min", 3600: "1 h", 3599: "1 h", 3540: "59 min"}
    assert {seconds: retry_policy.describe_delay(seconds) for seconds in told} == told
