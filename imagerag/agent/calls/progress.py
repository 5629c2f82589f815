"""What a generator tells while it draws: steps done, and unfinished pictures.

Whoever asks for a picture sets a watcher around the call; the generator finds it here, so that nothing of it shows in
the port. A call that the journal answers is not made, and tells nothing.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


def _no_step(done: int, total: int) -> None:
    pass


async def _no_partial(data: bytes, number: int) -> None:
    pass


@dataclass(frozen=True, kw_only=True)
class ProgressCallback:
    """Who looks on while one picture is drawn.

    A generator takes it in the task that called it, and tells it from there or through that task's event loop.

    Attributes:
        partial_images: how many unfinished pictures are wanted, 0 to 3; they can cost extra.
        step: told of steps done and how many there are (0 when that is not known).
        partial: told of an unfinished picture (encoded bytes) and its number, from 0.
    """

    partial_images: int = 0
    step: Callable[[int, int], None] = _no_step
    partial: Callable[[bytes, int], Awaitable[None]] = _no_partial


_watcher: ContextVar[ProgressCallback | None] = ContextVar("imagerag_watcher", default=None)


@contextmanager
def progress_callback(watcher: ProgressCallback) -> Iterator[None]:
    """Have `watcher` told of what is drawn inside, in this task and those it starts."""
    token = _watcher.set(watcher)
    try:
        yield
    finally:
        _watcher.reset(token)


def current_progress() -> ProgressCallback:
    """Whom to tell; one that does nothing when nobody looks on."""
    return _watcher.get() or ProgressCallback()
