"""What users make of the generation graph: their own nodes, and what they do with it before it is compiled."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from imagerag.agent.nodes import Nodes
from imagerag.graphs.generation import Workflow, build_workflow

_OURS: Final = frozenset(build_workflow(Nodes.unbound()).nodes)


@dataclass(frozen=True)
class Extension:
    """How a graph is made of its ports.

    Attributes:
        nodes: `Nodes`, or a subclass that does some steps in its own way.
        workflow: `build_workflow`, or a function that calls it and adds to what it gives.
    """

    nodes: type[Nodes] = Nodes
    workflow: Callable[[Nodes], Workflow] = build_workflow

    @cached_property
    def own_steps(self) -> int:
        """How many nodes it adds."""
        return len(self.workflow(self.nodes.unbound()).nodes.keys() - _OURS)
