"""Work in a thread that nobody has to wait for.

`asyncio.to_thread` shares a handful of threads with everything else, and a process does not end before they are done:
one image that takes minutes would hold up both. Here every call has a thread to itself, which is given up on when its
caller is cancelled, and which does not keep the process from ending. A thread that is done serves later calls: starting
one costs more than most calls.
"""

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from contextvars import ContextVar, copy_context
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any, ClassVar, Final, ParamSpec, TypeVar

__all__ = ["CallCancelledError", "Cancellation", "cancellation", "in_thread", "run_in_own_loop"]

P = ParamSpec("P")
T = TypeVar("T")


class CallCancelledError(Exception):
    """Nobody waits for what this thread does."""


class Cancellation:
    """Whether somebody still waits for a call."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._cancelled = False
        self._callback: Callable[[], None] | None = None

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits any more."""
        return self._cancelled

    def cancel(self) -> None:
        """Say that nobody waits any more."""
        with self._lock:
            self._cancelled = True
            callback = self._callback
        if callback is not None:
            callback()

    @contextmanager
    def calling(self, callback: Callable[[], None]) -> Iterator[None]:
        """Have a function called when the call is cancelled inside this block.

        Raises:
            CallCancelledError: it is cancelled already.
        """
        with self._lock:
            if self._cancelled:
                raise CallCancelledError
            self._callback = callback
        try:
            yield
        finally:
            with self._lock:
                self._callback = None


_CURRENT: Final[ContextVar[Cancellation | None]] = ContextVar("imagerag_cancellation", default=None)


def cancellation() -> Cancellation:
    """The cancellation of the call this thread works for; one that nobody cancels outside of `in_thread`."""
    return _CURRENT.get() or Cancellation()


class _Worker:
    """A thread that does one call after another, and ends when it had none for a while."""

    idle_s: Final = 10.0
    _idle: ClassVar[list["_Worker"]] = []
    _lock: ClassVar = Lock()

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], Callable[[], None]]] = SimpleQueue()
        Thread(target=self._serve, name="imagerag-decode", daemon=True).start()

    @classmethod
    def run(cls, call: Callable[[], Callable[[], None]]) -> None:
        """Run a call in a thread that does nothing else; what it returns is called when the thread is free again."""
        with cls._lock:
            worker = cls._idle.pop() if cls._idle else None
        (worker or cls())._calls.put(call)

    @classmethod
    def forget_all(cls) -> None:
        """Start with no threads: a fork has none of its parent's, and perhaps its lock as another thread held it."""
        cls._idle, cls._lock = [], Lock()

    def _serve(self) -> None:
        while True:
            try:
                call = self._calls.get(timeout=self.idle_s)
            except Empty:
                with self._lock:
                    if self in self._idle:
                        self._idle.remove(self)
                        return
                continue  # a call was on its way
            # Profilers and debuggers that were set meanwhile see this call, as they would see a new thread.
            sys.setprofile(threading.getprofile())
            sys.settrace(threading.gettrace())
            report = call()
            del call  # it holds the image
            with self._lock:
                self._idle.append(self)
            report()
            del report


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_Worker.forget_all)


async def in_thread(work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function in a thread that does nothing else, and wait for what it gives.

    When the caller is cancelled, `cancellation().cancel` is called and the thread is left to itself: only for work that
    may be left undone at any point, such as decoding.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    ending, context = Cancellation(), copy_context()
    context.run(_CURRENT.set, ending)

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]

    def run() -> Callable[[], None]:
        result, failure = None, None
        try:
            result = context.run(work, *args, **kwargs)
        except BaseException as error:
            failure = error

        def report() -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits
                loop.call_soon_threadsafe(settle, result, failure)

        return report

    _Worker.run(run)
    try:
        return await future
    except asyncio.CancelledError:
        ending.cancel()
        raise


def run_in_own_loop(make: Callable[[], Coroutine[Any, Any, T]], *, name: str) -> T:
    """The result of a coroutine, from anywhere: in an event loop of its own, in a thread of that name. Blocks."""
    future: Future[T] = Future()

    def work() -> None:
        try:
            future.set_result(asyncio.run(make()))
        except BaseException as error:
            future.set_exception(error)

    Thread(target=work, name=name, daemon=True).start()
    return future.result()
