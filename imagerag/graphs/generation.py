"""The generation graph: the image of the product.

draw → look → name what is missing → find it in the user's own images → draw again, until the judge agrees or the
retries are spent. Nodes are in `agent/nodes.py`, the decisions between them in `agent/routing.py`.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from inspect import iscoroutinefunction
from typing import Any, Final

from langgraph.errors import NodeError
from langgraph.graph import END, START
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command, Overwrite, RetryPolicy, Send

from imagerag.agent import routing
from imagerag.agent.calls.error_calls import calls_from_error
from imagerag.agent.errors import StorageError
from imagerag.agent.node_input import decided, has_finished, in_run
from imagerag.agent.nodes import Nodes
from imagerag.agent.outcomes import restore_exception, result_from_error
from imagerag.agent.retry_policy import after_payment, busy, is_retryable, requested_delay
from imagerag.agent.state import RunInput, RunOutput, RunState, SearchTask
from imagerag.agent.types import RunConfig
from imagerag.graphs.checked_graph import CheckedGraph
from imagerag.graphs.start_node import Begin, new_key, start_run

Warned = Callable[[str], Awaitable[Sequence[str]]]
"""What is likely to go wrong with a prompt."""


BLANK: Final[Mapping[str, Any]] = {
    "result": Overwrite(None),
    "best": None,
    "attempts": [],
    "requirements": [],
    "concepts": [],
    "concept_tries": 0,
    "queries": [],
    "searches": Overwrite([]),
    "chosen": [],
    "tracked_concepts": [],
    "calls": Overwrite([]),
    "judged_prompt": None,
    "runs": 1,
    "run_key": new_key,
}
"""What a run has before its first step, whatever the run before it on the thread has left."""


class Workflow(CheckedGraph[RunState, RunInput, RunOutput]):
    """The generation graph. Every input begins a run of its own, on whatever thread."""

    blank = BLANK

    def __init__(self, begin: Begin) -> None:
        super().__init__(begin, RunState, RunInput, RunOutput)
        self._warned: Warned | None = None
        self._warns_in_answer = False

    def warn_with(self, warned: Warned, *, in_answer: bool = False) -> "Workflow":
        """The same, where what is likely to go wrong with a prompt is written into the state before its run begins.

        Args:
            in_answer: give it back with the run's outcome, too; inside another graph it could be taken for that one's.
        """
        self._warned, self._warns_in_answer = warned, in_answer
        return self

    def compile(self, *args: Any, **options: Any) -> CompiledStateGraph[RunState, RunConfig, RunInput, RunOutput]:
        """As any graph is compiled."""
        graph = super().compile(*args, **options)
        if self._warns_in_answer:
            graph.output_channels = [*graph.output_channels, "warnings"]
        return graph

    async def _begun(self, graph_input: Any) -> Mapping[str, Any]:
        values = await super()._begun(graph_input)
        if self._warned is None or values["warnings"]:  # whoever started it has looked already
            return values
        return {**values, "warnings": list(await self._warned(values["prompt"]))}


NODES: Final = frozenset(name for name in vars(Nodes) if iscoroutinefunction(vars(Nodes)[name]) and name[0] != "_")


TRIES: Final = 3
"""How often a step that fails is tried, where a service is not just asked too often."""

RETRY: Final = (
    RetryPolicy(max_attempts=6, initial_interval=0.1, backoff_factor=1.0, retry_on=requested_delay),
    RetryPolicy(max_attempts=6, initial_interval=1.0, backoff_factor=3.0, max_interval=30.0, retry_on=busy),
    RetryPolicy(max_attempts=TRIES, initial_interval=5.0, backoff_factor=5.0, retry_on=after_payment),
    RetryPolicy(max_attempts=TRIES, initial_interval=0.5, backoff_factor=4.0, retry_on=is_retryable),
)
"""The first that fits an error counts (see `agent/retry_policy.py`)."""


def give_up(state: RunState, error: NodeError) -> Command[Any]:
    """A node failed for good: the attempts so far are kept, and the run ends by name instead of with an exception."""
    failure = restore_exception(error.error)
    if isinstance(failure, StorageError):
        return _left_open(state, error, failure)
    finished = error.node not in NODES and has_finished(state)  # a node of the user's own may come after `finish`
    result = None if finished else state.get("result")
    update = {"result": result or result_from_error(failure, error.node), "calls": calls_from_error(failure)}
    return Command(update=update, goto=[] if finished or error.node == "finish" else "finish")


def _left_open(state: RunState, error: NodeError, failure: StorageError) -> Command[Any]:
    """A full disk ends no run: it is left as after a crash, and the step is done anew when it is resumed."""
    cause: object = error.error  # after a kill it is the error's repr, all that LangGraph stores
    if isinstance(cause, BaseException):
        raise failure
    return Command(goto=[Send(error.node, state)])


def build_workflow(nodes: Nodes, *, retry: RetryPolicy | Sequence[RetryPolicy] = RETRY) -> Workflow:
    """The uncompiled graph of these nodes: add to it what is your own, then compile it.

    Args:
        nodes: the nodes, bound to their ports; a subclass of `Nodes` does a step in its own way.
        retry: how often and how patiently a failing backend is asked again.
    """

    async def begin(graph_input: Any) -> Mapping[str, Any]:
        return await start_run(graph_input, nodes.generator, library=nodes.library, blobs=nodes.blobs)

    return (
        Workflow(begin)
        .set_node_defaults(retry_policy=retry, error_handler=give_up)  # type: ignore[arg-type]  # it injects the error
        .add_node("generate", in_run(nodes.generate))
        .add_node("critique", in_run(nodes.critique))
        .add_node("extract_concepts", in_run(nodes.extract_concepts))
        .add_node("write_captions", in_run(nodes.write_captions))
        .add_node("retrieve", in_run(nodes.retrieve), input_schema=SearchTask)
        .add_node("shortlist", in_run(nodes.shortlist))
        .add_node("select", in_run(nodes.select))
        .add_node("regenerate", in_run(nodes.regenerate))
        # Deferred: searches run side by side, and where one fails for good the others are still to be joined. A run
        # that had ended before they were would take them for the start of another.
        .add_node("finish", in_run(nodes.finish), defer=True)
        .add_conditional_edges(START, decided(routing.route_after_start), ["generate", "retrieve"])
        .add_edge("generate", routing.NEXT["generate"])
        .add_conditional_edges(
            "critique", decided(routing.route_after_critique), ["extract_concepts", "regenerate", "finish"]
        )
        .add_conditional_edges(
            "extract_concepts",
            decided(routing.route_after_extraction),
            ["extract_concepts", "write_captions", "retrieve", "finish"],
        )
        .add_conditional_edges(
            "write_captions", decided(routing.route_after_captions), ["retrieve", "extract_concepts", "finish"]
        )
        .add_edge("retrieve", routing.NEXT["retrieve"])
        .add_conditional_edges(
            "shortlist",
            decided(routing.route_after_shortlist),
            ["select", "regenerate", "generate", "extract_concepts", "retrieve", "finish"],
        )
        .add_conditional_edges("select", routing.route_after_selection, ["regenerate", "generate", "finish"])
        .add_edge("regenerate", routing.NEXT["regenerate"])
        .add_edge("finish", END)
    )
