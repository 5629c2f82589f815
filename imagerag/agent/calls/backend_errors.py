"""Errors that somebody's own backend raises by mistake, told as what they are."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from imagerag.agent.errors import BackendError
from imagerag.formatting.messages import invalid


@contextmanager
def named_errors(who: str, unusable: Callable[[str], Exception] = TypeError) -> Iterator[None]:
    """Convert a signal to LangGraph (`interrupt`, `Command` to a parent graph), which would end the run without an
    outcome, and a value that cannot be, which pydantic tells without its backend.

    Args:
        who: the backend, for the message.
        unusable: makes the error for a value that cannot be.

    Raises:
        BackendError: the backend raised a signal.
        TypeError: the backend made a value that cannot be; or as `unusable` says.
    """
    from pydantic import ValidationError

    try:
        yield
    except ValidationError as error:
        raise unusable(f"{who} made {error.title} that cannot be used: {invalid(error)}") from error
    except Exception as error:
        from langgraph.errors import GraphBubbleUp

        if not isinstance(error, GraphBubbleUp):
            raise
        message = f"{who} raised {type(error).__name__}, which is LangGraph's: a backend cannot interrupt a run"
        raise BackendError(message, retryable=False) from error
