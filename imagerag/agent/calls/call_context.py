"""How many requests one call may make: a judge that votes asks its model several times for one answer.

A run that may make only so many calls sets it around each of them, so that votes are asked for within the limit too.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_requests: ContextVar[int | None] = ContextVar("imagerag_requests", default=None)


@contextmanager
def request_budget(requests: int | None) -> Iterator[None]:
    """Allow so many requests to a model inside, in this task and those it starts; None sets no limit."""
    token = _requests.set(requests)
    try:
        yield
    finally:
        _requests.reset(token)


def requests_left(wanted: int) -> int:
    """How many of the requests that are wanted may be made: at least the one that the call itself is."""
    limit = _requests.get()
    return wanted if limit is None else max(1, min(wanted, limit))
