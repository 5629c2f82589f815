"""Pay once: what is kept of a call, when it is used again, and what a strict replay says when it cannot."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagerag.agent.calls.journal import CallRequest
from imagerag.agent.errors import JudgeReplyError, RefusalError
from imagerag.agent.types import Outcome
from tests.scripted_runs import scripted_spec

CAPTION = "a detailed picture of a heart"


async def run(stage: Any, prompt: str, **config: Any) -> Any:
    return [event async for event in stage.runner.start(prompt, scripted_spec(**config))][-1].record


def counts(stage: Any) -> tuple[int, int]:
    return len(stage.generator.calls), len(stage.judge.calls)


async def test_a_run_of_its_own_pays_for_itself(stage):
    stage.judge.enqueue([], [])
    await run(stage, "a heart")
    await run(stage, "a heart")
    assert counts(stage) == (2, 2)


async def test_reuse_takes_other_runs_answers_and_says_so(stage):
    stage.library.plant(CAPTION)
    stage.judge.enqueue(["a heart"], [])
    first = await run(stage, "a heart")
    again = await run(stage, "a heart", cache="reuse")
    assert counts(stage) == (2, 2)
    assert [attempt.image for attempt in again.attempts] == [attempt.image for attempt in first.attempts]
    assert [attempt.verdict for attempt in again.attempts] == [attempt.verdict for attempt in first.attempts]
    assert all(call.cached and call.cost_usd == 0 for call in again.call_log)


async def test_reuse_pays_for_what_is_new(stage):
    stage.judge.enqueue([], [])
    await run(stage, "a heart", cache="reuse")
    await run(stage, "a star", cache="reuse")
    await run(stage, "a heart", cache="reuse", seed=1)
    assert len(stage.generator.calls) == 3


async def test_what_is_reused_costs_nothing_of_the_budget(stage):
    stage.judge.enqueue([])
    await run(stage, "a heart")
    assert (await run(stage, "a heart", cache="reuse", max_calls=1)).outcome is Outcome.ALIGNED


async def test_a_strict_replay_makes_no_call(stage):
    stage.library.plant(CAPTION)
    stage.judge.enqueue(["a heart"], [])
    first = await run(stage, "a heart")
    before = counts(stage)
    replayed = await run(stage, "a heart", cache="replay")
    assert counts(stage) == before
    assert replayed.outcome is first.outcome
    assert replayed.image.sha256 == first.image.sha256


async def test_a_strict_replay_that_misses_says_what_differs(stage):
    stage.judge.enqueue([])
    await run(stage, "a heart")
    before = counts(stage)
    record = await run(stage, "a star", cache="replay")
    assert counts(stage) == before
    assert (record.outcome, record.error) == (Outcome.FAILED, "ReplayMissError")
    assert 'asked "a star", recorded "a heart"' in record.reason


@pytest.mark.parametrize("answer", [RefusalError("no violence"), JudgeReplyError("not JSON", raw="mumble")])
async def test_a_refusal_and_an_unreadable_answer_were_paid_for_and_are_kept(stage, answer):
    stage.judge.enqueue(answer, answer)
    first = await run(stage, "a heart")
    before = counts(stage)
    again = await run(stage, "a heart", cache="replay")
    assert counts(stage) == before
    assert (again.outcome, again.reason) == (first.outcome, first.reason)
    assert [call.raw_response for call in again.call_log] == [call.raw_response for call in first.call_log]


async def test_the_very_same_request_asked_twice_is_two_calls(stage):
    """Two rounds whose drawings are equal: the second critique asks what the first asked, and is a call of its own."""
    for similarity in (0.9, 0.8):
        stage.library.plant(CAPTION, similarity=similarity)
    same = b"".join([(await stage.runner.dependencies.blobs.get((await run_one_image(stage)).sha256))])
    stage.generator.enqueue(same, same, same)
    stage.judge.enqueue(["a heart"], ["a heart"], [])
    record = await run(stage, "a heart")
    assert record.calls["judge.critique"] == 3
    requests = [call.request for call in record.call_log if call.role == "judge.critique"]
    assert requests[1] == requests[2]


async def run_one_image(stage: Any) -> Any:
    stage.judge.enqueue([])
    return (await run(stage, "first")).image


content = st.dictionaries(st.text(max_size=5), st.none() | st.booleans() | st.integers() | st.text(max_size=20))


@given(content, content, st.integers(0, 3))
def test_a_key_depends_on_content_alone(one, other, nth):
    asked = CallRequest.of("judge.critique", "scripted", one)
    assert asked.key == CallRequest.of("judge.critique", "scripted", dict(reversed(one.items()))).key
    assert (asked.key == CallRequest.of("judge.critique", "scripted", other).key) is (one == other)
    assert len({asked.model_copy(update={"nth": n}).key for n in range(nth + 1)}) == nth + 1
    assert asked.key != CallRequest.of("judge.captions", "scripted", one).key
    assert asked.key != CallRequest.of("judge.critique", "another", one).key
