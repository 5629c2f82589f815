"""The tools in a real agent loop, in a `ToolNode`, and called plainly."""

import asyncio
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import BaseTool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode

import imagerag
from imagerag import ImageRAG, InputPolicy, RunLimits, as_tools
from imagerag.assistants.image_blocks import MAX_ENCODED
from imagerag.formatting.quoting import MAX_TEXT

HELD = "a red solid heart and a blue split crescent on a mint background"
Turn = Callable[[Sequence[BaseMessage]], tuple[str, dict[str, Any]] | str]


class ScriptedChat(BaseChatModel):
    """Reads what the tools answered and calls the next one, as its script says."""

    turns: list[Turn]

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Any, **options: Any) -> Any:
        return self

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        said = self.turns.pop(0)(messages)
        if isinstance(said, str):
            return ChatResult(generations=[ChatGeneration(message=AIMessage(said))])
        name, arguments = said
        call = {"name": name, "args": arguments, "id": f"call-{len(self.turns)}", "type": "tool_call"}
        return ChatResult(generations=[ChatGeneration(message=AIMessage("", tool_calls=[call]))])


def text_of(message: BaseMessage) -> str:
    """The words of a message, blocks without pictures."""
    content = message.content
    return content if isinstance(content, str) else "".join(str(part.get("text", "")) for part in content)  # type: ignore[union-attr]


def found(messages: Sequence[BaseMessage], pattern: str) -> str:
    """What the newest tool answer that has it says."""
    for message in reversed(messages):
        if isinstance(message, ToolMessage) and (match := re.search(pattern, text_of(message))):
            return match[1]
    raise AssertionError(f"no tool answer says {pattern}")


def tool(tools: Sequence[BaseTool], name: str) -> BaseTool:
    return next(one for one in tools if one.name == name)


def call(name: str, **arguments: Any) -> Any:
    return {"name": name, "args": arguments, "id": "call-1", "type": "tool_call"}


async def test_an_agent_draws_looks_steers_twice_and_ends(sketch: ImageRAG) -> None:
    def steer(**steering: Any) -> Turn:
        return lambda messages: ("continue_run", {"run_id": found(messages, r"run_id: (\S+)"), **steering})

    script: list[Turn] = [
        lambda _: ("generate_image", {"prompt": HELD}),
        lambda messages: ("view_image", {"image_id": found(messages, r"Image: (image://\w+)")}),
        lambda messages: steer(exclude_images=[1])(messages),
        lambda messages: steer(prompt="a blue split crescent on a mint background")(messages),
        lambda messages: f"Here it is: {found(messages, 'File: (.+)')}",
    ]
    agent = create_agent(ScriptedChat(turns=script), as_tools(sketch), checkpointer=InMemorySaver())
    result = await agent.ainvoke({"messages": [("user", f"draw {HELD}")]}, {"configurable": {"thread_id": "1"}})

    answers = [message for message in result["messages"] if isinstance(message, ToolMessage)]
    assert [(answer.name, answer.status) for answer in answers] == [
        ("generate_image", "success"),
        ("view_image", "success"),
        ("continue_run", "success"),
        ("continue_run", "success"),
    ]
    assert all(len(text_of(answer)) <= MAX_TEXT for answer in answers)
    runs = [answer.artifact["document"] for answer in answers if answer.name != "view_image"]
    assert [run["schema"] for run in runs] == ["imagerag.run/1"] * 3
    assert [run["parent_run"] and run["parent_run"]["run_id"] for run in runs] == [
        None,
        *(run["run_id"] for run in runs[:2]),
    ]
    misled = runs[0]["references"][0]["image"]["sha256"]
    assert misled not in [used["image"]["sha256"] for run in runs[1:] for used in run["references"]]
    assert runs[2]["prompt"] == "a blue split crescent on a mint background"
    said = result["messages"][-1].content
    assert said.startswith("Here it is: ")
    assert Path(said.removeprefix("Here it is: ")).read_bytes() in answers[-1].artifact["images"].values()


