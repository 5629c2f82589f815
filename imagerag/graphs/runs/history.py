"""Steps of a run, read from its checkpoints: the node, what it changed and asked, how long it took.

Steps are numbered as people and `replay` name them: 0 is the input, then one per node that ran, in order. Searches that
ran side by side share a superstep and are listed one after the other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal, cast

from langgraph.types import PregelTask, StateSnapshot

from imagerag.agent.errors import UnknownRunError
from imagerag.agent.state import RunInput
from imagerag.agent.types import ModelCall, Outcome, cost_of_calls
from imagerag.formatting.interface_terms import python_call
from imagerag.graphs.dependencies import Dependencies
from imagerag.graphs.earlier_versions import check_version

StepStatus = Literal["done", "failed", "pending", "waiting"]


@dataclass(frozen=True)
class Change:
    """One channel of the state, before and after a step; None where there was nothing."""

    before: Any
    after: Any


@dataclass(frozen=True, kw_only=True)
class Step:
    """One node's work.

    Attributes:
        index: 0 for the input, counting up.
        superstep: LangGraph's own count, -1 for the input; searches that ran side by side share one.
        node: the node's name; "input" for step 0 ("state" where the steps before it were not kept), "cancel" for a run
            that was cancelled, "update" for a state that was written by hand, as forks do.
        status: "pending" is where the run stands, or stood when it was killed; "waiting" waits for a human; "failed"
            for good, so that the run was ended by name.
        before: id of the checkpoint the node began from; replaying from this step forks it. None for the input.
        after: id of the checkpoint that holds what it did; None while there is none.
        at: when it was finished, ISO 8601; None while it is not.
        elapsed_s: seconds from the checkpoint before to the one after; side by side, they share it. 0 for what was
            done by hand: nobody counts how long that took.
        changes: what it changed, by channel. Images by hash.
        calls: the model calls it made, answers from the journal among them.
        next: the nodes that follow its superstep.
        error: why it failed.
    """

    index: int
    superstep: int
    node: str
    status: StepStatus = "done"
    before: str | None = None
    after: str | None = None
    at: str | None = None
    elapsed_s: float = 0.0
    changes: Mapping[str, Change] = field(default_factory=dict)
    calls: tuple[ModelCall, ...] = ()
    next: tuple[str, ...] = ()
    error: str | None = None

    @property
    def cost_usd(self) -> float | None:
        """Cost of its calls; None when the price of any is not known."""
        return cost_of_calls(self.calls)


async def steps(dependencies: Dependencies, run_id: str) -> list[Step]:
    """The steps of a run, oldest first; for a run that stopped, the last ones are where it stopped.

    Raises:
        UnknownRunError: no run of that id has made a step.
        RunStateError: an earlier version of imagerag made it.
    """
    from imagerag.graphs.graph_cache import reading_graph

    async with dependencies.checkpoints() as saver:
        graph = reading_graph(dependencies, saver)
        history = [snapshot async for snapshot in graph.aget_state_history({"configurable": {"thread_id": run_id}})]
    if not history:
        raise UnknownRunError(f"no run {run_id!r}: {python_call('runs.list')} lists them")
    check_version(history[0].values, f"run {run_id}")
    return steps_of(history)


def steps_of(history: Sequence[StateSnapshot]) -> list[Step]:
    """The steps that led to the newest of these snapshots.

    Args:
        history: a thread's snapshots, newest first; other branches of it are left out.
    """
    chain = _chain(history)
    steps = [_first(chain)]
    for snapshot, after in zip(chain, [*chain[1:], None], strict=True):
        if after is not None and _source(after) in ("update", "fork"):
            # What the nodes that were next have written here, they wrote for another branch, or in vain.
            steps += _by_hand(len(steps), snapshot, after)
            continue
        tasks = [task for task in snapshot.tasks if task.name != "__start__"]
        for task in tasks:
            steps.append(_step(len(steps), snapshot, task, after, alone=len(tasks) == 1))
    return steps


def _chain(history: Sequence[StateSnapshot]) -> list[StateSnapshot]:
    """The newest snapshot and those it came from, oldest first, back to its run's input: runs can share a thread."""
    by_id = {_id(snapshot): snapshot for snapshot in history}
    chain, at = [], cast("StateSnapshot | None", history[0])
    while at is not None:
        chain.append(at)
        if _source(at) == "input":
            break
        at = by_id.get(_id(at, parent=True))
    return chain[::-1]


