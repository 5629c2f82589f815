"""The graph of a chat on fakes, with real checkpoints: what a message begins, and that nothing is paid for twice."""

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from imagerag.agent.errors import RefusalError, UsageError
from imagerag.agent.run_record import RunRecord
from imagerag.agent.types import Outcome
from imagerag.chat.graph import build_chat
from imagerag.chat.messages import MessageReader
from imagerag.chat.runs import ChatRuns
from imagerag.files.access_policy import InputPolicy
from imagerag.graphs.configuration.settings import Settings
from imagerag.graphs.dependencies import Dependencies
from imagerag.graphs.runs.removal import remove_runs
from imagerag.graphs.runs.runner import Runner
from imagerag.store.data_dir import DataDir
from imagerag.tools.testing.fakes import ScriptedGenerator, ScriptedJudge, ScriptedLibrary, sample_image

SETTINGS = Settings(
    preset="sketch", generator="scripted", judge="scripted", embedder="sketch", library="scripted", size="64x64"
)


class AgreeingJudge(ScriptedJudge):
    """Finds everything where nothing is scripted."""

    def _next(self, queue: Any, method: str) -> Any:
        return super()._next(queue, method) if queue or method != "critique" else []


@dataclass
class Chat:
    """A chat on fakes, one thread of it."""

    runner: Runner
    generator: ScriptedGenerator
    judge: ScriptedJudge
    library: ScriptedLibrary
    saver: InMemorySaver

    @property
    def graph(self) -> Any:
        """The graph as a server makes it for every run: nothing of it is kept."""
        runs = ChatRuns(runner=self.runner, settings=SETTINGS)
        reader = MessageReader(blobs=self.runner.dependencies.blobs, inputs=InputPolicy())
        return build_chat(runs, reader).compile(checkpointer=self.saver)

    @property
    def thread(self) -> Any:
        return {"configurable": {"thread_id": "thread"}}

    async def say(self, content: Any, **context: Any) -> dict[str, Any]:
        values: dict[str, Any] = await self.graph.ainvoke(
            {"messages": [{"role": "user", "content": content}]}, self.thread, context=context or None
        )
        return values

    async def answer(self, value: Any) -> dict[str, Any]:
        values: dict[str, Any] = await self.graph.ainvoke(Command(resume=value), self.thread)
        return values

    async def record(self, values: dict[str, Any]) -> RunRecord:
        return await self.runner.record(values["run_id"])


@pytest.fixture
def chat(tmp_path: Path) -> Chat:
    return made(tmp_path)


def made(root: Path) -> Chat:
    dependencies = Dependencies(DataDir.find(root / "home"))
    fakes = ScriptedGenerator(), AgreeingJudge(), ScriptedLibrary()
    for role, fake in zip(("generator", "judge", "library"), fakes, strict=True):
        dependencies.use(role, "scripted", fake)  # type: ignore[arg-type]
    return Chat(Runner(dependencies=dependencies), *fakes, InMemorySaver())


def text_of(message: Any) -> str:
    return message.content if isinstance(message.content, str) else str(message.content[0]["text"])


async def test_a_run_that_was_killed_is_resumed_and_not_paid_for_twice(chat: Chat) -> None:
    await killed(chat, "a scene")
    (state,) = [one async for one in chat.graph.aget_state_history(chat.thread) if one.next == ("draw",)]
    assert len(chat.generator.calls) == 1
    done = await chat.graph.ainvoke(None, chat.thread)
    assert done["run_id"] == state.values["run_id"]
    assert (await chat.record(done)).outcome is Outcome.ALIGNED
    assert len(chat.generator.calls) == 1


async def killed(chat: Chat, prompt: str) -> None:
    """Say something, and leave the run while it is judged, as `kill -9` does."""
    runner, chat.runner = chat.runner, replace(chat.runner, left_open=True)
    chat.judge.latency_s = 60
    saying = asyncio.ensure_future(chat.say(prompt))
    while not chat.judge.calls:
        await asyncio.sleep(0.01)
    saying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await saying
    chat.judge.latency_s, chat.runner = 0, runner


async def test_a_message_after_one_that_was_refused_changes_the_image_before(chat: Chat) -> None:
    first = await chat.record(await chat.say("a scene"))
    for refused in ("x" * 1_001, ""):
        with pytest.raises(UsageError):
            await chat.say(refused)
    record = await chat.record(await chat.say("make it red"))
    assert (record.feedback, record.parent_run.run_id) == (["make it red"], first.run_id)


async def test_a_message_after_a_run_that_was_killed_is_a_prompt(chat: Chat) -> None:
    await killed(chat, "a scene")
    record = await chat.record(await chat.say("another scene"))
    assert (record.prompt, record.outcome, record.parent_run) == ("another scene", Outcome.ALIGNED, None)


async def test_a_step_that_is_done_again_replies_with_the_same_image(chat: Chat) -> None:
    """Such as after a crash between the run's end and the checkpoint, or with agent-chat-ui's button."""
    done = await chat.say("a scene")
    states = [one async for one in chat.graph.aget_state_history(chat.thread)]
    for node in ("receive", "draw", "reply"):
        (state,) = [one for one in states if one.next == (node,)]
        again = await chat.graph.ainvoke(None, state.config)
        assert [(one.id, one.content) for one in again["messages"]] == [(m.id, m.content) for m in done["messages"]]
    assert len(chat.generator.calls) == 1


