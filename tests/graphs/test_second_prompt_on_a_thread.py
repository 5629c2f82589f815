"""A second prompt on one thread is a run of its own: nothing of the first is in its result, budget or record."""

from dataclasses import dataclass
from typing import Any, TypedDict

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph

from imagerag.agent.errors import AuthError, BackendError
from imagerag.agent.ports import FREE, Capabilities, GeneratedImage, PriceEstimator
from imagerag.agent.run_record import run_record
from imagerag.agent.state import RunInput, RunState
from imagerag.agent.types import Outcome, ParentRun, RunConfig, Subject
from imagerag.graphs.generation import BLANK, build_workflow
from imagerag.graphs.runs.records import relist_run
from imagerag.store.images.blob_store import FileBlobStore
from imagerag.store.journal import open_journal
from imagerag.tools.testing.fakes import ScriptedGenerator, sample_image

CIRCLE, HEXAGON = "a red solid circle", "a black solid hexagon"
CAPTION = "a detailed picture of a heart"


def test_a_new_run_says_anew_what_every_channel_holds():
    ours = set(RunState.__annotations__) - set(RunInput.__annotations__)
    assert set(BLANK) == ours - {"snapshots"}  # which the workflow notes by what it was pinned to


async def test_it_has_its_own_picture_verdict_and_checklist(bench):
    bench.judge.enqueue([], ["a hexagon"])
    first = await bench.run(CIRCLE)
    second = await bench.run(HEXAGON, max_rounds=0)
    assert (first.outcome, second.outcome) == (Outcome.ALIGNED, Outcome.BEST_EFFORT)
    assert [call.prompt for call in bench.generator.calls] == [CIRCLE, HEXAGON]
    assert [call.prompt for call in bench.judge.calls] == [CIRCLE, HEXAGON]
    assert second.attempts[0].image != first.attempts[0].image
    assert [attempt.index for attempt in second.attempts] == [0]
    assert bench.judge.calls[1].requirements == []
    assert [r.text for r in second.requirements] == [HEXAGON, "a hexagon"]


async def test_it_has_its_own_concepts_searches_calls_and_clock(bench):
    bench.library.plant(CAPTION)
    bench.judge.enqueue(["a heart"], [], [])
    first = await bench.run("a heart and a star")
    assert (len(first.searches), len(first.concepts), len(first.call_log)) == (1, 1, 4)
    second = await bench.run(CIRCLE)
    assert (second.searches, second.concepts) == ([], [])
    assert second.calls == {"generate": 1, "judge.critique": 1}
    assert second.started_at > first.started_at
    assert bench.values["runs"] == 2


async def test_a_reference_that_the_first_run_used_may_be_used_again(bench):
    heart = bench.library.plant(CAPTION)
    bench.judge.enqueue(["a heart"], [], ["a heart"], [])
    first, second = await bench.run("a heart"), await bench.run("another heart")
    assert [r.image for r in first.references] == [r.image for r in second.references] == [heart]


@pytest.mark.parametrize("budget", [{"max_calls": 4}, {"max_cost_usd": 0.2}], ids=["calls", "money"])
async def test_it_has_its_own_budget(new_bench, budget):
    bench = new_bench(
        generator=ScriptedGenerator(*[GeneratedImage(data=sample_image(str(n)), cost_usd=0.1) for n in range(4)])
    )
    priced = PriceEstimator(known=True, most=lambda prompt, images, size: 0.1)
    bench.generator.capabilities, bench.judge.capabilities = Capabilities(tariff=priced), Capabilities(tariff=FREE)
    bench.library.plant(CAPTION)
    bench.judge.enqueue(["a heart"], [], ["a heart"], [])
    assert (await bench.run("a heart", **budget)).outcome is Outcome.ALIGNED
    assert (await bench.run("another heart", **budget)).outcome is Outcome.ALIGNED


async def test_the_same_prompt_is_drawn_and_judged_anew(bench, tmp_path):
    bench.blobs = FileBlobStore(tmp_path / "blobs")
    async with open_journal(tmp_path / "store.sqlite") as journal:
        bench.journal = journal
        bench.judge.enqueue([], ["a circle"])
        assert (await bench.run(CIRCLE)).outcome is Outcome.ALIGNED
        second = await bench.run(CIRCLE, max_rounds=0)
        assert second.outcome is Outcome.BEST_EFFORT
        assert (len(bench.generator.calls), len(bench.judge.calls)) == (2, 2)
        assert [call.cached for call in second.call_log] == [False, False]


