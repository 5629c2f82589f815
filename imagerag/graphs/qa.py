"""The answering graph: ask a library, and get an answer that says which image supports what.

retrieve → answer → (the same without the library, to compare) → finish. Nodes are in `agent/qa/`. A thread is
a conversation: its checkpoint keeps the questions before this one.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from langgraph.errors import NodeError
from langgraph.graph import END, START
from langgraph.types import Command, RetryPolicy

from imagerag.agent.calls.error_calls import calls_from_error
from imagerag.agent.calls.journal import Journal
from imagerag.agent.errors import UsageError
from imagerag.agent.node_input import on_own_state
from imagerag.agent.outcomes import restore_exception
from imagerag.agent.ports import BlobStore, ReferenceLibrary, Reranker, own_library_of
from imagerag.agent.qa.nodes import QANodes, after_answer, after_retrieval
from imagerag.agent.qa.outcomes import result_from_error
from imagerag.agent.qa.ports import Answerer
from imagerag.agent.qa.state import QAInput, QAState
from imagerag.agent.qa.types import MAX_SUPPORT, AnswerResponse, short
from imagerag.graphs.checked_graph import CheckedGraph
from imagerag.graphs.generation import RETRY
from imagerag.graphs.start_node import Begin, check_search, new_key, start_question

BLANK: Final[Mapping[str, Any]] = {
    "shown": [],
    "image_threshold": None,
    "sources": [],
    "finding": None,
    "metadata_query": "",
    "threshold": None,
    "notes": [],
    "reply": None,
    "without": None,
    "result": None,
    "calls": [],
    "run_key": new_key,
}
"""What a question has before its first step, whatever the question before it in the thread has left."""


class Workflow(CheckedGraph[QAState, QAInput, QAState]):
    """The answering graph. Every input is a question of its own."""

    blank = BLANK

    def __init__(self, begin: Begin) -> None:
        super().__init__(begin, QAState, QAInput, QAState)


def give_up(state: QAState, error: NodeError) -> Command[Literal["finish"]]:
    """A node failed for good: the question ends by name; a comparison that failed takes nothing from the answer."""
    failure = restore_exception(error.error)
    calls = [*(state.get("calls") or []), *calls_from_error(failure)]
    if error.node == "answer_without":
        return Command(
            update={"without": AnswerResponse(reason=short(str(failure), MAX_SUPPORT)), "calls": calls}, goto="finish"
        )
    result = state.get("result") or result_from_error(failure, error.node)
    result = result.model_copy(update={"reason": short(result.reason, MAX_SUPPORT)})
    return Command(update={"result": result, "calls": calls}, goto="finish" if error.node != "finish" else [])


def build_qa(
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
        library: what is asked; None holds nothing. The web is not asked, though the library comes with a service.
        blobs: where the images are that questions come with; None takes none.
        reranker: what orders the images that are near enough; None leaves them by similarity.
        journal: where answers of models are kept, so that none is paid for twice; None keeps none.
        retry: how often and how patiently a failing backend is asked again.

    Raises:
        UsageError: the library only searches the web.
    """
    own = own_library_of(library)
    if library is not None and own is None:
        raise UsageError(f"a question is answered from a library of yours: {library.name} searches the web")
    library = own
    nodes = QANodes(answerer=answerer, library=library, blobs=blobs, reranker=reranker, journal=journal)
    backends = {"library": library.name if library else None, "answerer": answerer.identity}

    async def begin(graph_input: Any) -> Mapping[str, Any]:
        values = {**backends, **start_question(graph_input)}
        await check_search(library)
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