async def test_an_agent_lets_the_user_choose(stage: Any) -> None:
    script: list[Turn] = [
        lambda _: ("generate_image", {"prompt": "a heart", "select": True}),
        lambda messages: ("continue_run", {"run_id": found(messages, r"run_id: (\S+)"), "choose": [1]}),
        lambda messages: text_of(messages[-1]).partition(":")[0],
    ]
    agent = create_agent(ScriptedChat(turns=script), as_tools(stage.rag))
    result = await agent.ainvoke({"messages": [("user", "a heart, but ask me")]})
    waiting = next(message for message in result["messages"] if isinstance(message, ToolMessage))
    assert "\n 1. image://" in text_of(waiting)
    assert result["messages"][-1].content == "aligned"


def tool_graph(tools: Sequence[BaseTool]) -> Any:
    graph = StateGraph(MessagesState).add_node("tools", ToolNode(tools))
    return graph.add_edge(START, "tools").add_edge("tools", END).compile()


async def test_in_a_tool_node_every_step_is_told(stage: Any) -> None:
    asked = {"messages": [AIMessage("", tool_calls=[call("generate_image", prompt="a heart")])]}
    told, answer = [], None
    async for mode, chunk in tool_graph(as_tools(stage.rag)).astream(asked, stream_mode=["custom", "updates"]):
        if mode == "custom":
            told.append(chunk)
        else:
            answer = chunk["tools"]["messages"][0]
    assert answer is not None
    assert answer.content.startswith("aligned: ")
    assert {step["type"] for step in told} == {"imagerag.progress"}
    assert {step["run_id"] for step in told} == {answer.artifact["data"]["run_id"]}
    assert [step["node"] for step in told if step["node"] in ("generate", "critique", "regenerate")] == [
        "generate", "critique", "regenerate", "critique",
    ]  # fmt: skip
    assert len(json.dumps(told)) < 4_000


def test_a_tool_node_without_a_loop(stage: Any) -> None:
    asked = {"messages": [AIMessage("", tool_calls=[call("generate_image", prompt="a heart")])]}
    answer = tool_graph(as_tools(stage.rag)).invoke(asked)["messages"][-1]
    assert answer.content.startswith("aligned: ")


def test_called_plainly_from_a_program_without_a_loop(stage: Any) -> None:
    text = tool(as_tools(stage.rag), "generate_image").invoke({"prompt": "a heart"})
    assert text.startswith("aligned: ")


async def test_sync_inside_a_loop_too(stage: Any) -> None:
    answer = tool(as_tools(stage.rag), "search_references").invoke(call("search_references", query="hearts"))
    assert '"Heart 1"' in answer.content


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("generate_image", {"prompt": ""}, "not done: prompt"),
        ("generate_image", {"prompt": "x" * 100_000}, "not done: prompt: 100,000 characters are too many"),
        ("generate_image", {"prompt": "a heart", "quality": "best"}, "quality: there is no such argument"),
        ("generate_image", {"prompt": "a heart", "library": "none"}, "no library 'none'"),
        ("generate_image", {"prompt": "a heart", "initial_image": "/etc/passwd"}, "'/etc/passwd' is not a file below"),
        ("generate_image", {"prompt": "a heart", "initial_image": "file:///etc/passwd"}, "is not read"),
        ("generate_image", {"prompt": "a heart", "initial_image": "http://127.0.0.1/x.png"}, "not fetched"),
        ("continue_run", {"run_id": "run-of-nobody"}, "no run 'run-of-nobody'"),
        ("view_image", {"image_id": "ab" * 32}, "there is no image"),
        ("ask_library", {"question": "x", "library": "none"}, "no library 'none'"),
    ],
)
async def test_what_is_wrong_comes_back_in_one_line(
    stage: Any, name: str, arguments: dict[str, Any], words: str
) -> None:
    answer = await tool(as_tools(stage.rag), name).ainvoke(call(name, **arguments))
    assert answer.status == "error"
    assert words in answer.content
    assert "\n" not in answer.content
    assert "imagerag " not in answer.content, "an assistant has no command line"


def base64_in(value: Any) -> bool:
    return re.search(r"[A-Za-z0-9+/=]{200}", json.dumps(value)) is not None


