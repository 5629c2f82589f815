"""The answering graph: ask a library, and get an answer that says which picture supports what.

retrieve → answer → (the same without the library, to compare) → finish. Nodes are in `agent/qa/`. A thread is
a conversation: its checkpoint keeps the questions before this one.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from langgraph.errors import NodeError
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command, RetryPolicy

from imagerag.agent.calls.error_calls import calls_of
from imagerag.agent.calls.journal import Journal
from imagerag.agent.node_input import on_own_state
from imagerag.agent.outcomes import revived
from imagerag.agent.ports import BlobStore, ReferenceLibrary, Reranker
from imagerag.agent.qa.nodes import AnsweringNodes, after_answer, after_retrieval, ending_of
from imagerag.agent.qa.state import AskInput, AskState
from imagerag.agent.qa.types import MAX_SUPPORT, Answerer, Reply, short
from imagerag.agent.types import Knobs, RunContext
from imagerag.graphs.generation import RETRY
from imagerag.graphs.start_node import Begin, begin_question, beginning_with, check_search, new_key

BLANK: Final[Mapping[str, Any]] = {
    "shown": [],
    "image_threshold": None,
    "sources": [],
    "finding": None,
    "lookup": "",
    "threshold": None,
    "notes": [],
    "reply": None,
    "without": None,
    "ending": None,
    "calls": [],
    "run_key": new_key,
}
"""What a question has before its first step, whatever the question before it in the thread has left."""


class Workflow(StateGraph[AskState, Knobs, AskInput, AskState]):
    """The answering graph. Every input is a question of its own, and is checked first."""

    def __init__(self, begin: Begin) -> None:
        super().__init__(AskState, RunContext, input_schema=AskInput, output_schema=AskState)
        self._begin = begin

    def compile(self, *args: Any, **options: Any) -> CompiledStateGraph[AskState, Knobs, AskInput, AskState]:
        """As any graph is compiled."""
        return beginning_with(super().compile(*args, **options), self._begin, BLANK)


def give_up(state: AskState, error: NodeError) -> Command[Literal["finish"]]:
    """A node failed for good: the question ends by name; a comparison that failed takes nothing from the answer."""
    failure = revived(error.error)
    calls = [*(state.get("calls") or []), *calls_of(failure)]
    if error.node == "answer_without":
        return Command(
            update={"without": Reply(reason=short(str(failure), MAX_SUPPORT)), "calls": calls}, goto="finish"
        )
    ending = state.get("ending") or ending_of(failure, error.node)
    ending = ending.model_copy(update={"reason": short(ending.reason, MAX_SUPPORT)})
    return Command(update={"ending": ending, "calls": calls}, goto="finish" if error.node != "finish" else [])


def build_answering(
    *,
    answerer: Answerer,
    library: ReferenceLibrary | None,
    blobs: BlobStore | None = None,
    reranker: Reranker | None = None,
    journal: Journal | None = None,
    retry: RetryPolicy | Sequence[RetryPolicy] = RETRY,
) -> Workflow:
    """The uncompiled graph, bound to its ports.

    Args:
        library: what is asked; None holds nothing.
        blobs: where the pictures are that questions come with; None takes none.
        reranker: what orders the pictures that are near enough; None leaves them by similarity.
        journal: where answers of models are kept, so that none is paid for twice; None keeps none.
        retry: how often and how patiently a failing backend is asked again.
    """
    nodes = AnsweringNodes(answerer=answerer, library=library, blobs=blobs, reranker=reranker, journal=journal)
    named = {"library": library.name if library else None, "answerer": answerer.identity}

    async def begin(given: Any) -> Mapping[str, Any]:
        values = {**named, **begin_question(given)}
        check_search(library)
        return values

    return (
        Workflow(begin)
        .set_node_defaults(retry_policy=retry, error_handler=give_up)
        .add_node("retrieve", on_own_state(nodes.retrieve))
        .add_node("answer", on_own_state(nodes.answer))
        .add_node("answer_without", on_own_state(nodes.answer_without))
        .add_node("finish", nodes.finish)
        .add_edge(START, "retrieve")
        .add_conditional_edges("retrieve", after_retrieval, ["answer", "answer_without", "finish"])
        .add_conditional_edges("answer", after_answer, ["answer_without", "finish"])
        .add_edge("answer_without", "finish")
        .add_edge("finish", END)
    )
