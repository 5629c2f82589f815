"""Where a run stands, read from its newest checkpoint without building the models that made it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from langgraph.types import Interrupt, StateSnapshot

from imagerag.agent.errors import UnknownRunError
from imagerag.graphs.wiring import Wiring


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Where a run stands.

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
    def of(cls, run_id: str, snapshot: StateSnapshot) -> "Standing":
        """From a snapshot of the graph's state."""
        waiting: tuple[Interrupt, ...] = snapshot.interrupts
        if not waiting:
            return cls(run_id=run_id, values=snapshot.values)
        return cls(run_id=run_id, values=snapshot.values, question=waiting[0].value, interrupt_id=waiting[0].id)


async def read_standing(wiring: Wiring, run_id: str) -> Standing:
    """Where a run stands.

    Raises:
        UnknownRunError: no run of that id has made a step.
    """
    async with wiring.checkpoints() as saver:
        snapshot = (
            await wiring.workflow().compile(checkpointer=saver).aget_state({"configurable": {"thread_id": run_id}})
        )
    if not snapshot.values:
        raise UnknownRunError(f"no run {run_id!r}: imagerag runs lists them")
    return Standing.of(run_id, snapshot)
