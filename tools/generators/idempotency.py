"""The key that tells a service that two requests are the same one.

Whoever makes a call that may have to be made again (the journal) sets the key around it; adapters send it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

HEADER: Final = "Idempotency-Key"

_key: ContextVar[str | None] = ContextVar("imagerag_idempotency_key", default=None)


@contextmanager
def idempotent(key: str | None) -> Iterator[None]:
    """Send `key` with every request made inside, in this task and those it starts. None sends none."""
    token = _key.set(key)
    try:
        yield
    finally:
        _key.reset(token)


def headers() -> dict[str, str]:
    """The header to send, if a key is set."""
    key = _key.get()
    return {HEADER: key} if key else {}
