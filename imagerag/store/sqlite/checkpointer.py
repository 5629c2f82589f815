"""LangGraph's SQLite checkpointer for many runs at once: its statements, in one thread, with group commit."""

import sqlite3
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata, CheckpointTuple
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.sqlite import SqliteSaver

from imagerag.store.sqlite.write_batcher import WriteBatcher


class BatchedSqliteSaver(SqliteSaver):
    """A checkpointer for asynchronous use; each write is durable when it returns.

    LangGraph's own asynchronous one goes to its thread and back for every statement, with all other runs locked out
    meanwhile, and flushes every write to the disk by itself. What is awaited is the batcher's own coroutine: one
    less to resume for every statement.
    """

    def __init__(self, grouped: WriteBatcher, serde: SerializerProtocol) -> None:
        super().__init__(grouped.connection, serde=serde)
        self._grouped = grouped

    async def prepare(self) -> None:
        """Make the tables, where they are missing."""
        await self._grouped.read(self.setup)

    @contextmanager
    def cursor(self, transaction: bool = True) -> Iterator[sqlite3.Cursor]:
        """A cursor in the transaction of the group; nobody else uses the connection meanwhile."""
        with closing(self.conn.cursor()) as cursor:
            yield cursor

    def aget_tuple(self, config: RunnableConfig) -> Coroutine[Any, Any, CheckpointTuple | None]:
        """As `SqliteSaver.get_tuple`."""
        return self._grouped.read(partial(self.get_tuple, config))

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """As `SqliteSaver.list`."""
        found = partial(self.list, config, filter=filter, before=before, limit=limit)
        for one in await self._grouped.read(lambda: [*found()]):
            yield one

    def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> Coroutine[Any, Any, RunnableConfig]:
        """As `SqliteSaver.put`."""
        return self._grouped.write(partial(self.put, config, checkpoint, metadata, new_versions))

    def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> Coroutine[Any, Any, None]:
        """As `SqliteSaver.put_writes`; the checkpoint of the step follows, and they are kept together."""
        work = partial(self.put_writes, config, writes, task_id, task_path)
        return self._grouped.write(work, can_wait=True)

    def adelete_thread(self, thread_id: str) -> Coroutine[Any, Any, None]:
        """As `SqliteSaver.delete_thread`."""
        return self._grouped.write(partial(self.delete_thread, thread_id))
