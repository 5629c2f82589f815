"""The key that tells a service that two requests are the same one.

A call whose answer was lost on the way is made again with the key of the first; adapters send it where a service
has a place for it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_key: ContextVar[str | None] = ContextVar("imagerag_idempotency_key", default=None)


@contextmanager
def idempotency_key(key: str | None) -> Iterator[None]:
    """Send `key` with every request made inside, in this task and those it starts. None sends none."""
    token = _key.set(key)
    try:
        yield
    finally:
        _key.reset(token)


def current_idempotency_key() -> str | None:
    """The key to send with a request, if one is set."""
    return _key.get()