async def test_a_run_that_fails_is_not_booked_the_first_runs_calls(bench, tmp_path):
    bench.blobs = FileBlobStore(tmp_path / "blobs")
    async with open_journal(tmp_path / "store.sqlite") as journal:
        bench.journal = journal
        bench.judge.enqueue([], AuthError("no key"))
        await bench.run(CIRCLE)
        second = await bench.run(HEXAGON)
        assert second.outcome is Outcome.JUDGE_UNAVAILABLE
        assert [call.role for call in second.call_log] == ["generate", "judge.critique"]


async def test_it_takes_nothing_of_the_first_runs_input(bench):
    mine = await bench.blobs.put(sample_image("mine"))
    graph = compiled(bench)
    bench.judge.enqueue([], [])
    given = {
        "prompt": CIRCLE,
        "subjects": [Subject(image=mine)],
        "excluded_images": ["0" * 64],
        "feedback": ["make it red"],
        "warnings": ["of the first run"],
        "parent_run": ParentRun(run_id="before"),
        "started_at": "2020-01-01T00:00:00+00:00",
    }
    await graph.ainvoke(given, CONFIG, context=RunConfig())
    await graph.ainvoke({"prompt": HEXAGON}, CONFIG, context=RunConfig())
    values = (await graph.aget_state(CONFIG)).values
    assert {name: values[name] for name in RunInput.__annotations__} == {
        "prompt": HEXAGON,
        "subjects": [],
        "edit_library": None,
        "initial_image": None,
        "setup": None,
        "parent_run": None,
        "excluded_images": [],
        "kept_images": [],
        "feedback": [],
        "revision": None,
        "warnings": [],
        "started_at": values["started_at"],
    }
    assert run_record("run", values).elapsed_s < 60


async def test_after_a_run_that_failed_it_is_drawn(bench):
    bench.generator.enqueue(BackendError("down", retryable=False))
    bench.judge.enqueue([])
    assert (await bench.run(CIRCLE)).outcome is Outcome.FAILED
    assert (await bench.run(HEXAGON)).outcome is Outcome.ALIGNED


async def test_a_question_that_the_first_run_waits_with_is_dropped(bench):
    bench.library.plant(CAPTION)
    bench.judge.enqueue(["a heart"], [])
    graph = compiled(bench)
    await graph.ainvoke({"prompt": "a heart"}, CONFIG, context=RunConfig(select=True))
    assert (await graph.aget_state(CONFIG)).interrupts
    done = await graph.ainvoke({"prompt": CIRCLE}, CONFIG, context=RunConfig(select=True))
    assert (done["result"].outcome, len(done["attempts"])) == (Outcome.ALIGNED, 1)
    assert not (await graph.aget_state(CONFIG)).interrupts


@pytest.mark.parametrize("node", [START, "__input__"])
async def test_entered_by_update_state_as_an_input(bench, node):
    bench.judge.enqueue([], ["a hexagon"])
    graph = compiled(bench)
    mine = await bench.blobs.put(sample_image("mine"))
    await graph.ainvoke({"prompt": CIRCLE, "subjects": [Subject(image=mine)]}, CONFIG, context=RunConfig(max_rounds=0))
    await graph.aupdate_state(CONFIG, {"prompt": HEXAGON}, as_node=node)
    done = await graph.ainvoke(None, CONFIG, context=RunConfig(max_rounds=0))
    assert (done["result"].outcome, len(done["attempts"])) == (Outcome.BEST_EFFORT, 1)
    assert bench.judge.calls[1].requirements == []
    assert len(bench.generator.calls[1].references) == 0


@pytest.mark.parametrize("node", ["generate", "regenerate"])
async def test_another_prompt_written_after_the_end_is_judged_by_its_own_words(bench, node):
    bench.judge.enqueue([], ["a hexagon"])
    graph = compiled(bench)
    await graph.ainvoke({"prompt": CIRCLE}, CONFIG, context=RunConfig(max_rounds=0))
    await graph.aupdate_state(CONFIG, {"prompt": HEXAGON}, as_node=node)
    done = await graph.ainvoke(None, CONFIG, context=RunConfig(max_rounds=0))
    assert done["result"].outcome is Outcome.BEST_EFFORT
    assert (bench.judge.calls[1].prompt, bench.judge.calls[1].requirements) == (HEXAGON, [])


