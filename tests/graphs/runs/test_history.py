"""The steps of a run, read from its checkpoints: numbering, what each changed and asked, where a run stopped."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from imagerag.agent.errors import RefusalError, UnknownRunError
from imagerag.agent.types import Outcome
from imagerag.graphs.runs.history import steps
from tests.scripted_runs import scripted_spec

CAPTIONS = ("a detailed picture of a heart", "a detailed picture of a moon")
ROUND = ["extract_concepts", "write_captions", "retrieve", "retrieve", "shortlist", "regenerate", "critique"]
WHOLE = ["input", "generate", "critique", *ROUND, "finish"]


async def two_concepts(stage: Any, name: str, *, until: int | None = None, **config: Any) -> None:
    """A run that redraws once with two references, left after so many steps."""
    for caption in CAPTIONS:
        stage.library.plant(caption)
    stage.judge.enqueue(["a heart", "a moon"], [])
    events = stage.runner.start("a heart and a moon", scripted_spec(**config), run_id=name)
    async for event in events:
        if event.kind == "step" and event.sequence == until:
            break
    await events.aclose()


async def test_steps_are_numbered_from_the_input_and_chained_by_checkpoints(stage):
    await two_concepts(stage, "run")
    found = await steps(stage.runner.dependencies, "run")
    assert [step.node for step in found] == WHOLE
    assert [step.index for step in found] == list(range(len(found)))
    assert {step.status for step in found} == {"done"}
    retrieves = [step for step in found if step.node == "retrieve"]
    assert len({step.superstep for step in retrieves}) == 1, "searches side by side share a superstep"
    assert found[0].before is None
    for before, after in pairwise(found):
        assert after.before == (before.before if [before.node, after.node] == ["retrieve"] * 2 else before.after)
    assert found[-1].next == ()
    assert found[0].next == ("generate",)


async def test_a_step_has_what_it_changed_and_asked(stage):
    await two_concepts(stage, "run")
    found = await steps(stage.runner.dependencies, "run")
    record = await stage.runner.record("run")
    assert found[0].changes["prompt"].after == "a heart and a moon"
    assert [call for step in found for call in step.calls] == record.call_log
    assert [len(step.changes["attempts"].before or []) for step in found if "attempts" in step.changes] == [0, 1, 1, 2]
    for step, caption in zip([s for s in found if s.node == "retrieve"], CAPTIONS, strict=True):
        assert [search.query.text for search in step.changes["searches"].after] == [caption]
    assert found[-1].changes["result"].after.outcome is Outcome.ALIGNED
    assert all("calls" not in step.changes for step in found)


@pytest.mark.parametrize("at", range(1, len(WHOLE) - 1))
async def test_a_run_killed_at_any_step_shows_where_it_stands_and_goes_on(make_stage, tmp_path, at):
    stage = make_stage(tmp_path / "home")
    await two_concepts(replace(stage, runner=replace(stage.runner, left_open=True)), "killed", until=at)
    found = await steps(stage.runner.dependencies, "killed")
    standing = [step for step in found if step.status == "pending"]
    assert standing
    assert [step.node for step in found] == WHOLE[: len(found)]
    assert all(step.after is None for step in standing)
    assert any("rag.runs.resume('killed')" in step for step in (await stage.runner.record("killed")).next_steps)
    done = [step for step in found if step.status == "done"]
    [_ async for _ in stage.runner.resume("killed")]
    whole = await steps(stage.runner.dependencies, "killed")
    assert [step.node for step in whole] == WHOLE
    assert [step.after for step in whole[: len(done)] if step.node != "retrieve"] == [
        step.after for step in done if step.node != "retrieve"
    ]


async def test_a_failed_step_has_its_call_and_the_ending(stage):
    stage.generator.enqueue(RefusalError("no"))
    [_ async for _ in stage.runner.start("a heart", scripted_spec(), run_id="refused")]
    _, failed, finish = await steps(stage.runner.dependencies, "refused")
    assert (failed.node, failed.status, len(failed.calls)) == ("generate", "failed", 1)
    assert failed.changes["result"].after.outcome is Outcome.REFUSED
    assert "no" in (failed.error or "")
    assert finish.node == "finish"


async def test_a_cancelled_run_ends_with_that(stage):
    await two_concepts(stage, "left", until=2)
    found = await steps(stage.runner.dependencies, "left")
    assert [step.node for step in found] == ["input", "generate", "critique", "cancel"]
    assert found[-1].changes["result"].after.outcome is Outcome.CANCELLED


async def test_a_waiting_step_waits_and_then_is_done(stage):
    stage.library.plant(CAPTIONS[0])
    stage.judge.enqueue(["a heart"], [])
    [_ async for _ in stage.runner.start("a heart", scripted_spec(select=True), run_id="ask")]
    found = await steps(stage.runner.dependencies, "ask")
    assert (found[-1].node, found[-1].status) == ("select", "waiting")
    [_ async for _ in stage.runner.resume("ask", choose=[1])]
    after = await steps(stage.runner.dependencies, "ask")
    assert (after[len(found) - 1].node, after[len(found) - 1].status) == ("select", "done")


async def test_a_run_whose_steps_were_not_kept_has_one(stage):
    stage.judge.enqueue([])
    runner = replace(stage.runner, durability="exit")
    [_ async for _ in runner.start("a heart", scripted_spec(), run_id="short")]
    (only,) = await steps(stage.runner.dependencies, "short")
    assert (only.index, only.node) == (0, "state")
    assert list(only.calls) == (await stage.runner.record("short")).call_log


async def test_an_unknown_run_is_named(stage):
    with pytest.raises(UnknownRunError, match="nothing-like-it"):
        await steps(stage.runner.dependencies, "nothing-like-it")
