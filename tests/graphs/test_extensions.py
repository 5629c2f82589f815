"""Users' own nodes: in the path, in the record, in the list of steps; and what their failures do."""

from typing import TypedDict

import pytest

from imagerag.agent.extraction_schedule import recursion_limit
from imagerag.agent.nodes import Nodes
from imagerag.agent.types import Outcome, RunConfig, RunSpec
from imagerag.client.client import ImageRAG
from imagerag.graphs.extensions import Extension
from imagerag.graphs.generation import build_workflow
from imagerag.graphs.runs.events import last_record
from imagerag.graphs.runs.history import steps
from imagerag.graphs.runs.run_snapshot import read_snapshot

SETUP = RunSpec(generator="scripted", judge="scripted", library="scripted")


async def ran(stage, *judgements, **config):
    stage.judge.enqueue(*judgements)
    return await last_record(stage.runner.start("a heart", SETUP.model_copy(update={"config": RunConfig(**config)})))


def after(node, step, name="own"):
    return lambda nodes: build_workflow(nodes).add_node(name, step).add_edge(node, name)


async def test_a_step_after_the_last_is_in_the_history(stage):
    async def own(state):
        return {"attempts": [one.model_copy(update={"prompt": "signed"}) for one in state["attempts"]]}

    stage.runner.dependencies.extend(Extension(workflow=after("finish", own)))
    record = await ran(stage, [])
    assert record.outcome is Outcome.ALIGNED
    assert [one.prompt for one in record.attempts] == ["signed"]
    assert [step.node for step in await steps(stage.runner.dependencies, record.run_id)][-2:] == ["finish", "own"]


class Signed(TypedDict):
    """What the step below reads and writes, beside the channels of a run."""

    signature: str


async def test_a_channel_of_ones_own_is_in_the_events(stage):
    async def own(state: Signed):
        return {"signature": "a machine"}

    def workflow(nodes):
        return build_workflow(nodes).add_node("own", own, input_schema=Signed).add_edge("finish", "own")

    stage.runner.dependencies.extend(Extension(workflow=workflow))
    stage.judge.enqueue([])
    events = [event.as_json() async for event in stage.runner.start("a heart", SETUP)]
    assert [event["update"] for event in events if event["node"] == "own"] == [{"signature": "a machine"}]


async def test_runs_are_read_with_one_graph_of_each_extension(stage):
    made = []

    def workflow(nodes):
        made.append(nodes)
        return build_workflow(nodes)

    stage.runner.dependencies.extend(Extension(workflow=workflow))
    record = await ran(stage, [])
    made.clear()
    for _ in range(3):
        assert len(await steps(stage.runner.dependencies, record.run_id)) > 2
        assert (await read_snapshot(stage.runner.dependencies, record.run_id)).values["prompt"] == "a heart"
    assert len(made) == 1
    stage.runner.dependencies.extend(Extension(workflow=lambda nodes: workflow(nodes)))
    await steps(stage.runner.dependencies, record.run_id)
    assert len(made) == 2


def test_a_graph_that_a_node_of_the_users_runs_is_known_to_langgraph():
    inner = build_workflow(Nodes.for_diagram()).compile()

    class Mine(Nodes):
        async def critique(self, state, runtime):
            return await inner.ainvoke({"prompt": state["prompt"]})

    found = dict(build_workflow(Mine.for_diagram()).compile().get_subgraphs())
    assert found == {"critique": inner}


async def test_a_step_after_the_last_that_fails_ends_the_run_failed_and_keeps_the_picture(stage):
    calls = []

    async def own(state):
        calls.append(1)
        raise ValueError("no ink")

    stage.runner.dependencies.extend(Extension(workflow=after("finish", own)))
    record = await ran(stage, [])
    assert (record.outcome, len(calls)) == (Outcome.FAILED, 1)
    assert "no ink" in record.reason
    assert record.image is not None


async def test_a_step_beside_the_others_that_fails_ends_the_run_through_finish(stage):
    async def own(state):
        raise ValueError("no light")

    stage.runner.dependencies.extend(Extension(workflow=after("generate", own)))
    record = await ran(stage, [])
    assert record.outcome is Outcome.FAILED
    assert "no light" in record.reason


async def test_a_node_is_overridden_and_the_rest_is_as_it_was(stage):
    class Shouting(Nodes):
        async def generate(self, state, runtime):
            return await super().generate({**state, "prompt": state["prompt"].upper()}, runtime)

    stage.runner.dependencies.extend(Extension(nodes=Shouting))
    record = await ran(stage, [])
    assert record.attempts[0].prompt == "A HEART"
    assert record.prompt == "a heart"


async def test_graphs_that_were_made_before_are_not_used_after(stage):
    before = await ran(stage, [])

    class Silent(Nodes):
        async def generate(self, state, runtime):
            return await super().generate({**state, "prompt": "…"}, runtime)

    stage.runner.dependencies.extend(Extension(nodes=Silent))
    assert (await ran(stage, [])).attempts[0].prompt == "…" != before.attempts[0].prompt


async def test_own_steps_in_every_round_stay_below_the_recursion_limit(stage):
    """A chain of ten steps between drawing and judging, in the longest run there is."""

    async def nothing(state):
        return {}

    def workflow(nodes):
        graph = build_workflow(nodes)
        graph.edges.discard(("regenerate", "critique"))
        chain = ["regenerate", *(f"own{n}" for n in range(10))]
        for name in chain[1:]:
            graph.add_node(name, nothing)
        for name, following in zip(chain, [*chain[1:], "critique"], strict=True):
            graph.add_edge(name, following)
        return graph

    wanted = Extension(workflow=workflow)
    assert wanted.own_steps == 10
    stage.runner.dependencies.extend(wanted)
    for n in range(20):
        stage.library.plant(f"a detailed picture of thing {n}")
    record = await ran(stage, *[[f"thing {n}"] for n in range(21)], max_rounds=20)
    assert record.outcome is Outcome.BEST_EFFORT
    assert len(record.attempts) == 21
    assert recursion_limit(RunConfig(max_rounds=20), own=10) > recursion_limit(RunConfig(max_rounds=20))


async def test_the_front_door_extends_and_gives_its_graph(tmp_path):
    class Mine(Nodes):
        pass

    async def own(state):
        return {}

    rag = ImageRAG(preset="sketch", library="", home=tmp_path)
    rag.extend(nodes=Mine)
    rag.extend(workflow=after("finish", own, "signature"))
    assert rag.dependencies.extension.nodes is Mine
    assert rag.dependencies.extension.own_steps == 1
    assert "signature" in (await rag.workflow()).nodes


def test_nodes_without_ports_are_for_looking_only():
    assert Nodes.for_diagram().library is None
    with pytest.raises(AttributeError):
        _ = Nodes.for_diagram().judge.identity
