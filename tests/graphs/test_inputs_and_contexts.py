"""What a graph is given is checked by the graph: whichever way it comes, nothing of it is dropped in silence."""

import dis
import json
from collections.abc import Callable
from typing import Any, TypedDict

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from pydantic import ValidationError

from imagerag.agent.errors import UsageError
from imagerag.agent.node_input import in_run
from imagerag.agent.nodes import Nodes
from imagerag.agent.qa.types import STATE_TYPES
from imagerag.agent.state import RunInput
from imagerag.agent.types import Outcome, RunConfig, RunContext, Size, Subject
from imagerag.graphs.generation import build_workflow
from imagerag.graphs.qa import build_qa
from imagerag.graphs.start_node import check_context
from imagerag.graphs.validation import MAX_PROMPT, MAX_QUESTION
from imagerag.store.sqlite.checkpoint_types import serializer
from imagerag.tools.answerers.metadata import MetadataAnswerer
from imagerag.tools.testing.fakes import sample_image

CONFIG: Any = {"configurable": {"thread_id": "run"}}

BAD_INPUTS: list[tuple[Any, str]] = [
    ({"promt": "a heart"}, "did you mean prompt"),
    ({"prompt": "a heart", "inital_image": {}}, "did you mean initial_image"),
    ({"prompt": "a heart", "max_calls": 2}, "goes into the context"),
    ({"prompt": "a heart", "attempts": []}, "no 'attempts'"),
    ({}, "prompt"),
    ({"prompt": None}, "prompt"),
    ({"prompt": ""}, "the prompt is empty"),
    ({"prompt": " \n\t"}, "the prompt is empty"),
    ({"prompt": "a" * (MAX_PROMPT + 1)}, "at most 32000"),
    ({"prompt": "a \0 heart"}, "NUL byte"),
    ({"prompt": "a \ud800 heart"}, "half a character"),
    ({"prompt": 7}, "prompt: it has to be text"),
    ({"prompt": ["a heart"]}, "prompt: it has to be text"),
    ({"prompt": "a heart", "subjects": "mine.png"}, "subjects"),
    ({"prompt": "a heart", "subjects": [{"image": "mine.png"}]}, "subjects.0.image"),
    ({"prompt": "a heart", "initial_image": {"sha256": "no"}}, "initial_image"),
    ({"prompt": "a heart", "excluded_images": ["beef"]}, "excluded_images.0"),
    ({"prompt": "a heart", "feedback": [" ? "]}, "the feedback is empty"),
    ({"prompt": "a heart", "feedback": "make it red"}, "feedback"),
    ({"prompt": "a heart", "started_at": "yesterday"}, "ISO 8601"),
    ({"prompt": "a heart", "started_at": "2026-01-01T00:00:00"}, "time zone"),
    ("a heart", "an object of names"),
    ([["prompt", "a heart"]], "an object of names"),
]

BAD_CONTEXTS: list[tuple[dict[str, Any], str]] = [
    ({"max_cals": 1}, "did you mean max_calls"),
    ({"dedline_s": 1}, "did you mean deadline_s"),
    ({"budget": 1}, "there are max_rounds"),
    ({"library": "mine"}, "IMAGERAG_LIBRARY"),
    ({"generator": "openai:gpt-image-2"}, "IMAGERAG_GENERATOR"),
    ({"max_calls": 0}, "max_calls"),
    ({"max_calls": "many"}, "max_calls"),
    ({"max_calls": 1.5}, "max_calls"),
    ({"max_cost_usd": -1}, "max_cost_usd"),
    ({"max_cost_usd": float("nan")}, "max_cost_usd"),
    ({"deadline_s": 0}, "deadline_s"),
    ({"deadline_s": float("inf")}, "deadline_s"),
    ({"deadline_at": float("nan")}, "deadline_at"),
    ({"deadline_at": "soon"}, "deadline_at"),
    ({"threshold": 2}, "threshold"),
    ({"start": "anywhere"}, "start"),
    ({"tags": "red"}, "tags"),
    ({"filter": {"colour": "\0"}}, "NUL byte"),
    ({"filter": {"\ud800": "red"}}, "half a character"),
    ({"tags": ["\0"]}, "NUL byte"),
]


def graph_of(bench: Any) -> Any:
    from imagerag.agent.nodes import Nodes

    nodes = Nodes(generator=bench.generator, judge=bench.judge, library=bench.library, blobs=bench.blobs)
    return build_workflow(nodes).compile(checkpointer=bench.saver)


@pytest.mark.parametrize(("given", "told"), BAD_INPUTS)
async def test_an_input_that_cannot_be_is_named_and_nothing_is_asked(bench, given, told):
    with pytest.raises(UsageError) as error:
        await graph_of(bench).ainvoke(given, CONFIG)
    assert told in str(error.value)
    assert (bench.generator.calls, bench.judge.calls) == ([], [])