async def test_a_choice_is_made_in_every_round_that_asks(chat: Chat) -> None:
    chat.judge.enqueue(["a heart"], ["a star"], [])
    for name in ("heart", "star"):
        chat.library.plant(f"a detailed picture of a {name}", sample_image(name))
    first = await chat.say("a scene", select=True)
    assert "a heart" in first["__interrupt__"][0].value["description"]
    second = await chat.answer([{"type": "accept", "args": None}])
    assert "a star" in second["__interrupt__"][0].value["description"]
    assert second["run_id"] == first["run_id"]
    done = await chat.answer([{"type": "ignore", "args": None}])
    record = await chat.record(done)
    assert record.status == "ended"
    assert [one.selected_by for one in record.attempts[1].references] == ["by_hand"]
    asked = [one.id for one in done["messages"] if one.type == "ai"]
    assert len(asked) == len(set(asked)) == 3


async def test_an_answer_is_not_taken_for_another_question(chat: Chat) -> None:
    """The step is done again though the run has gone on: to the next question."""
    chat.judge.enqueue(["a heart"], ["a star"], [])
    for name in ("heart", "star"):
        chat.library.plant(f"a detailed picture of a {name}", sample_image(name))
    await chat.say("a scene", select=True)
    await chat.answer([{"type": "accept", "args": None}])
    states = [one async for one in chat.graph.aget_state_history(chat.thread)]
    state = next(one for one in states if one.next == ("draw",) and one.values["selection"])
    drawn = len(chat.generator.calls)
    again = await chat.graph.ainvoke(None, state.config)
    assert "a star" in again["__interrupt__"][0].value["description"]
    assert len(chat.generator.calls) == drawn


async def test_a_following_message_goes_on_and_its_images_begin_anew(chat: Chat) -> None:
    first = await chat.say("a scene", max_rounds=1)
    second = await chat.say("with a hat", max_calls=7)
    record = await chat.record(second)
    assert record.parent_run is not None
    assert record.parent_run.run_id == first["run_id"]
    assert record.setup is not None
    assert (record.setup.config.max_calls, record.setup.config.max_rounds) == (7, 2)
    assert record.feedback == ["with a hat"]
    assert "with a hat" in chat.generator.calls[-1].arguments["prompt"]
    content = [{"type": "text", "text": "my cat"}, {"type": "image", "url": f"image://{await kept(chat, 'my cat')}"}]
    third = await chat.record(await chat.say(content))
    assert (third.prompt, third.parent_run) == ("my cat", None)
    assert third.attempts[0].references[0].role == "subject"


async def kept(chat: Chat, name: str) -> str:
    return (await chat.runner.dependencies.blobs.put(sample_image(name))).sha256


async def test_a_message_after_a_run_without_an_image_is_a_prompt(chat: Chat) -> None:
    chat.generator.enqueue(RefusalError("no"), sample_image("fine"))
    first = await chat.say("something bad")
    assert "**Refused**" in text_of(first["messages"][-1])
    assert "write another prompt" in text_of(first["messages"][-1])
    second = await chat.record(await chat.say("a scene"))
    assert (second.prompt, second.outcome, second.parent_run) == ("a scene", Outcome.ALIGNED, None)
    await remove_runs(chat.runner.dependencies, [await chat.runner.dependencies.runs.get(second.run_id)])
    third = await chat.record(await chat.say("another scene"))
    assert (third.prompt, third.parent_run) == ("another scene", None)


async def test_settings_and_context_make_the_setup_that_the_command_line_makes(chat: Chat) -> None:
    record = await chat.record(await chat.say("a scene", near_duplicate=0.9, retrieve_by="concept", max_cost_usd=0))
    assert record.setup is not None
    config = record.setup.config
    assert (config.near_duplicate, config.retrieve_by, config.max_cost_usd, str(config.size)) == (
        0.9,
        "concept",
        0,
        "64x64",
    )


async def test_a_setup_that_cannot_be_is_refused_and_the_chat_goes_on(chat: Chat) -> None:
    with pytest.raises(UsageError, match="hybrid"):
        await chat.say("a scene", hybrid=True)  # the fake library has no words
    assert (await chat.record(await chat.say("a scene"))).outcome is Outcome.ALIGNED


@pytest.mark.parametrize("node", ["__start__", "receive"])
async def test_what_is_written_into_a_thread_is_read_too(chat: Chat, node: str) -> None:
    data = {"type": "image", "base64": "AAAA"}
    message = {"role": "user", "content": [{"type": "text", "text": "a scene"}, data]}
    with pytest.raises(UsageError, match="not an image"):
        await chat.graph.aupdate_state(chat.thread, {"messages": [message]}, as_node=node)
    await chat.graph.aupdate_state(
        chat.thread, {"messages": [{"role": "user", "content": "a scene"}]}, as_node="__start__"
    )
    done = await chat.graph.ainvoke(None, chat.thread)
    assert (await chat.record(done)).outcome is Outcome.ALIGNED
