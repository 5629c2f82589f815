"""Resources shared by the runs of one event loop: opened by the first user, closed after the last.

Connections belong to the loop in which they were opened, and a program may have many loops, in succession or in several
threads. Closing after the last user, and not at the program's end, leaves no thread and no open file behind.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from imagerag.agent.completion import to_completion

T = TypeVar("T")


@dataclass
class _SharedResource(Generic[T]):
    users: int = 0
    gate: asyncio.Lock = field(default_factory=asyncio.Lock)
    opened: AbstractAsyncContextManager[T] | None = None
    value: T | None = None


class PerLoopResource(Generic[T]):
    """One resource per event loop, for any number of concurrent users.

    Args:
        open: makes the context manager that opens and closes it.
    """

    def __init__(self, open: Callable[[], AbstractAsyncContextManager[T]]) -> None:
        self._open = open
        self._held: WeakKeyDictionary[asyncio.AbstractEventLoop, _SharedResource[T]] = WeakKeyDictionary()
        self._lock = threading.Lock()

    @asynccontextmanager
    async def use(self) -> AsyncIterator[T]:
        """The resource, open for as long as the block lasts."""
        with self._lock:
            resource = self._held.setdefault(asyncio.get_running_loop(), _SharedResource())
        resource.users += 1
        try:
            async with resource.gate:
                if resource.opened is None:
                    opening = self._open()
                    resource.value = await opening.__aenter__()
                    resource.opened = opening
            assert resource.value is not None, "it was opened just now, and this user keeps it open"
            yield resource.value
        finally:
            resource.users -= 1
            if not resource.users:
                await to_completion(self._close(resource))

    @staticmethod
    async def _close(resource: _SharedResource[T]) -> None:
        async with resource.gate:
            # A user that arrived during this wait keeps the resource open.
            if resource.users or resource.opened is None:
                return
            opened, resource.opened, resource.value = resource.opened, None, None
            await opened.__aexit__(None, None, None)