@pytest.mark.parametrize(("context", "told"), BAD_CONTEXTS)
async def test_a_context_that_cannot_be_is_named_and_nothing_is_asked(bench, context, told):
    with pytest.raises((UsageError, ValidationError)) as error:
        await graph_of(bench).ainvoke({"prompt": "a heart"}, CONFIG, context=context)
    assert told in str(error.value)
    assert (bench.generator.calls, bench.judge.calls) == ([], [])


@pytest.mark.parametrize(("context", "told"), BAD_CONTEXTS)
def test_a_server_refuses_it_before_it_leaves_names_out(context, told):
    with pytest.raises(UsageError) as error:
        check_context(context)
    assert told in str(error.value)


def test_what_a_server_adds_to_a_context_is_no_setting():
    check_context(None)
    check_context({"max_calls": 2, "deadline_s": 3, "thread_id": "a", "__context_provided__": True, "langgraph_x": 1})


@drawn(st.text(min_size=1, max_size=20).filter(lambda name: name not in RunContext.model_fields))
def test_no_unknown_setting_is_dropped(name: str):
    with pytest.raises(ValidationError):
        RunContext(**{name: 1})


async def test_after_a_bad_input_a_thread_is_as_it_was(bench):
    bench.judge.enqueue([], [])
    graph = graph_of(bench)
    done = await graph.ainvoke({"prompt": "a heart"}, CONFIG)
    with pytest.raises(UsageError):
        await graph.ainvoke({"prompt": ""}, CONFIG)
    assert (await graph.aget_state(CONFIG)).values["attempts"] == done["attempts"]
    again = await graph.ainvoke({"prompt": "a star"}, CONFIG)
    assert again["attempts"][0].prompt == "a star"


@pytest.mark.parametrize("node", [START, "__input__", None])
async def test_an_input_written_by_update_state_is_checked_too(bench, node):
    graph = graph_of(bench)

    async def enter() -> None:
        await graph.aupdate_state(CONFIG, {"prompt": ""}, as_node=node)
        await graph.ainvoke(None, CONFIG)

    with pytest.raises(UsageError, match="empty"):
        await enter()


def test_what_is_published_of_inputs_and_contexts_is_what_is_taken(bench):
    graph = graph_of(bench)
    assert set(graph.get_context_jsonschema()["properties"]) == set(RunContext.model_fields)
    assert set(graph.get_input_jsonschema()["properties"]) == set(RunInput.__annotations__)
    drawn_edges = {(edge.source, edge.target) for edge in graph.get_graph().edges}
    assert {("__start__", "generate"), ("__start__", "retrieve")} <= drawn_edges


async def test_no_context_is_the_defaults(bench):
    bench.judge.enqueue([])
    done = await graph_of(bench).ainvoke({"prompt": "a heart"}, CONFIG)
    assert done["result"].outcome is Outcome.ALIGNED


@pytest.mark.parametrize(
    ("context", "reason"),
    [({"max_calls": 1}, "1 model calls"), ({"deadline_s": 1e-9}, "deadline"), ({"max_cost_usd": 0}, "not known")],
    ids=["calls", "deadline", "money"],
)
@pytest.mark.parametrize("made", [dict, lambda context: RunContext(**context)], ids=["json", "made"])
async def test_budgets_in_a_context_are_kept(bench, context, reason, made: Callable[[Any], Any]):
    done = await graph_of(bench).ainvoke({"prompt": "a heart"}, CONFIG, context=made(context))
    assert done["result"].outcome is Outcome.BUDGET_EXHAUSTED
    assert reason in done["result"].reason


async def test_a_deadline_counts_from_each_start_and_not_from_the_threads_first(bench):
    bench.judge.enqueue([], [])
    graph = graph_of(bench)
    for prompt in ("a heart", "a star"):
        given = {"prompt": prompt, "started_at": "2020-01-01T00:00:00+00:00"}
        done = await graph.ainvoke(given, CONFIG, context={"deadline_s": 60})
        assert done["result"].outcome is Outcome.ALIGNED


def test_the_nearer_of_two_deadlines_counts():
    assert RunContext(deadline_s=10, deadline_at=5).config(since=100).deadline_at == 5
    assert RunContext(deadline_s=10, deadline_at=500).config(since=100).deadline_at == 110
    assert RunContext(deadline_at=500).config().deadline_at == 500
    assert RunContext().config() == RunConfig()
    assert RunContext(max_rounds=7, size=Size(width=64, height=64)).config().max_rounds == 7


async def test_values_come_as_json_and_names_without_a_value_are_not_given(bench):
    mine = await bench.blobs.put(sample_image("mine"))
    bench.judge.enqueue([])
    given = {"prompt": "a heart", "subjects": [{"image": mine.model_dump(), "name": "mine"}], "initial_image": None}
    graph = graph_of(bench)
    await graph.ainvoke(json.loads(json.dumps(given)), CONFIG)
    values = (await graph.aget_state(CONFIG)).values
    assert values["subjects"] == [Subject(image=mine, name="mine")]


