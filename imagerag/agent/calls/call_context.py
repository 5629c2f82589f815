"""The context of the call that an adapter serves: progress callback, idempotency key, requests left.

It is one context variable and no argument of the ports: most adapters need nothing of it and keep plain signatures,
and what stands between a run and an adapter (a fallback, a judge that votes) hands it on without knowing of it.
A call that the journal answers is not made, and has none.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field


def _no_step(count: int, total: int) -> None:
    pass


async def _no_partial(data: bytes, number: int) -> None:
    pass


@dataclass(frozen=True, kw_only=True)
class ProgressCallback:
    """The callback through which a generator reports the progress of one image.

    The generator calls it in the task that called the generator, or through that task's event loop.

    Attributes:
        partial_images: number of unfinished images wanted, 0 to 3; they can cost extra.
        step: called with the steps done and their total (0 when it is not known).
        partial: called with an unfinished image (encoded bytes) and its number, from 0.
    """

    partial_images: int = 0
    step: Callable[[int, int], None] = _no_step
    partial: Callable[[bytes, int], Awaitable[None]] = _no_partial


@dataclass(frozen=True, kw_only=True)
class CallContext:
    """One call of a run, as its adapter sees it.

    Attributes:
        progress: the progress callback; by default a no-op.
        idempotency_key: tells a service that two requests are the same one: a call whose answer was lost is made again
            with the key of the first. None where there is none.
        run_id: whose call it is; empty outside of a run.
        requests_left: how many requests to a model the run may still make, this call included; None is any number.
    """

    progress: ProgressCallback = field(default_factory=ProgressCallback)
    idempotency_key: str | None = None
    run_id: str = ""
    requests_left: int | None = None

    def allowed(self, requests: int) -> int:
        """Number of the wanted requests that may be made: at least one, the call itself."""
        return requests if self.requests_left is None else max(1, min(requests, self.requests_left))


_NOBODY = CallContext()
_current: ContextVar[CallContext] = ContextVar("imagerag_call", default=_NOBODY)


def current_call() -> CallContext:
    """The call that is being made in this task; an empty one outside of a run."""
    return _current.get()


@contextmanager
def in_call(context: CallContext) -> Iterator[None]:
    """Make `context` the current call inside, in this task and those it starts."""
    token = _current.set(context)
    try:
        yield
    finally:
        _current.reset(token)