def _id(snapshot: StateSnapshot, *, parent: bool = False) -> str:
    config = snapshot.parent_config if parent else snapshot.config
    return str((config or {}).get("configurable", {}).get("checkpoint_id", ""))


def _source(snapshot: StateSnapshot) -> str:
    return str((snapshot.metadata or {}).get("source", ""))


def _superstep(snapshot: StateSnapshot) -> int:
    return int((snapshot.metadata or {}).get("step", -1))


def _first(chain: Sequence[StateSnapshot]) -> Step:
    """The input: what the run was asked for."""
    if _source(chain[0]) in ("loop", "update"):  # "update": a run that goes on from another begins with its state
        node = "state" if _source(chain[0]) == "loop" else "input"
        after, values = chain[0], dict(chain[0].values)
    else:
        after, node = chain[1] if chain[1:] else chain[0], "input"
        result = next((task.result for task in chain[0].tasks if isinstance(task.result, dict)), {})
        values = {name: value for name, value in result.items() if name in RunInput.__annotations__}
    return Step(
        index=0,
        superstep=_superstep(chain[0]),
        node=node,
        after=_id(after),
        at=after.created_at,
        changes=_changes({}, values),
        calls=tuple(values.get("calls") or ()),
        next=after.next,
    )


def _step(index: int, snapshot: StateSnapshot, task: PregelTask, after: StateSnapshot | None, *, alone: bool) -> Step:
    update: Mapping[str, Any] = task.result if isinstance(task.result, dict) else {}
    if alone and after is not None:
        # The state is sure to be of this branch; a task's own writes may be another's that began here too.
        update = {**after.values, "calls": (after.values.get("calls") or [])[len(snapshot.values.get("calls") or []) :]}
    elif task.error and after is not None:
        update = {"result": after.values.get("result")}
    finished = bool(task.result) or after is not None
    return Step(
        index=index,
        superstep=_superstep(snapshot) + 1,
        node=task.name,
        status="failed" if task.error else "waiting" if task.interrupts and after is None else _DONE[finished],
        before=_id(snapshot),
        after=_id(after) if after is not None else None,
        at=after.created_at if after is not None else None,
        elapsed_s=_seconds(snapshot, after),
        changes=_changes(snapshot.values, update),
        calls=tuple(update.get("calls") or ()),
        next=after.next if after is not None else (),
        error=str(task.error) if task.error else None,
    )


_DONE: Final[Mapping[bool, StepStatus]] = {True: "done", False: "pending"}


def _by_hand(index: int, snapshot: StateSnapshot, after: StateSnapshot) -> list[Step]:
    changes = _changes(snapshot.values, after.values)
    if not changes:  # a fork that changed nothing goes on as if it were the run itself
        return []
    result = after.values.get("result") if "result" in changes else None
    step = Step(
        index=index,
        superstep=_superstep(after),
        node="cancel" if result and result.outcome is Outcome.CANCELLED else "update",
        before=_id(snapshot),
        after=_id(after),
        at=after.created_at,
        changes=changes,
        next=after.next,
    )
    return [step]


def _changes(state: Mapping[str, Any], update: Mapping[str, Any]) -> dict[str, Change]:
    """Changes that an update makes in a state; an empty value in place of none is no change, and calls are separate."""
    return {
        name: Change(state.get(name), value)
        for name, value in update.items()
        if name != "calls" and state.get(name) != value and not (state.get(name) in _EMPTY and value in _EMPTY)
    }


_EMPTY: Final[tuple[Any, ...]] = (None, [], "")


def _seconds(before: StateSnapshot, after: StateSnapshot | None) -> float:
    if after is None or not before.created_at or not after.created_at:
        return 0.0
    return (datetime.fromisoformat(after.created_at) - datetime.fromisoformat(before.created_at)).total_seconds()
