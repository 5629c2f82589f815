"""LangGraph's SQLite store for many concurrent runs: all statements in one thread, with group commit."""

import sqlite3
from collections.abc import Collection, Coroutine, Iterable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import Any

from langgraph.store.base import Op, PutOp, Result
from langgraph.store.sqlite import SqliteStore

from imagerag.store.sqlite.write_batcher import WriteBatcher


class BatchedSqliteStore(SqliteStore):
    """A store for asynchronous use; writes are durable when `abatch` returns.

    Args:
        unflushed: first parts of namespaces whose values must survive a kill of the process but not a power cut.
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

    def abatch(self, ops: Iterable[Op]) -> Coroutine[Any, Any, list[Result]]:
        """As `SqliteStore.batch`. Returns the batcher's own coroutine."""
        operations = list(ops)
        puts = [op for op in operations if isinstance(op, PutOp)]
        if not puts:
            return self._grouped.read(partial(self.batch, operations))
        flushed = any(op.namespace[0] not in self._unflushed for op in puts)
        return self._grouped.write(partial(self.batch, operations), flushed=flushed)
