"""The generation graph: the picture of the product.

draw → look → name what is missing → find it in the user's own pictures → draw again, until the judge agrees or the
retries are spent. Nodes are in `agent/nodes.py`, the decisions between them in `agent/routing.py`.
"""

from typing import Final, Literal

from langgraph.errors import NodeError
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, RetryPolicy

from imagerag.agent import routing
from imagerag.agent.calls import calls_of
from imagerag.agent.endings import ending_for, revived
from imagerag.agent.errors import BackendError
from imagerag.agent.nodes import Nodes
from imagerag.agent.state import RunInput, RunOutput, RunState, SearchTask
from imagerag.agent.tracing import traced
from imagerag.agent.types import Knobs

Workflow = StateGraph[RunState, Knobs, RunInput, RunOutput]


def can_help(error: Exception) -> bool:
    """Whether trying a node again can help: only when a backend says so."""
    return isinstance(error, BackendError) and error.retryable


RETRY: Final = RetryPolicy(max_attempts=3, initial_interval=0.5, backoff_factor=4.0, retry_on=can_help)


def give_up(state: RunState, error: NodeError) -> Command[Literal["finish"]]:
    """A node failed for good: the attempts so far are kept, and the run ends by name instead of with an exception."""
    failure = revived(error.error)
    finished = "best" in state  # a node of the user's own may come after `finish`
    ending = None if finished else state.get("ending")
    update = {"ending": ending or ending_for(failure, error.node), "calls": calls_of(failure)}
    return Command(update=update, goto=[] if finished or error.node == "finish" else "finish")


def build_workflow(nodes: Nodes, *, retry: RetryPolicy = RETRY) -> Workflow:
    """The uncompiled graph of these nodes: add to it what is your own, then compile it.

    Args:
        nodes: the nodes, bound to their ports; a subclass of `Nodes` does a step in its own way.
        retry: how often and how patiently a failing backend is asked again.
    """
    return (
        StateGraph(RunState, Knobs, input_schema=RunInput, output_schema=RunOutput)
        .set_node_defaults(retry_policy=retry, error_handler=give_up)  # type: ignore[arg-type]  # LangGraph injects error
        .add_node("generate", traced(nodes.generate))
        .add_node("critique", traced(nodes.critique))
        .add_node("extract_concepts", traced(nodes.extract_concepts))
        .add_node("write_captions", traced(nodes.write_captions))
        .add_node("retrieve", traced(nodes.retrieve), input_schema=SearchTask)
        .add_node("shortlist", traced(nodes.shortlist))
        .add_node("select", traced(nodes.select))
        .add_node("regenerate", traced(nodes.regenerate))
        .add_node("finish", traced(nodes.finish))
        .add_conditional_edges(START, routing.after_start, ["generate", "retrieve"])
        .add_edge("generate", "critique")
        .add_conditional_edges("critique", routing.after_critique, ["extract_concepts", "finish"])
        .add_conditional_edges(
            "extract_concepts", routing.after_extraction, ["extract_concepts", "write_captions", "retrieve"]
        )
        .add_conditional_edges("write_captions", routing.after_captions, ["retrieve"])
        .add_edge("retrieve", "shortlist")
        .add_conditional_edges(
            "shortlist", routing.after_shortlist, ["select", "regenerate", "generate", "retrieve", "finish"]
        )
        .add_conditional_edges("select", routing.after_selection, ["regenerate", "generate", "finish"])
        .add_edge("regenerate", "critique")
        .add_edge("finish", END)
    )
