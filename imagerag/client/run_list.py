"""The part of `ImageRAG.runs` that reads the list of runs as a whole."""

from typing import TYPE_CHECKING, Any

from imagerag.client.context import ClientContext
from imagerag.client.synchronous import synchronous

if TYPE_CHECKING:
    from imagerag.store.run_index import RunIndex


class RunListAPI:
    """Counting runs."""

    _context: ClientContext

    async def count(self, **filters: Any) -> int:
        """Count runs.

        Args:
            filters: as `list` takes them.
        """
        return await (await self._index()).count(**filters)

    async def _index(self) -> "RunIndex":
        from imagerag.store.data_dir import DataDir
        from imagerag.store.run_index import RunIndex

        # Not by way of `dependencies`: that loads the graph, and listing is to be quick.
        home = DataDir.find(self._context.settings.home)
        listed = RunIndex(home.run_list)
        if home.checkpoints.exists() and listed.is_lost():
            from imagerag.graphs.runs.reindexing import ensure_indexed

            await ensure_indexed(self._context.dependencies)
        return listed

    count_sync = synchronous(count)
