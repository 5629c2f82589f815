"""Compiled graphs, kept by the parts they are bound to: compiling takes as long as a dozen steps of a run."""

import threading
from collections import OrderedDict
from copy import copy
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from langgraph.graph.state import CompiledStateGraph

from imagerag.agent.state import RunInput, RunOutput, RunState
from imagerag.agent.types import RunConfig
from imagerag.graphs.dependencies import Backends, Dependencies
from imagerag.graphs.extensions import Extension

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver

Graph = CompiledStateGraph[RunState, RunConfig, RunInput, RunOutput]

KEPT: Final = 8
"""Programs hardly ever use more sets of parts at a time."""


class GraphCache:
    """The graphs of one home, those used last."""

    def __init__(self, dependencies: Dependencies) -> None:
        self._wiring = dependencies
        self._graphs: OrderedDict[tuple[object, ...], tuple[Backends, Graph]] = OrderedDict()
        self._lock = threading.Lock()

    def graph(self, parts: Backends, saver: "BaseCheckpointSaver[str]") -> Graph:
        """The graph bound to these parts, writing its checkpoints to `saver`."""
        key = (self._wiring.extension, *map(id, vars(parts).values()))
        with self._lock:
            # The parts are kept beside the graph, so that no other object gets one of their ids.
            _, cached = self._graphs.pop(key, (parts, None))
            graph = cached or self._compile(parts)
            self._graphs[key] = (parts, graph)
            while len(self._graphs) > KEPT:
                self._graphs.popitem(last=False)
        return _with_saver(graph, saver)

    def _compile(self, parts: Backends) -> Graph:
        return self._wiring.workflow(parts, self._wiring.answers).compile(name="imagerag")


def reading_graph(dependencies: Dependencies, saver: "BaseCheckpointSaver[str]") -> Graph:
    """The graph to read the checkpoints in `saver` with; it has no parts, and no run can be made with it."""
    return _with_saver(_without_parts(dependencies.extension), saver)


@lru_cache(maxsize=KEPT)
def _without_parts(extension: Extension) -> Graph:
    return extension.workflow(extension.nodes.for_diagram()).compile()


def _with_saver(graph: Graph, saver: "BaseCheckpointSaver[str]") -> Graph:
    bound = copy(graph)
    bound.checkpointer = saver
    return bound