async def test_another_prompt_that_nothing_was_judged_by_is_not_aligned(bench):
    bench.judge.enqueue([])
    graph = compiled(bench)
    await graph.ainvoke({"prompt": CIRCLE}, CONFIG, context=RunConfig())
    await graph.aupdate_state(CONFIG, {"prompt": HEXAGON}, as_node="critique")
    done = await graph.ainvoke(None, CONFIG, context=RunConfig())
    assert done["result"].outcome is Outcome.JUDGE_UNAVAILABLE
    assert "not asked" in done["result"].reason


async def test_a_run_that_goes_on_after_its_end_ends_anew(bench):
    bench.library.plant(CAPTION)
    bench.judge.enqueue(["a heart"], [])
    graph = compiled(bench)
    done = await graph.ainvoke({"prompt": "a heart"}, CONFIG, context=RunConfig(max_rounds=0))
    assert done["result"].outcome is Outcome.BEST_EFFORT
    await graph.aupdate_state(CONFIG, {}, as_node="critique")
    done = await graph.ainvoke(None, CONFIG, context=RunConfig(max_rounds=2))
    assert (done["result"].outcome, done["best"], len(done["attempts"])) == (Outcome.ALIGNED, 1, 2)


async def test_a_run_that_fails_after_it_was_over_does_not_keep_its_first_ending(bench):
    bench.judge.enqueue([], AuthError("no key"))
    graph = compiled(bench)
    await graph.ainvoke({"prompt": CIRCLE}, CONFIG, context=RunConfig())
    await graph.aupdate_state(CONFIG, {"prompt": HEXAGON}, as_node="generate")
    done = await graph.ainvoke(None, CONFIG, context=RunConfig())
    assert done["result"].outcome is Outcome.JUDGE_UNAVAILABLE


class Album(TypedDict):
    """The state of a graph that ours is a part of."""

    prompt: str
    owner: str
    attempts: list[Any]
    result: Any


@pytest.mark.parametrize("keeps", [None, True], ids=["kept by the parent", "with steps of its own"])
async def test_inside_another_graph(bench, keeps):
    bench.judge.enqueue([], ["a hexagon"])
    child = build_workflow(nodes_of(bench)).compile(checkpointer=keeps)
    parent = StateGraph(Album).add_node("draw", child).add_edge(START, "draw").add_edge("draw", END)
    graph = parent.compile(checkpointer=bench.saver)
    first = await graph.ainvoke({"prompt": CIRCLE, "owner": "me"}, CONFIG)
    second = await graph.ainvoke({"prompt": HEXAGON}, CONFIG, context={"max_rounds": 0})
    assert (first["result"].outcome, second["result"].outcome) == (Outcome.ALIGNED, Outcome.BEST_EFFORT)
    assert [attempt.prompt for attempt in second["attempts"]] == [HEXAGON]


async def test_twice_in_one_run_of_another_graph(bench, tmp_path):
    bench.blobs = FileBlobStore(tmp_path / "blobs")
    async with open_journal(tmp_path / "store.sqlite") as journal:
        bench.journal = journal
        bench.judge.enqueue([], [])
        child = build_workflow(nodes_of(bench)).compile()
        parent = StateGraph(Album).add_node("draw", child).add_node("again", child)
        parent = parent.add_edge(START, "draw").add_edge("draw", "again")
        await parent.compile(checkpointer=bench.saver).ainvoke({"prompt": CIRCLE}, CONFIG)
        assert len(bench.generator.calls) == 2


async def test_without_any_thread_the_same_prompt_is_drawn_anew(bench, tmp_path):
    bench.blobs = FileBlobStore(tmp_path / "blobs")
    async with open_journal(tmp_path / "store.sqlite") as journal:
        bench.journal = journal
        bench.judge.enqueue([], [])
        graph = build_workflow(nodes_of(bench)).compile()
        for _ in range(2):
            await graph.ainvoke({"prompt": CIRCLE})
        assert len(bench.generator.calls) == 2


@dataclass
class Limits:
    """The context of a graph that ours is a part of."""

    owner: str = "me"
    max_calls: int | None = None
    deadline_s: float | None = None


@pytest.mark.parametrize(
    ("limits", "reason"),
    [({"max_calls": 1}, "1 model calls"), ({"deadline_s": 1e-6}, "deadline")],
    ids=["calls", "deadline"],
)
async def test_limits_in_the_context_of_the_graph_around_it_are_kept(bench, limits, reason):
    child = build_workflow(nodes_of(bench)).compile()
    parent = StateGraph(Album, Limits).add_node("draw", child).add_edge(START, "draw")
    done = await parent.compile().ainvoke({"prompt": CIRCLE}, context=Limits(**limits))
    assert done["result"].outcome is Outcome.BUDGET_EXHAUSTED
    assert reason in done["result"].reason


