"""The events of a run, read by a door directly from the generator that makes them."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imagerag.graphs.runs.events import RunEvent

Open = Callable[[], Awaitable[AsyncGenerator["RunEvent"]]]


class EventStream(AsyncGenerator["RunEvent", None]):
    """A run's events, from a generator that is opened when the first event is asked for.

    Each layer that yields what another generator yields is one more coroutine to resume at every await of the whole
    run. From the second event on this one hands out the inner generator's own awaitables.

    Args:
        open: prepares the run and gives the generator of its events.
    """

    def __init__(self, open: Open) -> None:
        self._open = open
        self._events: AsyncGenerator[RunEvent] | None = None
        self._closed = False

    def __anext__(self) -> Any:
        """The next event."""
        return self._first() if self._events is None else self._events.__anext__()

    def asend(self, value: None) -> Any:
        """The next event."""
        return self.__anext__()

    async def athrow(
        self,
        typ: type[BaseException] | BaseException,
        val: BaseException | object = None,
        tb: TracebackType | None = None,
        /,
    ) -> "RunEvent":
        """Raise an error where the run is followed."""
        if self._events is None:
            self._closed = True
            raise typ
        return await self._events.athrow(typ if isinstance(typ, BaseException) else typ())

    async def aclose(self) -> None:
        """Stop following: a run that has not ended is cancelled."""
        self._closed = True
        if self._events is not None:
            await self._events.aclose()

    async def _first(self) -> "RunEvent":
        if self._closed:
            raise StopAsyncIteration
        try:
            self._events = await self._open()
        except BaseException:
            self._closed = True
            raise
        return await self._events.__anext__()
