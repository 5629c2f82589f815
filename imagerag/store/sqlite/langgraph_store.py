"""LangGraph's SQLite store for many runs at once: its statements, in one thread, with group commit."""

import sqlite3
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing, contextmanager

from langgraph.store.base import Op, PutOp, Result
from langgraph.store.sqlite import SqliteStore

from imagerag.store.sqlite.write_batcher import WriteBatcher


class BatchedSqliteStore(SqliteStore):
    """A store for asynchronous use; what is put is durable when `abatch` returns.

    Args:
        unflushed: first parts of namespaces whose values need not outlive a power cut, only the process.
    """

    def __init__(self, grouped: WriteBatcher, *, unflushed: Collection[str] = ()) -> None:
        super().__init__(grouped.connection)
        self._grouped, self._unflushed = grouped, frozenset(unflushed)

    async def prepare(self) -> None:
        """Bring the tables up to date."""
        await self._grouped.read(self.setup)

    @contextmanager
    def _cursor(self, *, transaction: bool = True) -> Iterator[sqlite3.Cursor]:
        with closing(self.conn.cursor()) as cursor:
            yield cursor

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """As `SqliteStore.batch`."""
        asked = list(ops)
        puts = [op for op in asked if isinstance(op, PutOp)]
        if not puts:
            return await self._grouped.read(lambda: self.batch(asked))
        flushed = any(op.namespace[0] not in self._unflushed for op in puts)
        return await self._grouped.write(lambda: self.batch(asked), flushed=flushed)
