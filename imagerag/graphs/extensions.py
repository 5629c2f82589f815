"""Extensions of the generation graph: nodes and workflows of users."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from imagerag.agent.errors import UsageError
from imagerag.agent.nodes import Nodes
from imagerag.graphs.generation import Workflow, build_workflow


@dataclass(frozen=True)
class Extension:
    """The classes and functions that make a graph from its ports.

    Attributes:
        nodes: `Nodes`, or a subclass that does some steps in its own way.
        workflow: `build_workflow`, or a function that calls it and adds to what it gives.
    """

    nodes: type[Nodes] = Nodes
    workflow: Callable[[Nodes], Workflow] = build_workflow

    def __post_init__(self) -> None:
        """Check the types of both.

        Raises:
            UsageError: they are not.
        """
        if not (isinstance(self.nodes, type) and issubclass(self.nodes, Nodes)):
            raise UsageError(f"nodes has to be a subclass of imagerag.agent.nodes.Nodes, not {self.nodes!r:.80}")
        if not callable(self.workflow):
            raise UsageError(f"workflow has to be a function of the nodes, not {self.workflow!r:.80}")

    @cached_property
    def own_steps(self) -> int:
        """Number of nodes that it adds."""
        if self.workflow is build_workflow:
            return 0
        own = self.workflow(self.nodes.for_diagram()).nodes.keys()
        return len(own - build_workflow(Nodes.for_diagram()).nodes.keys())