async def test_a_mask_that_the_generator_does_not_take_is_refused_before_anything_is_drawn(bench):
    mine = await bench.blobs.put(sample_image("mine"))
    subject = {"image": mine.model_dump(), "mask": mine.model_dump()}
    with pytest.raises(UsageError, match="takes no mask"):
        await graph_of(bench).ainvoke({"prompt": "a heart", "subjects": [subject]}, CONFIG)
    assert bench.generator.calls == []


class Album(TypedDict):
    """The state of a graph that ours is a part of: it has names of its own."""

    prompt: str
    owner: str


async def test_inside_another_graph_that_graphs_own_names_are_its_own(bench):
    bench.judge.enqueue([])
    graph = StateGraph(Album).add_node("draw", graph_of(bench)).add_edge(START, "draw").compile()
    await graph.ainvoke({"prompt": "a heart", "owner": "me"})
    assert len(bench.generator.calls) == 1


@pytest.mark.parametrize("prompt", ["", "a \0 heart", 7], ids=["empty", "unstorable", "of another type"])
async def test_inside_another_graph_what_cannot_be_is_refused(bench, prompt):
    graph = StateGraph(Album).add_node("draw", graph_of(bench)).add_edge(START, "draw").compile()
    with pytest.raises(UsageError, match="prompt"):
        await graph.ainvoke({"prompt": prompt, "owner": "me"})
    assert bench.generator.calls == []


@pytest.mark.parametrize("context", [{"max_calls": "many"}, {"max_calls": 0}])
async def test_inside_another_graph_a_limit_that_cannot_be_is_refused(bench, context):
    graph = StateGraph(Album, dict).add_node("draw", graph_of(bench)).add_edge(START, "draw").compile()  # type: ignore[type-var]
    with pytest.raises(UsageError, match="max_calls"):
        await graph.ainvoke({"prompt": "a heart", "owner": "me"}, context={"owner": "me", **context})
    assert bench.generator.calls == []


def asking(bench: Any) -> Any:
    saver = InMemorySaver(serde=serializer(STATE_TYPES))
    return build_qa(answerer=MetadataAnswerer(), library=bench.library).compile(checkpointer=saver)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"qestion": "how many?"}, "did you mean question"),
        ({}, "question"),
        ({"question": ""}, "the question is empty"),
        ({"question": "???"}, "the question is empty"),
        ({"question": "a" * (MAX_QUESTION + 1)}, "at most 4000"),
        ({"question": "how \0 many"}, "NUL byte"),
        ({"question": 7}, "question: it has to be text"),
        ({"question": "how many?", "compare": "perhaps"}, "compare"),
        ({"question": "how many?", "max_calls": 1}, "goes into the context"),
    ],
)
async def test_a_question_that_cannot_be_is_named(bench, given, told):
    with pytest.raises(UsageError) as error:
        await asking(bench).ainvoke(given, CONFIG)
    assert told in str(error.value)


@pytest.mark.parametrize("context", [{"max_cals": 1}, {"deadline_s": -1}, {"library": "mine"}])
async def test_the_context_of_a_question_is_checked(bench, context):
    with pytest.raises(ValidationError, match=next(iter(context))):
        await asking(bench).ainvoke({"question": "how many hearts?"}, CONFIG, context=context)


async def test_a_question_needs_nothing_but_its_words(bench):
    graph = asking(bench)
    done = await graph.ainvoke({"question": "how many hearts?"}, CONFIG)
    assert (done["library"], done["answerer"], done["compare"]) == (
        bench.library.name,
        MetadataAnswerer().identity,
        False,
    )
    again = await graph.ainvoke({"question": "how many stars?"}, CONFIG)
    assert [exchange.question for exchange in again["earlier"]] == ["how many hearts?", "how many stars?"]
    assert again["asked"] == 2


def test_compiling_looks_for_graphs_in_a_node_of_ones_own_and_not_in_ours(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked, look = [], dis.get_instructions
    monkeypatch.setattr(dis, "get_instructions", lambda code: looked.append(code.co_name) or look(code))
    nodes = Nodes(generator=bench.generator, judge=bench.judge, library=bench.library, blobs=bench.blobs)
    inner = build_workflow(nodes).compile()
    assert "wrapper" not in looked

    async def mine(state: Any) -> Any:
        return await inner.ainvoke(state)

    workflow = build_workflow(nodes)
    outer = workflow.add_node("mine", in_run(mine)).add_edge("mine", "finish").compile()
    assert outer.nodes["mine"].subgraphs == [inner]
    assert all(not node.subgraphs for name, node in outer.nodes.items() if name != "mine")
