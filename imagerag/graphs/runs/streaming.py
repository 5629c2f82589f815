"""Stream of a running graph, as fields of events."""

from collections.abc import AsyncGenerator, Mapping
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.types import Command, Durability

from imagerag.agent.state import RunInput
from imagerag.agent.types import Progress, RunConfig
from imagerag.graphs.graph_cache import Graph


async def steps(
    graph: Graph,
    graph_input: RunInput | Command[Any] | None,
    thread_config: RunnableConfig,
    *,
    config: RunConfig,
    durability: Durability,
) -> AsyncGenerator[dict[str, Any]]:
    """Fields of events: of nodes at work (what they write as custom stream), and of those that have finished.

    A search's undecided candidates are part of the shortlist's step. With a custom stream LangGraph tells of an update
    before it is kept; here it is told when the next step begins, so that whoever leaves then loses nothing.
    """
    finished: list[dict[str, Any]] = []
    stream = graph.astream(
        graph_input,
        thread_config,
        context=config,
        stream_mode=["updates", "custom", "tasks"],
        durability=durability,
        version="v2",
    )
    async for chunk in stream:
        data = cast("Mapping[str, Any]", chunk["data"])
        if chunk["type"] == "custom":
            progress = Progress.model_validate(data["progress"])
            yield {"kind": "progress", "node": data["node"], "progress": progress}
        elif chunk["type"] == "updates":
            finished += _steps_of(data)
        elif "result" not in data:  # a task begins
            for step in finished:
                yield step
            finished = []
    for step in finished:
        yield step


def _steps_of(updates: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"kind": "step", "node": "give_up" if "error_handler" in node else node, "update": update or {}}
        for node, update in updates.items()
        if not node.startswith("__")  # what is not of a node: a question, or that its answer was there already
    ]
