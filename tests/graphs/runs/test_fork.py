"""Doing a run again from one of its steps: unchanged it costs nothing and gives the same."""

from collections import Counter
from typing import Any

import pytest

from imagerag.agent.errors import UsageError
from imagerag.agent.run_record import RunRecord
from imagerag.agent.types import Outcome, RunConfig, RunSpec
from imagerag.graphs.runs.events import last_record
from imagerag.graphs.runs.fork import ForkOptions
from imagerag.graphs.runs.history import steps
from tests.scripted_runs import scripted_run

CAPTION = "a detailed picture of a heart"


def told(record: RunRecord) -> dict[str, Any]:
    """What a run did, without what names it, dates it, or says who paid."""
    document = record.as_json()
    for name in ("run_id", "parent_run", "started_at", "elapsed_s", "setup", "cost_usd", "has_unknown_cost"):
        document.pop(name)
    asked, reused = Counter(document.pop("calls")), Counter(document.pop("cached_calls"))
    document["answers"] = dict(asked + reused)
    for call in document["call_log"]:
        del call["cached"], call["cost_usd"]
    return document


def made(stage: Any) -> int:
    return len(stage.generator.calls) + len(stage.judge.calls)


@pytest.fixture
async def two_rounds(stage: Any) -> Any:
    for similarity in (0.9, 0.8):
        stage.library.plant(CAPTION, similarity=similarity)
    return stage, await scripted_run(stage, ["a heart"], ["a heart"], [])


async def test_from_every_step_with_nothing_changed_it_makes_no_call_and_gives_the_same(two_rounds):
    stage, first = two_rounds
    before, listed = made(stage), await steps(stage.runner.dependencies, "first")
    assert len(listed) > 10
    for step in listed:
        record = await last_record(
            stage.runner.replay("first", ForkOptions(step=step.index), new_id=f"again{step.index}")
        )
        assert told(record) == told(first), step.node
        assert (record.parent_run.run_id, record.parent_run.step) == ("first", max(step.index, 1))
        assert record.cost_usd == 0
        again = [one.node for one in await steps(stage.runner.dependencies, f"again{step.index}")]
        at = max(step.index, 1)
        assert [node for node in again if node != "update"] == [one.node for one in listed]
        assert again.index("update") <= at
    assert made(stage) == before
    assert await stage.runner.record("first") == first


async def differently(stage: Any, *judgements: Any, **more: Any) -> None:
    """A run that nobody does again, of the same prompt, which is answered otherwise: the newest answers are its own."""
    stage.judge.enqueue(*judgements)
    setup = RunSpec(generator="scripted", judge="scripted", library="scripted", **more)
    record = await last_record(stage.runner.start("a heart", setup, run_id="unrelated"))
    assert len(record.attempts) == len(judgements)


async def test_a_replay_of_a_replay_is_the_same_whatever_others_were_answered_since(two_rounds):
    stage, first = two_rounds
    middle = len(await steps(stage.runner.dependencies, "first")) // 2
    await last_record(stage.runner.replay("first", ForkOptions(step=middle), new_id="once"))
    await differently(stage, [])
    before, listed = made(stage), await steps(stage.runner.dependencies, "once")
    parent = "once"
    for step in listed:
        record = await last_record(
            stage.runner.replay("once", ForkOptions(step=step.index), new_id=f"twice{step.index}")
        )
        assert told(record) == told(first), step.node
        assert all(call.cached for call in record.call_log)
    for depth in range(3):
        record = await last_record(stage.runner.replay(parent, ForkOptions(step=1), new_id=f"depth{depth}"))
        assert told(record) == told(first)
        parent = record.run_id
    assert record.parent_run.done_again == ("depth1", "depth0", "once", "first")
    assert made(stage) == before


async def test_so_is_the_replay_of_a_run_that_used_what_others_were_answered(two_rounds):
    stage, first = two_rounds
    setup = RunSpec(generator="scripted", judge="scripted", library="scripted", config=RunConfig(cache="reuse"))
    user = await last_record(stage.runner.start("a heart", setup, run_id="user"))
    assert [attempt.image for attempt in user.attempts] == [attempt.image for attempt in first.attempts]
    await differently(stage, [])
    before = made(stage)
    for step in await steps(stage.runner.dependencies, "user"):
        record = await last_record(stage.runner.replay("user", ForkOptions(step=step.index)))
        assert told(record) == told(user), step.node
    assert made(stage) == before
    async with stage.runner.dependencies.journal() as journal:
        assert await journal.of_run("user") == ([], [])


