"""Steps whose channels were named otherwise in earlier versions are read by their names of today."""

from pathlib import Path
from typing import Any, TypedDict

from langgraph.graph import END, START, StateGraph

from imagerag.store.sqlite.checkpoint_types import open_checkpointer


class Earlier(TypedDict, total=False):
    """A state as it was."""

    run_key: str
    ending: str
    ledger: list[str]


class Today(TypedDict, total=False):
    """The same state as it is."""

    run_key: str
    result: str
    tracked_concepts: list[str]


class Other(TypedDict, total=False):
    """A state of somebody else's graph."""

    ending: str


def graph(state: type[Any], update: dict[str, Any], saver: Any) -> Any:
    workflow: Any = StateGraph(state)
    workflow.add_node("finish", lambda _: update)
    workflow.add_edge(START, "finish")
    workflow.add_edge("finish", END)
    return workflow.compile(checkpointer=saver)


LONG = ["a blue background, kept once for its thread " * 3]


async def test_a_finished_run_of_an_earlier_version_is_finished(tmp_path: Path) -> None:
    thread: Any = {"configurable": {"thread_id": "old"}}
    async with open_checkpointer(tmp_path / "runs.sqlite", ()) as saver:
        before = graph(Earlier, {"ending": "aligned", "ledger": LONG}, saver)
        await before.ainvoke({"run_key": "k"}, thread)
        after = graph(Today, {}, saver)
        newest = await after.aget_state(thread)
        assert newest.values == {"run_key": "k", "result": "aligned", "tracked_concepts": LONG}
        steps = [step async for step in after.aget_state_history(thread)]
        assert [step.values.get("result") for step in steps] == ["aligned", None, None]
        written = [task.result for step in steps for task in step.tasks if task.name == "finish"]
        assert written == [{"result": "aligned", "tracked_concepts": LONG}]
        await after.aupdate_state(thread, {"result": "cancelled"})
        assert (await after.aget_state(thread)).values["result"] == "cancelled"


async def test_channels_of_another_graph_keep_their_names(tmp_path: Path) -> None:
    thread: Any = {"configurable": {"thread_id": "theirs"}}
    async with open_checkpointer(tmp_path / "runs.sqlite", ()) as saver:
        theirs = graph(Other, {"ending": "happy"}, saver)
        await theirs.ainvoke({}, thread)
        assert (await theirs.aget_state(thread)).values == {"ending": "happy"}