async def test_pixels_only_where_they_were_asked_for(stage: Any) -> None:
    tools = as_tools(stage.rag)
    drawn = await tool(tools, "generate_image").ainvoke(call("generate_image", prompt="a heart"))
    uri = drawn.artifact["data"]["image"]["uri"]
    others = [
        await tool(tools, "search_references").ainvoke(call("search_references", query="hearts")),
        await tool(tools, "search_references").ainvoke(call("search_references", image=uri)),
    ]
    for answer in (drawn, *others):
        assert isinstance(answer.content, str)
        assert not base64_in([answer.content, answer.artifact["data"], answer.artifact["document"]])
    assert drawn.artifact["images"][uri] == await stage.rag.runs.image_bytes(uri.removeprefix("image://"))

    seen = await tool(tools, "view_image").ainvoke(call("view_image", image_id=uri, max_side=64))
    told, block = seen.content
    assert (told["type"], block["type"], set(block)) == ("text", "image", {"type", "base64", "mime_type"})
    assert len(block["base64"]) <= MAX_ENCODED


async def test_thumbnails_and_no_pixels_by_option(make_stage: Any) -> None:
    stage = make_stage([], [])
    shown = await tool(as_tools(stage.rag, thumbnails=True), "generate_image").ainvoke(
        call("generate_image", prompt="a heart")
    )
    assert [block["type"] for block in shown.content] == ["text", "image"]
    assert len(shown.content[1]["base64"]) <= MAX_ENCODED
    bare = await tool(as_tools(stage.rag, pixels=False), "generate_image").ainvoke(
        call("generate_image", prompt="a star")
    )
    assert bare.artifact["images"] == {}
    assert Path(bare.artifact["data"]["image"]["path"]).exists()


async def test_ceilings_hold_whatever_the_model_asks_for(make_stage: Any) -> None:
    stage = make_stage(*[["a heart"]] * 9)
    tools = as_tools(stage.rag, ceilings=RunLimits(max_calls=2))
    answer = await tool(tools, "generate_image").ainvoke(call("generate_image", prompt="a heart", max_calls=500))
    assert answer.content.startswith("budget spent: ")
    assert len(stage.generator.calls) + len(stage.judge.calls) == 2


async def test_files_below_an_allowed_folder_are_read(make_stage: Any, tmp_path: Path) -> None:
    from imagerag.tools.testing.fakes import sample_image

    stage = make_stage([])
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "dog.png").write_bytes(sample_image("dog"))
    tools = as_tools(stage.rag, inputs=InputPolicy.of([tmp_path / "mine"]))
    arguments = {"prompt": "my dog", "subjects": [{"image": "dog.png", "name": "my dog"}]}
    answer = await tool(tools, "generate_image").ainvoke(call("generate_image", **arguments))
    assert answer.content.startswith("aligned: ")
    assert 'the user\'s own "my dog"' in answer.content


async def test_a_cancelled_call_ends_the_run(make_stage: Any) -> None:
    stage = make_stage()
    stage.generator.latency_s = 60
    running = asyncio.create_task(
        tool(as_tools(stage.rag), "generate_image").ainvoke(call("generate_image", prompt="a heart"))
    )
    while not stage.generator.calls and not running.done():
        await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    (entry,) = await stage.rag.runs.list()
    assert entry.outcome == "cancelled"


def test_the_names_are_public() -> None:
    assert [one.name for one in imagerag.as_tools(ImageRAG(preset="sketch"))] == [
        "generate_image", "list_libraries", "search_references", "add_image", "continue_run", "ask_library",
        "view_image",
    ]  # fmt: skip


async def test_what_the_judge_says_is_not_what_the_assistant_says(make_stage: Any) -> None:
    asked = []

    def judge(prompt: str, image: Any) -> bool:
        asked.append(GenericFakeChatModel(messages=iter([AIMessage("word of the judge")])).invoke(prompt).content)
        return True

    stage = make_stage(judge)
    given = {"messages": [AIMessage("", tool_calls=[call("generate_image", prompt="a heart")])]}
    graph = tool_graph(as_tools(stage.rag))
    stream = graph.astream(given, stream_mode="messages", subgraphs=True)
    heard = [message.content async for _, (message, _) in stream]
    assert asked == ["word of the judge"]
    assert [words for words in heard if "judge" in words and not words.startswith("aligned: ")] == []
