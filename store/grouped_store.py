"""LangGraph's SQLite store for many runs at once: its statements, in one thread, with group commit."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager

from langgraph.store.base import Op, PutOp, Result
from langgraph.store.sqlite import SqliteStore

from imagerag.store.group_commit import GroupCommit


class GroupedStore(SqliteStore):
    """A store for asynchronous use; what is put is durable when `abatch` returns."""

    def __init__(self, grouped: GroupCommit) -> None:
        super().__init__(grouped.connection)
        self._grouped = grouped

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
        do = self._grouped.write if any(isinstance(op, PutOp) for op in asked) else self._grouped.read
        return await do(lambda: self.batch(asked))
