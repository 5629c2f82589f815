"""Calls that a process was making when it ended are in the run's record and budget: noted before they are made."""

import asyncio
import signal
import textwrap
from pathlib import Path
from typing import Any

import pytest

from imagerag.agent.calls.pending_calls import NO_ANSWER
from imagerag.agent.errors import BackendTimeoutError
from imagerag.agent.ports import FREE, Capabilities, PriceEstimator
from imagerag.agent.types import Outcome, RunConfig, RunSpec
from tests.processes import python

TEN_CENTS = PriceEstimator(known=True, most=lambda prompt, images, size: 0.10)

KILLED = """
    import asyncio, os, signal, sys
    sys.path.insert(0, sys.argv[2])
    from conftest import make_stage
    from imagerag.agent.ports import FREE, Capabilities, PriceEstimator
    from imagerag.agent.types import RunConfig, RunSpec

    stage = make_stage(sys.argv[1])
    stage.generator.capabilities = Capabilities(
        tariff=PriceEstimator(known=True, most=lambda prompt, images, size: 0.10)
    )
    stage.judge.capabilities = Capabilities(tariff=FREE)

    async def dies(*args, **named):
        os.kill(os.getpid(), signal.SIGTERM if sys.argv[3] == "TERM" else signal.SIGKILL)
        await asyncio.sleep(30)

    stage.generator.generate = dies

    async def run():
        runner = stage.runner
        limits = {"max_calls": 2} if sys.argv[4] == "calls" else {"max_cost_usd": 0.25}
        setup = RunSpec(generator="scripted", judge="scripted", library="scripted", config=RunConfig(**limits))
        try:
            await runner.record("killed")
            events = runner.resume("killed")
        except Exception:
            events = runner.start("a heart", setup, run_id="killed")
        async for event in events:
            if event.record:
                print(event.record.outcome)

    asyncio.run(run())
"""


def setup(**config: Any) -> RunSpec:
    return RunSpec(generator="scripted", judge="scripted", library="scripted", config=RunConfig(**config))


async def last(events: Any) -> Any:
    return [event async for event in events][-1].record


def priced(stage: Any, tariff: PriceEstimator = TEN_CENTS) -> Any:
    stage.generator.capabilities = Capabilities(tariff=tariff)
    stage.judge.capabilities = Capabilities(tariff=FREE)
    return stage


@pytest.mark.parametrize("budget", ["calls", "money"])
@pytest.mark.parametrize("how", ["KILL", "TERM"])
async def test_a_budget_of_two_calls_is_two_calls_however_often_the_process_dies(
    tmp_path: Path, make_stage: Any, how: str, budget: str
) -> None:
    home = tmp_path / "home"
    codes, said = [], ""
    for _ in range(4):
        child = await asyncio.to_thread(python, "-c", textwrap.dedent(KILLED), home, Path(__file__).parent, how, budget)
        codes.append(child.returncode)
        said += child.stdout
        if child.returncode == 0:
            break
    died = -(signal.SIGTERM if how == "TERM" else signal.SIGKILL)
    assert codes == [died, died, 0], said
    record = await make_stage(home).runner.record("killed")
    assert record.outcome is Outcome.BUDGET_EXHAUSTED
    assert record.calls == {"generate": 2}
    assert (record.cost_usd, record.unsettled_usd, record.has_unknown_cost) == (0.2, 0.2, [])
    assert [(call.error, call.unsettled, call.max_cost_usd) for call in record.call_log] == [(NO_ANSWER, True, 0.1)] * 2


async def test_the_record_of_a_killed_run_has_the_call_at_once(tmp_path: Path, make_stage: Any) -> None:
    home = tmp_path / "home"
    script = ("-c", textwrap.dedent(KILLED), home, Path(__file__).parent, "KILL", "calls")
    await asyncio.to_thread(python, *script)
    record = await make_stage(home).runner.record("killed")
    assert (record.status, record.calls, record.cost_usd) == ("running", {"generate": 1}, 0.1)
    stage = priced(make_stage(home, [[]]))
    resumed = await last(stage.runner.resume("killed"))
    # One more drawing fits; the judge would be the third call.
    assert resumed.outcome is Outcome.BUDGET_EXHAUSTED
    assert resumed.calls == {"generate": 2}
    assert len(stage.generator.calls) == 1


async def test_a_cancelled_drawing_is_not_free_on_paper(stage: Any) -> None:
    priced(stage).generator.latency_s = 30
    events = stage.runner.start("a heart", setup(), run_id="gone")
    task = asyncio.create_task(last(events))
    while not stage.generator.calls:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    record = await stage.runner.record("gone")
    assert (record.outcome, record.calls) == (Outcome.CANCELLED, {"generate": 1})
    assert (record.cost_usd, record.unsettled_usd) == (0.1, 0.1)
    entry = await stage.runner.dependencies.runs.get("gone")
    assert (entry.calls, entry.cost_usd) == (1, 0.1)


async def test_what_was_answered_in_the_step_that_was_cancelled_is_in_the_record_too(stage: Any) -> None:
    """The drawing was answered and is in the state; the judge's call is under way."""
    priced(stage).judge.latency_s = 30
    task = asyncio.create_task(last(stage.runner.start("a heart", setup(), run_id="gone")))
    while not stage.judge.calls:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    record = await stage.runner.record("gone")
    assert record.calls == {"generate": 1, "judge.critique": 1}
    assert [call.completed for call in record.call_log] == [True, False]


async def test_a_price_that_is_not_known_is_not_zero_for_a_call_without_an_answer(stage: Any) -> None:
    stage.generator.latency_s = 30
    task = asyncio.create_task(last(stage.runner.start("a heart", setup(), run_id="gone")))
    while not stage.generator.calls:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    record = await stage.runner.record("gone")
    assert (record.cost_usd, record.has_unknown_cost) == (None, ["scripted:generator"])


async def test_the_deadline_in_the_middle_of_a_call_leaves_it_on_the_bill(stage: Any) -> None:
    priced(stage).generator.latency_s = 30
    given = setup().model_copy(update={"deadline_s": 2})
    record = await last(stage.runner.start("a heart", given, run_id="late"))
    assert (record.outcome, record.calls) == (Outcome.BUDGET_EXHAUSTED, {"generate": 1})
    assert (record.cost_usd, record.unsettled_usd) == (0.1, 0.1)


async def test_a_service_that_does_not_answer_in_time_may_charge_and_one_that_declines_does_not(bench: Any) -> None:
    priced(bench).generator.enqueue(BackendTimeoutError("no answer"))
    bench.judge.enqueue([])
    assert (await bench.run()).unsettled_usd == 0.1


async def test_an_answered_call_leaves_nothing_behind(stage: Any) -> None:
    stage.judge.enqueue([])
    await last(stage.runner.start("a heart", setup(), run_id="whole"))
    async with stage.runner.dependencies.journal() as journal:
        assert await journal.unanswered("whole") == []
        entries, lost = await journal.of_run("whole")
    assert (len(entries), lost) == (2, [])


async def test_a_call_that_cannot_be_noted_is_not_made(stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk, say: what could not be written down is not paid for."""
    from imagerag.store.journal import StoreJournal

    async def full(self: StoreJournal, lost: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(StoreJournal, "keep_lost", full)
    record = await last(stage.runner.start("a heart", setup(), run_id="full"))
    assert record.outcome is Outcome.FAILED
    assert stage.generator.calls == []
    assert record.calls == {}
