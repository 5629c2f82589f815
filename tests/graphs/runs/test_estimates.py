"""What continuing or forking a run can cost is never exceeded, and what cannot be is said beforehand."""

from typing import Any

import pytest

from imagerag.agent.errors import RunStateError, UnknownRunError, UsageError
from imagerag.graphs.runs.continuation import ContinueOptions
from imagerag.graphs.runs.estimates import estimate_continuation, estimate_fork
from imagerag.graphs.runs.events import last_record
from imagerag.graphs.runs.fork import ForkOptions
from tests.scripted_runs import scripted_run

CAPTION = "a detailed picture of a heart"


@pytest.mark.parametrize(
    "steering",
    [
        {"more_rounds": 2, "feedback": None},
        {"more_rounds": 0, "prompt": "a green heart"},
        {"more_rounds": 1, "feedback": "make it red"},
        {"more_rounds": 1, "seed": 7},
    ],
)
async def test_a_continuation_makes_no_more_calls_than_estimated(stage: Any, steering: dict[str, Any]) -> None:
    for similarity in (0.9, 0.8, 0.7):
        stage.library.plant(CAPTION, similarity=similarity)
    await scripted_run(stage, ["a heart"], ["a heart"], max_rounds=1)
    options = ContinueOptions(**steering)
    estimated = await estimate_continuation(stage.runner.dependencies, "first", options)
    stage.judge.enqueue(*[["a heart"]] * 4)
    record = await last_record(stage.runner.continue_run("first", options, new_id="second"))
    assert sum(record.calls.values()) <= estimated.max_calls
    drawn = next(role for role in estimated.roles if role.role == "generate")
    assert record.calls.get("generate", 0) <= drawn.expected_calls


async def test_a_fork_is_estimated_without_the_calls_before_its_step(stage: Any) -> None:
    stage.library.plant(CAPTION, similarity=0.9)
    await scripted_run(stage, ["a heart"], [], max_rounds=1)
    dependencies = stage.runner.dependencies
    whole = await estimate_fork(dependencies, "first", ForkOptions(step=1))
    steps = [1, 2, 3]
    estimated = [await estimate_fork(dependencies, "first", ForkOptions(step=step)) for step in steps]
    assert [one.max_calls for one in estimated] == [whole.max_calls, whole.max_calls - 1, whole.max_calls - 2]
    stage.judge.enqueue(["a heart"], [])
    record = await last_record(stage.runner.replay("first", ForkOptions(step=2, no_cache=True), new_id="second"))
    assert record.calls.get("generate", 0) <= estimated[1].roles[0].expected_calls
    more = await estimate_fork(dependencies, "first", ForkOptions(step=2, changes={"max_rounds": 5}))
    assert more.max_calls > estimated[1].max_calls


async def test_what_cannot_be_is_said_before_it_is_begun(stage: Any) -> None:
    stage.library.plant(CAPTION, similarity=0.9)
    await scripted_run(stage, [])
    dependencies = stage.runner.dependencies
    with pytest.raises(RunStateError, match="is aligned already"):
        await estimate_continuation(dependencies, "first", ContinueOptions())
    with pytest.raises(UsageError, match="the feedback is empty"):
        await estimate_continuation(dependencies, "first", ContinueOptions(feedback=" "))
    with pytest.raises(UsageError, match="no step 99"):
        await estimate_fork(dependencies, "first", ForkOptions(step=99))
    with pytest.raises(UnknownRunError):
        await estimate_continuation(dependencies, "nothing", ContinueOptions())
