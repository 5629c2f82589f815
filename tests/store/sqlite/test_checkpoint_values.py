"""Values of checkpoints are kept once for their thread, and come back as they were."""

import asyncio
import operator
import sqlite3
from contextlib import closing
from typing import Annotated, Any, TypedDict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langgraph.checkpoint.base import empty_checkpoint
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph

from imagerag.agent.errors import DamagedFileError
from imagerag.store.sqlite.checkpoint_types import open_checkpointer
from imagerag.store.sqlite.salvage import salvage

LONG = "word " * 40


class State(TypedDict):
    text: str
    told: Annotated[list[str], operator.add]


def looping(rounds: int) -> Any:
    async def step(state: State) -> dict[str, Any]:
        return {"told": [f"{LONG}{len(state['told'])}"]}

    def onward(state: State) -> str:
        return "step" if len(state["told"]) < rounds else END

    return StateGraph(State).add_node("step", step).add_edge(START, "step").add_conditional_edges("step", onward)


def config(thread: str) -> Any:
    return {"configurable": {"thread_id": thread}}


async def told(graph: Any, thread: str) -> list[Any]:
    """A thread's history without what names and dates it."""
    return [
        (one.values, one.next, one.metadata, [(task.name, task.result, task.error) for task in one.tasks])
        async for one in graph.aget_state_history(config(thread))
    ]


async def test_history_is_that_of_langgraphs_own_saver_and_no_value_is_there_twice(tmp_path):
    plain = looping(6).compile(checkpointer=InMemorySaver())
    await plain.ainvoke({"text": LONG, "told": []}, config("run"))
    async with open_checkpointer(tmp_path / "runs.sqlite") as saver:
        graph = looping(6).compile(checkpointer=saver)
        await graph.ainvoke({"text": LONG, "told": []}, config("run"), durability="sync")
        assert await told(graph, "run") == await told(plain, "run")
    async with open_checkpointer(tmp_path / "runs.sqlite") as saver:
        assert await told(looping(6).compile(checkpointer=saver), "run") == await told(plain, "run")
    with closing(sqlite3.connect(tmp_path / "runs.sqlite")) as connection:
        kept = connection.execute("SELECT count(*), count(DISTINCT id) FROM checkpoint_values").fetchone()
        assert kept[0] == kept[1] > 6
        assert connection.execute("SELECT count(*) FROM writes WHERE value LIKE '%word word%'").fetchone() == (0,)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**31), 2**31) | st.text(max_size=200) | st.binary(max_size=200),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3), min_size=1, max_size=4))
def test_whatever_was_put_comes_back(tmp_path_factory, steps):
    async def both() -> None:
        async with open_checkpointer(tmp_path_factory.mktemp("x") / "runs.sqlite") as saver:
            at: Any = {"configurable": {"thread_id": "t", "checkpoint_ns": ""}}
            for number, values in enumerate(steps):
                checkpoint = {**empty_checkpoint(), "channel_values": values}
                at = await saver.aput(at, checkpoint, {"step": number}, {})
                await saver.aput_writes(at, list(values.items()), "task")
                found = await saver.aget_tuple(at)
                assert found.checkpoint == checkpoint
                assert [write[1:] for write in found.pending_writes] == list(values.items())
            assert len([one async for one in saver.alist({"configurable": {"thread_id": "t"}})]) == len(steps)

    asyncio.run(both())


async def test_a_list_that_was_added_to_is_kept_as_it_is_now(tmp_path):
    """The same object, changed: its channel has another version."""
    async with open_checkpointer(tmp_path / "runs.sqlite") as saver:
        at: Any = {"configurable": {"thread_id": "t", "checkpoint_ns": ""}}
        growing: list[str] = []
        for version in range(3):
            growing.append(LONG)
            checkpoint = {**empty_checkpoint(), "channel_values": {"a": growing}, "channel_versions": {"a": version}}
            at = await saver.aput(at, checkpoint, {}, {})
            assert len((await saver.aget_tuple(at)).checkpoint["channel_values"]["a"]) == version + 1


async def test_a_write_that_was_taken_back_is_written_whole_the_next_time(tmp_path, monkeypatch):
    """A transaction that fails takes the values with it; what is remembered of them is not taken for kept."""
    async with open_checkpointer(tmp_path / "runs.sqlite") as saver:
        at: Any = {"configurable": {"thread_id": "t", "checkpoint_ns": ""}}
        checkpoint = {**empty_checkpoint(), "channel_values": {"a": LONG}, "channel_versions": {"a": 1}}
        good = saver.put

        def fails(*given: Any) -> Any:
            good(*given)
            raise RuntimeError("the disk is gone")

        monkeypatch.setattr(saver, "put", fails)
        with pytest.raises(RuntimeError):
            await saver.aput(at, checkpoint, {}, {})
        monkeypatch.setattr(saver, "put", good)
        at = await saver.aput(at, checkpoint, {}, {})
        assert (await saver.aget_tuple(at)).checkpoint["channel_values"] == {"a": LONG}


@pytest.mark.parametrize("lost", [0, 1])
async def test_a_lost_value_is_told_and_salvage_drops_what_names_it(tmp_path, lost):
    path = tmp_path / "runs.sqlite"
    async with open_checkpointer(path) as saver:
        await looping(4).compile(checkpointer=saver).ainvoke({"text": LONG, "told": []}, config("run"))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "DELETE FROM checkpoint_values WHERE rowid > (SELECT max(rowid) - ? FROM checkpoint_values)", (lost,)
        )
        connection.commit()
    async with open_checkpointer(path) as saver:
        graph = looping(4).compile(checkpointer=saver)
        if lost:
            with pytest.raises(DamagedFileError, match="1 values of the steps of run are lost"):
                await graph.aget_state(config("run"))
        else:
            assert len((await graph.aget_state(config("run"))).values["told"]) == 4
    aside = tmp_path / "aside" / "runs.sqlite"
    aside.parent.mkdir()
    path.rename(aside)
    saved = salvage(aside, path)
    assert bool(saved.lost) == bool(lost)
    async with open_checkpointer(path) as saver:
        state = await looping(4).compile(checkpointer=saver).aget_state(config("run"))
        assert len(state.values["told"]) == 4  # what the last step wrote is kept beside the step before it, too


async def test_of_a_task_that_was_cancelled_while_it_wrote_only_that_is_kept(tmp_path):
    async with open_checkpointer(tmp_path / "runs.sqlite") as saver:
        at = await saver.aput({"configurable": {"thread_id": "t", "checkpoint_ns": ""}}, empty_checkpoint(), {}, {})
        await saver.aput_writes(at, [("a", 1), ("__error__", asyncio.CancelledError())], "cancelled")
        await saver.aput_writes(at, [("a", 1), ("branch:to:b", None)], "done")
        written = [(task, channel) for task, channel, _ in (await saver.aget_tuple(at)).pending_writes]
    assert sorted(written) == [("cancelled", "__error__"), ("done", "a"), ("done", "branch:to:b")]
