"""Searches that are asked for at the same time, as those of a round are, made in one call of the library."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

from imagerag.agent.ports import Filter, Hit, ReferenceLibrary
from imagerag.agent.retrieval.search_queries import search_batch, search_words

_Together = tuple[asyncio.AbstractEventLoop, int, Filter]
"""What searches have in common that are made in one call."""

_Waiting = list[tuple[str, "asyncio.Future[Sequence[Hit]]"]]


class SearchBatcher:
    """Searches a library as `library.search` does; what is asked for in the same turn of an event loop is one call.

    The round's searches are steps of their own, each with its retries and its place in the run's record, and know
    nothing of one another: so they meet here, and not in the graph.
    """

    def __init__(self, library: ReferenceLibrary) -> None:
        self.library = library
        self._waiting: dict[_Together, _Waiting] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def search(self, text: str, *, k: int, filter: Filter) -> Sequence[Hit]:
        """The `k` images most similar to a text, best first."""
        if not hasattr(self.library, "search_batch"):
            return await search_words(self.library, text, k=k, filter=filter)
        loop = asyncio.get_running_loop()
        together = (loop, k, filter)
        answer: asyncio.Future[Sequence[Hit]] = loop.create_future()
        waiting = self._waiting.setdefault(together, [])
        waiting.append((text, answer))
        if len(waiting) == 1:
            task = loop.create_task(self._search_together(together))
            self._tasks.add(task)
            task.add_done_callback(partial(self._end_waiting, together, waiting))
        return await answer

    async def _search_together(self, together: _Together) -> None:
        waiting, before = self._waiting[together], 0
        while before < len(waiting):  # until a turn of the loop has brought no more
            before = len(waiting)
            await asyncio.sleep(0)
        del self._waiting[together]
        _, k, allowed = together
        pending = [(text, answer) for text, answer in waiting if not answer.cancelled()]
        for (_, answer), result in zip(pending, await self._hits(pending, k, allowed), strict=True):
            if not answer.done():
                _settle(answer, result)

    def _end_waiting(self, together: _Together, waiting: _Waiting, task: "asyncio.Task[None]") -> None:
        """See that nobody waits for a search that was cancelled; one that never began, too."""
        self._tasks.discard(task)
        if self._waiting.get(together) is waiting:
            del self._waiting[together]
        for _, answer in waiting:
            answer.cancel()  # does nothing to those that are answered

    async def _hits(self, pending: _Waiting, k: int, filter: Filter) -> Sequence[Any]:
        """Of each text its hits, or the exception that the search for it ended with."""
        try:
            results = await search_batch(self.library, [text for text, _ in pending], k=k, filter=filter)
            if len(results) == len(pending):
                return results
        except Exception as error:
            if len(pending) == 1:
                return [error]
        # One by one, so that the text that cannot be searched for fails alone.
        alone = (search_words(self.library, text, k=k, filter=filter) for text, _ in pending)
        return await asyncio.gather(*alone, return_exceptions=True)


def _settle(answer: "asyncio.Future[Sequence[Hit]]", result: Any) -> None:
    if isinstance(result, BaseException):
        answer.set_exception(result)
    else:
        answer.set_result(result)