async def test_searches_are_answered_as_they_were_too(stage):
    for similarity in (0.9, 0.8):
        stage.library.plant(CAPTION, similarity=similarity)
    stage.judge.enqueue(["a heart"], [])
    stage.judge.enqueue_rankings([1, 0])
    setup = RunSpec(generator="scripted", judge="scripted", library="scripted", reranker="vlm")
    first = await last_record(stage.runner.start("a heart", setup, run_id="first"))
    stage.judge.enqueue_rankings([0, 1])
    await differently(stage, ["a heart"], [], reranker="vlm")
    before = made(stage)
    for step in await steps(stage.runner.dependencies, "first"):
        record = await last_record(stage.runner.replay("first", ForkOptions(step=step.index)))
        assert told(record) == told(first), step.node
    assert made(stage) == before


async def test_another_threshold_is_another_way_from_there(two_rounds):
    stage, first = two_rounds
    retrieve = next(step.index for step in await steps(stage.runner.dependencies, "first") if step.node == "retrieve")
    record = await last_record(stage.runner.replay("first", ForkOptions(step=retrieve, changes={"threshold": 0.95})))
    assert (first.outcome, record.outcome) == (Outcome.ALIGNED, Outcome.NO_USABLE_REFERENCE)
    assert record.setup.config.threshold == 0.95


async def test_another_seed_is_drawn_and_judged_anew(two_rounds):
    stage, _ = two_rounds
    before = made(stage)
    redraw = next(step.index for step in await steps(stage.runner.dependencies, "first") if step.node == "regenerate")
    stage.judge.enqueue([])
    record = await last_record(stage.runner.replay("first", ForkOptions(step=redraw, changes={"seed": 7})))
    assert made(stage) == before + 2
    assert [attempt.variation.seed for attempt in record.attempts] == [0, 7]


async def test_another_prompt_gets_a_checklist_of_its_own(two_rounds):
    stage, first = two_rounds
    stage.judge.enqueue([])
    record = await last_record(stage.runner.replay("first", ForkOptions(step=2, prompt="a star")))
    assert (record.prompt, record.outcome, len(record.attempts)) == ("a star", Outcome.ALIGNED, 1)
    assert record.requirements != first.requirements


async def test_references_can_be_put_in_by_hand(two_rounds):
    stage, _ = two_rounds
    other = stage.library.plant("a heart", similarity=0.3)
    listed = await steps(stage.runner.dependencies, "first")
    redraw = next(step.index for step in listed if step.node == "regenerate")
    stage.judge.enqueue([])
    record = await last_record(stage.runner.replay("first", ForkOptions(step=redraw, references=[other.sha256])))
    assert [(ref.image, ref.selected_by) for ref in record.attempts[1].references] == [(other, "by_hand")]


async def test_fresh_asks_the_models_again(two_rounds):
    stage, _ = two_rounds
    before = made(stage)
    stage.judge.enqueue(["a heart"], [])
    await last_record(stage.runner.replay("first", ForkOptions(step=1, no_cache=True)))
    assert made(stage) > before + 2


async def test_a_run_that_waited_can_be_chosen_for_anew(stage):
    first = stage.library.plant(CAPTION, similarity=0.9)
    second = stage.library.plant(CAPTION, similarity=0.8)
    await scripted_run(stage, ["a heart"], select=True)
    stage.judge.enqueue([])
    one = await last_record(stage.runner.resume("first", choose=[1]))
    assert [ref.image for ref in one.references] == [first]
    select = next(step.index for step in await steps(stage.runner.dependencies, "first") if step.node == "select")
    waiting = await last_record(stage.runner.replay("first", ForkOptions(step=select), new_id="other"))
    assert waiting.status == "interrupted"
    stage.judge.enqueue([])
    two = await last_record(stage.runner.resume("other", choose=[2]))
    assert [ref.image for ref in two.references] == [second]


@pytest.mark.parametrize(
    ("replay", "message"),
    [
        ({"step": 99}, "there is no step 99"),
        ({"step": -1}, "there is no step -1"),
        ({"step": 2, "references": ["0" * 64]}, "references are for a regenerate"),
        ({"step": 1, "changes": {"speed": 1}}, "nothing in a run is called speed"),
        ({"step": 1, "changes": {"max_rounds": 99}}, "max_rounds"),
        ({"step": 1, "prompt": "\0"}, "NUL"),
        ({"step": 1, "prompt": " "}, "the prompt is empty"),
    ],
)
async def test_what_cannot_be_is_refused(two_rounds, replay, message):
    stage, _ = two_rounds
    before = made(stage)
    with pytest.raises(UsageError, match=message):
        await last_record(stage.runner.replay("first", ForkOptions(**replay)))
    assert made(stage) == before
    assert len(await stage.runner.dependencies.runs.list()) == 1
