"""A run whose task is cancelled at any await, once or again and again, or whose process dies: the list says how it
stands, and nobody makes it any more."""

import asyncio
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from imagerag.agent.completion import to_completion
from imagerag.agent.errors import RunStateError, UnknownRunError
from imagerag.agent.types import Outcome
from imagerag.graphs.runs.events import last_record
from imagerag.graphs.runs.fork import ForkOptions
from imagerag.graphs.runs.reindexing import find_record
from imagerag.graphs.runs.runner import Runner
from imagerag.store.file_lock import is_locked, run_lock
from tests.cancellation_points import cancelled_at
from tests.scripted_runs import scripted_spec

CAPTION = "a detailed picture of a heart"


async def standings(runner: Runner, run_id: str) -> tuple[Any, Any]:
    """(status, outcome) of a run on the list and in its record; None where it is in neither."""
    listed = next((one for one in await runner.dependencies.runs.list(None) if one.run_id == run_id), None)
    try:
        record = await runner.record(run_id)
    except UnknownRunError:
        return listed and (listed.status, listed.outcome), None
    return listed and (listed.status, listed.outcome), (record.status, record.outcome)


@pytest.mark.parametrize("again", [False, True], ids=["once", "again and again"])
async def test_the_list_says_how_a_run_ended_that_was_cancelled_at_any_await(stage: Any, again: bool) -> None:
    stage.judge.enqueue(*[[]] * 100)
    seen = set[Any]()
    for nth in count(1):
        run_id = f"at-{nth:03}"
        if not await cancelled_at(
            last_record(stage.runner.start("a heart", scripted_spec(), run_id=run_id)), nth, again=again
        ):
            break
        listed, recorded = await standings(stage.runner, run_id)
        # What LangGraph leaves behind may write the input after the end of a run that had none.
        late = again and listed == ("ended", Outcome.CANCELLED) and recorded == ("running", None)
        assert late or listed == (recorded or listed), f"cancelled at await {nth}"
        assert listed is None or listed[0] == "ended", f"cancelled at await {nth}"
        assert not is_locked(stage.runner.dependencies.home.lock(run_id))
        seen.add(listed and listed[1])
    assert seen == {None, Outcome.CANCELLED, Outcome.ALIGNED}


async def test_a_replay_that_is_cancelled_at_any_await_is_listed_or_leaves_nothing(stage: Any) -> None:
    stage.judge.enqueue(*[[]] * 100)
    await last_record(stage.runner.start("a heart", scripted_spec(), run_id="first"))
    for nth in count(1):
        run_id = f"at-{nth:03}"
        work = last_record(stage.runner.replay("first", ForkOptions(step=1), new_id=run_id))
        if not await cancelled_at(work, nth):
            break
        listed, recorded = await standings(stage.runner, run_id)
        assert listed == (recorded or listed), f"cancelled at await {nth}"
        assert listed is None or listed[0] == "ended", f"cancelled at await {nth}"


async def test_a_replay_takes_the_id_of_no_other_run(stage: Any) -> None:
    stage.judge.enqueue([], [])
    for run_id in ("first", "second"):
        await last_record(stage.runner.start(f"a {run_id} heart", scripted_spec(), run_id=run_id))
    before = await stage.runner.record("second")
    with pytest.raises(RunStateError, match="there is a run second already"):
        await last_record(stage.runner.replay("first", ForkOptions(step=1), new_id="second"))
    assert await stage.runner.record("second") == before


async def test_a_run_that_is_left_open_at_any_await_can_be_finished(make_stage: Any, tmp_path: Path) -> None:
    stage = make_stage(tmp_path / "home", [lambda *_: ["a heart"]])
    stage.library.plant(CAPTION, similarity=0.9)
    runner, waits = Runner(dependencies=stage.runner.dependencies, left_open=True), scripted_spec(select=True)
    seen = set[Any]()
    for nth in count(1):
        run_id = f"at-{nth:03}"
        reached = await cancelled_at(last_record(runner.start("a heart", waits, run_id=run_id)), nth)
        listed, recorded = await standings(runner, run_id)
        assert listed == (recorded or listed), f"left at await {nth}"
        if recorded is None:
            await last_record(runner.start("a heart", waits, run_id=run_id))
        elif recorded[0] == "running":
            events = [event async for event in runner.resume(run_id)]
            assert not [event.node for event in events if event.node.startswith("_")]
        assert await standings(runner, run_id) == (("interrupted", None), ("interrupted", None)), f"left at await {nth}"
        if not reached:
            break
        seen.add(recorded and recorded[0])
    assert seen == {None, "running", "interrupted"}


async def killed_before_it_was_listed(stage: Any, run_id: str = "killed") -> None:
    """Leave what a process leaves that is killed after the last step of its run."""
    stage.judge.enqueue([])
    await last_record(stage.runner.start("a heart", scripted_spec(), run_id=run_id))
    await stage.runner.dependencies.runs.upsert(run_id, prompt="a heart", status="running")
    assert await standings(stage.runner, run_id) == (("running", None), ("ended", Outcome.ALIGNED))


async def test_a_run_that_was_killed_before_its_end_was_listed_is_listed_once_somebody_looks(stage: Any) -> None:
    await killed_before_it_was_listed(stage)
    await find_record(stage.runner.dependencies, "kill")
    assert await standings(stage.runner, "killed") == (("ended", Outcome.ALIGNED),) * 2


async def test_it_is_listed_when_somebody_wants_to_resume_it(stage: Any) -> None:
    await killed_before_it_was_listed(stage)
    with pytest.raises(RunStateError, match="has ended"):
        await last_record(stage.runner.resume("killed"))
    assert await standings(stage.runner, "killed") == (("ended", Outcome.ALIGNED),) * 2


async def test_whoever_makes_or_removes_a_run_lists_it(stage: Any) -> None:
    await killed_before_it_was_listed(stage)
    with run_lock(stage.runner.dependencies.home.lock("killed"), "killed"):
        assert (await find_record(stage.runner.dependencies, "killed")).outcome is Outcome.ALIGNED
    assert (await standings(stage.runner, "killed"))[0] == ("running", None)


async def test_a_run_without_a_step_is_being_made_or_was_stopped(stage: Any) -> None:
    events = stage.runner.start("a heart", scripted_spec(), run_id="mine")
    await anext(events)
    with pytest.raises(UnknownRunError, match=r"right now \(by process \d+, since .*; it has made no step yet"):
        await find_record(stage.runner.dependencies, "mine")
    await events.aclose()
    with pytest.raises(UnknownRunError, match="stopped before its first step"):
        await find_record(stage.runner.dependencies, "mine")


async def test_work_comes_to_its_end_before_its_caller_is_cancelled() -> None:
    done, gate = [], asyncio.Event()

    async def work() -> str:
        await gate.wait()
        done.append(True)
        return "done"

    task = asyncio.create_task(to_completion(work()))
    for _ in range(3):
        await asyncio.sleep(0)
        task.cancel()
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done == [True]
    assert await to_completion(work()) == "done"


async def test_work_that_fails_meanwhile_is_the_cause() -> None:
    async def work() -> None:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        raise ValueError("no disk")

    task = asyncio.create_task(to_completion(work()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    assert isinstance(caught.value.__cause__, ValueError)
    with pytest.raises(ValueError, match="no disk"):
        await to_completion(work())
