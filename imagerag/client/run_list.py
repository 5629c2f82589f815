"""The part of `ImageRAG.runs` that reads the list of runs as a whole, and who makes them."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Literal, TypedDict, Unpack

from imagerag.client.argument_checks import check_arguments
from imagerag.client.argument_types import Dollars
from imagerag.client.context import ClientContext
from imagerag.client.synchronous import synchronous
from imagerag.store.file_lock import is_left, is_locked

if TYPE_CHECKING:
    from imagerag.store.run_index import RunEntry, RunIndex


class RunFilters(TypedDict, total=False):
    """Filters of a list of runs, see `store.run_index.RunIndex.list`."""

    status: Literal["running", "interrupted", "ended"] | None
    library: str | None
    since: datetime | None
    until: datetime | None
    min_cost: Dollars | None
    max_cost: Dollars | None
    favourite: bool | None
    parent_run: str | None
    after: tuple[datetime, str] | None


class RunCountFilters(RunFilters, total=False):
    """Filters of the number of runs."""

    outcome: str | None
    text: str | None


@check_arguments
class RunListAPI:
    """Counting runs, and which of them are under way."""

    _context: ClientContext

    async def count(self, **filters: Unpack[RunCountFilters]) -> int:
        """Count runs.

        Args:
            filters: as `list` takes them.
        """
        return await (await self._index()).count(**filters)

    async def is_under_way(self, run_id: str) -> bool:
        """Whether a process is making the run right now. One that is not, and has not ended, was stopped in the middle
        or waits for a selection: `resume` goes on with it. On Windows it cannot be known, and is True.

        Args:
            run_id: the whole id.
        """
        return await asyncio.to_thread(is_locked, self._context.home.lock(run_id))

    async def _correct_left(self, entries: "Sequence[RunEntry]") -> bool:
        """Correct the lines of unfinished runs whose process was killed; returns whether there are some.

        A killed process leaves its lock's file. Correcting the line removes that, so that each is looked at once.
        """
        home = self._context.home
        unfinished = [entry.run_id for entry in entries if entry.status == "running"]
        left = await asyncio.to_thread(lambda: [one for one in unfinished if is_left(home.lock(one))])
        if left:
            from imagerag.graphs.runs.records import relist_left

            for run_id in left:
                await relist_left(self._context.dependencies, run_id)
        return bool(left)

    async def _index(self) -> "RunIndex":
        from imagerag.store.run_index import RunIndex

        # Not by way of `dependencies`: that loads the graph, and listing is to be quick.
        home = self._context.home
        listed = RunIndex(home.run_list)
        if home.checkpoints.exists() and listed.is_lost():
            from imagerag.graphs.runs.reindexing import ensure_indexed

            await ensure_indexed(self._context.dependencies)
        return listed

    count_sync = synchronous(count)
    is_under_way_sync = synchronous(is_under_way)
