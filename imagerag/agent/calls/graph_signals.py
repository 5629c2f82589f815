"""LangGraph's signals inside of a backend: an interrupt of its own would end the run without an outcome."""

from collections.abc import Iterator
from contextlib import contextmanager

from imagerag.agent.errors import BackendError


@contextmanager
def no_graph_signals(who: str) -> Iterator[None]:
    """Convert a signal to LangGraph (`interrupt`, `Command` to a parent graph) to an error of the backend.

    Args:
        who: the backend, for the message.

    Raises:
        BackendError: the backend raised a signal.
    """
    try:
        yield
    except Exception as error:
        from langgraph.errors import GraphBubbleUp

        if not isinstance(error, GraphBubbleUp):
            raise
        message = f"{who} raised {type(error).__name__}, which is LangGraph's: a backend cannot interrupt a run"
        raise BackendError(message, retryable=False) from error
