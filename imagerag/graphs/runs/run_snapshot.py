"""Snapshot of a run, read from its newest checkpoint without building the models that made it."""

import asyncio
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from langgraph.types import Interrupt, StateSnapshot

from imagerag.agent.errors import ImageRAGError, UnknownRunError
from imagerag.formatting.interface_terms import python_call
from imagerag.graphs.dependencies import Dependencies
from imagerag.graphs.earlier_versions import check_version
from imagerag.store.storage_errors import damaged_file


@dataclass(frozen=True, kw_only=True)
class RunSnapshot:
    """Snapshot of a run.

    Attributes:
        values: the state.
        question: what it waits to be told; None when it does not wait.
        interrupt_id: what an answer must name.
    """

    run_id: str
    values: Mapping[str, Any]
    question: dict[str, Any] | None = None
    interrupt_id: str = ""

    @classmethod
    def of(cls, run_id: str, snapshot: StateSnapshot) -> "RunSnapshot":
        """From a snapshot of the graph's state."""
        waiting: tuple[Interrupt, ...] = snapshot.interrupts
        if not waiting:
            return cls(run_id=run_id, values=snapshot.values)
        return cls(run_id=run_id, values=snapshot.values, question=waiting[0].value, interrupt_id=waiting[0].id)


def has_begun(values: Mapping[str, Any]) -> bool:
    """Whether a run of this state has its input. LangGraph's first checkpoint has it only beside the state: a run that
    was stopped there has nothing to go on with, and can be started."""
    return "prompt" in values


async def read_snapshot(dependencies: Dependencies, run_id: str) -> RunSnapshot:
    """Snapshot of a run.

    Raises:
        UnknownRunError: no run of that id has made a step.
        RunStateError: an earlier version of imagerag made it.
        DamagedFileError: its steps cannot be read.
    """
    from imagerag.graphs.graph_cache import reading_graph

    if not await asyncio.to_thread(dependencies.home.checkpoints.exists):  # looking makes no file
        raise UnknownRunError(f"no run {run_id!r}: {python_call('runs.list')} lists them")
    async with dependencies.checkpoints() as saver:
        graph = reading_graph(dependencies, saver)
        try:
            snapshot = await graph.aget_state({"configurable": {"thread_id": run_id}})
        except (ImageRAGError, sqlite3.Error):
            raise
        except Exception as error:  # bytes that SQLite gives back may be anything
            why = f"the steps of run {run_id} cannot be read: {type(error).__name__}: {error}"
            raise damaged_file(dependencies.home.checkpoints, why) from error
    if not has_begun(snapshot.values):
        raise UnknownRunError(f"no run {run_id!r}: {python_call('runs.list')} lists them")
    check_version(snapshot.values, f"run {run_id}")
    return RunSnapshot.of(run_id, snapshot)
