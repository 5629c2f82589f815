"""Synchronous versions of coroutines, for programs without an event loop."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def synchronous(method: Callable[P, Awaitable[T]]) -> Callable[P, T]:
    """The synchronous version of a coroutine function, with the same parameters: `resume_sync = synchronous(resume)`.

    It works inside a running event loop too (a notebook), in a thread of its own.
    """

    def version(*args: P.args, **kwargs: P.kwargs) -> T:
        return run_sync(method(*args, **kwargs))

    return _named_after(method, version)


def synchronous_list(method: Callable[P, AsyncIterator[T]]) -> Callable[P, list[T]]:
    """The synchronous version of an asynchronous generator function: it returns all items at once."""

    async def collect(items: AsyncIterator[T]) -> list[T]:
        return [item async for item in items]

    def version(*args: P.args, **kwargs: P.kwargs) -> list[T]:
        return run_sync(collect(method(*args, **kwargs)))

    return _named_after(method, version)


def run_sync(awaitable: Awaitable[T]) -> T:
    """Run an awaitable to its end; inside a running event loop, in a thread with a loop of its own.

    Ctrl-C cancels it there too: a run must not go on spending where nobody waits for it.
    """
    tasks: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[None]]] = []
    results: list[T] = []
    errors: list[BaseException] = []

    async def awaited() -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.append((asyncio.get_running_loop(), task))
        results.append(await awaitable)  # returned, asyncio.run up to Python 3.12.0 would make its repr

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(awaited())
        return results[0]

    def work() -> None:
        try:
            asyncio.run(awaited())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work, name="imagerag")
    thread.start()
    try:
        thread.join()
    except BaseException:
        for loop, task in tasks:
            with suppress(RuntimeError):  # it has ended, and its loop with it
                loop.call_soon_threadsafe(task.cancel)
        thread.join()
        raise
    if errors:
        raise errors[0]
    return results[0]


def _named_after(method: Callable[..., object], version: Callable[P, T]) -> Callable[P, T]:
    """Give a version the name, signature and documentation of its coroutine."""
    version.__name__, version.__qualname__ = f"{method.__name__}_sync", f"{method.__qualname__}_sync"
    version.__module__, version.__wrapped__ = method.__module__, method  # type: ignore[attr-defined]
    version.__doc__ = f"`{method.__name__}`, synchronously.\n\n    {method.__doc__}"
    return version
