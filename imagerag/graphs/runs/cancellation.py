"""Cancelling a run: its end is written with what it has."""

from collections.abc import Mapping
from typing import Any

from langchain_core.runnables import RunnableConfig

from imagerag.agent import clock
from imagerag.agent.calls.pending_calls import unrecorded_calls
from imagerag.agent.outcomes import best_attempts
from imagerag.agent.run_record import RunRecord, run_record
from imagerag.agent.types import ModelCall, Outcome, RunResult, cost_of_calls
from imagerag.graphs.dependencies import Dependencies
from imagerag.graphs.graph_cache import Graph
from imagerag.graphs.runs.records import journal_name, list_cancelled, list_record, record_of
from imagerag.graphs.runs.run_snapshot import RunSnapshot, has_begun
from imagerag.store.run_index import RunEntry


async def cancel(
    dependencies: Dependencies, graph: Graph, thread_config: RunnableConfig, entry: RunEntry, *, left_open: bool = False
) -> RunRecord | None:
    """End the run as cancelled, keeping what it has, and list it; one that has ended meanwhile is listed as it did.

    Args:
        left_open: do not end it, so that it can be resumed.

    Returns:
        None for a run that had not made its first step.
    """
    snapshot = await graph.aget_state(thread_config)
    if left_open and not has_begun(snapshot.values):
        return None
    if not snapshot.values:
        await _list_unbegun(dependencies, entry)
        return None
    if left_open or snapshot.values.get("result"):
        record = record_of(dependencies, RunSnapshot.of(entry.run_id, snapshot))
    else:
        # Of a run that has not begun, LangGraph may yet write the input, where it was cancelled more than once.
        values = {"prompt": entry.prompt, **snapshot.values}
        record = await _end(dependencies, graph, thread_config, entry.run_id, values)
    await list_record(dependencies, record)
    return record


async def _list_unbegun(dependencies: Dependencies, entry: RunEntry) -> None:
    """List a run without a step as cancelled, with what its calls may have cost."""
    calls = await _unrecorded(dependencies, entry.run_id, {})
    requests = sum(call.requests for call in calls)
    await list_cancelled(dependencies, entry, cost_usd=cost_of_calls(calls), calls=requests)


async def _end(
    dependencies: Dependencies, graph: Graph, thread_config: RunnableConfig, run_id: str, values: Mapping[str, Any]
) -> RunRecord:
    calls = await _unrecorded(dependencies, run_id, values)
    best = best_attempts(values.get("attempts") or [])
    result = RunResult(outcome=Outcome.CANCELLED, reason="cancelled by the caller", at=clock.now())
    best_index = best[0].index if best else None
    update = {"prompt": values["prompt"], "result": result, "best": best_index, "calls": calls}
    await graph.aupdate_state(thread_config, update, as_node="finish")
    return run_record(run_id, {**values, **update, "calls": [*(values.get("calls") or []), *calls]})


async def _unrecorded(dependencies: Dependencies, run_id: str, values: Mapping[str, Any]) -> list[ModelCall]:
    """The calls of a run that its state does not hold: it was stopped during them."""
    async with dependencies.journal() as journal:
        return await unrecorded_calls(journal, journal_name(values, run_id), values.get("calls") or [])
