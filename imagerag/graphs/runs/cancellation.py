"""Cancelling a run: its end is written with what it has."""

from langchain_core.runnables import RunnableConfig

from imagerag.agent import clock
from imagerag.agent.calls.pending_calls import unrecorded_calls
from imagerag.agent.outcomes import best_attempts
from imagerag.agent.run_record import RunRecord, run_record
from imagerag.agent.types import ModelCall, Outcome, RunResult, cost_of_calls
from imagerag.graphs.dependencies import Dependencies
from imagerag.graphs.graph_cache import Graph
from imagerag.graphs.runs.records import journal_name, list_record
from imagerag.store.run_index import RunEntry


async def cancel(
    dependencies: Dependencies, graph: Graph, thread_config: RunnableConfig, entry: RunEntry
) -> RunRecord | None:
    """End the run as cancelled, keeping what it has; None when it had ended, or had not made its first step."""
    values = (await graph.aget_state(thread_config)).values
    recorded: list[ModelCall] = values.get("calls") or []
    async with dependencies.journal() as journal:
        calls = await unrecorded_calls(journal, journal_name(values, entry.run_id), recorded)
    if not values:
        await dependencies.runs.upsert(
            entry.run_id,
            status="ended",
            prompt=entry.prompt,
            outcome=Outcome.CANCELLED,
            library=entry.library,
            parent_run=entry.parent_run,
            cost_usd=cost_of_calls(calls),
            calls=sum(call.requests for call in calls),
        )
    if not values or values.get("result"):
        return None
    best = best_attempts(values.get("attempts") or [])
    result = RunResult(outcome=Outcome.CANCELLED, reason="cancelled by the caller", at=clock.now())
    update = {"result": result, "best": best[0].index if best else None, "calls": calls}
    await graph.aupdate_state(thread_config, update, as_node="finish")
    record = run_record(entry.run_id, {**values, **update, "calls": [*recorded, *calls]})
    await list_record(dependencies, record)
    return record
