"""A state graph of which every input is checked first, and which notes the snapshots of libraries that it searches."""

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from langgraph.graph.state import CompiledStateGraph, StateGraph
from langgraph.typing import InputT, OutputT, StateT

from imagerag.agent.types import RunConfig, RunContext, SnapshotPins
from imagerag.graphs.start_node import Begin, start_update


class CheckedGraph(StateGraph[StateT, RunConfig, InputT, OutputT]):
    """An uncompiled graph. Every input begins anew, on a thread that had one too, and is checked first.

    Attributes:
        blank: what the state holds before the first step, whatever was in the thread before.
    """

    blank: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, begin: Begin, state: type[StateT], input_schema: type[InputT], output: type[OutputT]) -> None:
        super().__init__(state, RunContext, input_schema=input_schema, output_schema=output)
        self._begin = begin
        self._pins = SnapshotPins()

    def pin(self, snapshots: Mapping[str, str]) -> Self:
        """The same, which notes in the state the hashes of the snapshots that it searches."""
        self._pins = SnapshotPins(hashes=dict(snapshots))
        return self

    def compile(self, *args: Any, **options: Any) -> CompiledStateGraph[StateT, RunConfig, InputT, OutputT]:
        """As any graph is compiled."""
        pins: dict[str, Any] = {
            name: self._pins for name in ("snapshots", "question_snapshots") if name in self.channels
        }
        return start_update(super().compile(*args, **options), self._begun, {**self.blank, **pins})

    async def _begun(self, graph_input: Any) -> Mapping[str, Any]:
        return await self._begin(graph_input)