async def test_the_steps_of_a_thread_are_those_of_its_newest_run(stage):
    from imagerag.graphs.runs.history import steps

    parts = {"generator": stage.generator, "judge": stage.judge, "library": stage.library}
    stage.judge.enqueue([], [])
    workflow = stage.runner.dependencies.workflow(PartsLike(**parts))
    async with stage.runner.dependencies.checkpoints() as saver:
        graph = workflow.compile(checkpointer=saver)
        for prompt in (CIRCLE, HEXAGON):
            await graph.ainvoke({"prompt": prompt}, CONFIG, context=RunConfig())
    found = await steps(stage.runner.dependencies, "run")
    assert [step.node for step in found] == ["input", "generate", "critique", "finish"]
    assert found[0].changes["prompt"].after == HEXAGON
    assert set(found[0].changes) == {"prompt", "started_at"}
    await relist_run(stage.runner.dependencies, "run")
    (entry,) = await stage.runner.dependencies.runs.list()
    assert (entry.prompt, entry.calls) == (HEXAGON, 2)


async def test_the_list_of_runs_has_the_newest_run_and_nothing_of_the_one_before(stage):
    dependencies = stage.runner.dependencies
    stage.judge.enqueue([], [])
    graph_parts = PartsLike(generator=stage.generator, judge=stage.judge, library=stage.library)
    async with dependencies.checkpoints() as saver:
        graph = dependencies.workflow(graph_parts).compile(checkpointer=saver)
        await graph.ainvoke({"prompt": CIRCLE, "parent_run": ParentRun(run_id="other")}, CONFIG, context=RunConfig())
        await relist_run(stage.runner.dependencies, "run")
        (first,) = await dependencies.runs.list()
        await graph.ainvoke({"prompt": HEXAGON}, CONFIG, context=RunConfig())
        await relist_run(stage.runner.dependencies, "run")
    (second,) = await dependencies.runs.list()
    assert (first.prompt, first.parent_run) == (CIRCLE, "other")
    assert (second.prompt, second.parent_run) == (HEXAGON, None)
    assert second.created > first.created


async def test_an_input_after_a_run_that_began_in_the_middle_is_another_run(bench, tmp_path):
    bench.judge.enqueue([])
    graph = compiled(bench)
    await graph.aupdate_state(CONFIG, {"prompt": CIRCLE, "chosen": [], "runs": 1}, as_node="select")
    await graph.ainvoke({"prompt": HEXAGON}, CONFIG, context=RunConfig())
    assert (await graph.aget_state(CONFIG)).values["runs"] == 2


CONFIG: Any = {"configurable": {"thread_id": "run"}}


class PartsLike:
    """The parts of a graph, as `Dependencies.workflow` takes them."""

    def __init__(self, **parts: Any) -> None:
        self.__dict__.update(parts)


def nodes_of(bench: Any) -> Any:
    from imagerag.agent.nodes import Nodes

    return Nodes(
        generator=bench.generator, judge=bench.judge, library=bench.library, blobs=bench.blobs, journal=bench.journal
    )


def compiled(bench: Any) -> Any:
    return build_workflow(nodes_of(bench)).compile(checkpointer=bench.saver or InMemorySaver())


async def test_a_prompt_that_was_only_written_after_the_end_has_no_run(bench):
    """LangGraph takes it for an update by the last node, after which there is nothing left to do."""
    bench.judge.enqueue([], ["a hexagon"])
    graph = compiled(bench)
    await graph.ainvoke({"prompt": CIRCLE}, CONFIG, context=RunConfig(max_rounds=0))
    await graph.aupdate_state(CONFIG, {"prompt": HEXAGON})
    await graph.ainvoke(None, CONFIG, context=RunConfig(max_rounds=0))
    record = run_record("run", (await graph.aget_state(CONFIG)).values)
    assert (record.prompt, record.outcome, len(record.attempts)) == (CIRCLE, Outcome.ALIGNED, 1)
    await graph.ainvoke({"prompt": HEXAGON}, CONFIG, context=RunConfig(max_rounds=0))
    record = run_record("run", (await graph.aget_state(CONFIG)).values)
    assert (record.prompt, record.outcome) == (HEXAGON, Outcome.BEST_EFFORT)
