"""LangGraph's SQLite checkpointer for many concurrent runs: all statements in one thread, with group commit.

LangGraph's own checkpointer writes the whole state at every step. Here a value above a minimum size is stored once per
thread, under its hash, in a separate table; checkpoints and pending writes refer to it. LangGraph's two tables are
unchanged, and rows of earlier versions remain readable.
"""

import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from typing import Any, Final, TypeVar, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
)
from langgraph.checkpoint.serde.types import ERROR
from langgraph.checkpoint.sqlite import SqliteSaver

from imagerag.agent.error_message import repr_of
from imagerag.store.sqlite.compact_serializer import VALUE, VALUES_TABLE, CompactSerializer, ThreadValues, ValueId
from imagerag.store.sqlite.earlier_channels import channel_name, is_of_imagerag, renamed
from imagerag.store.sqlite.thread_deletion import copy_thread, delete_runs, delete_thread, keep_latest
from imagerag.store.sqlite.write_batcher import WriteBatcher
from imagerag.store.storage_errors import damaged_file

T = TypeVar("T")

CONTROL: Final = frozenset((*WRITES_IDX_MAP, "__error_source_node__"))
"""Channels that say what became of a task; all others hold its output."""

THREADS: Final = 128
"""So many threads' newest values are remembered, so that the next step serializes only what changed."""

VALUE_IDS: Final = "value_ids"
"""The part of a stored checkpoint that names the values kept elsewhere, by channel."""


def _stored(value: Any) -> Any:
    return repr_of(value) if isinstance(value, BaseException) else value


def create_checkpoint_tables(connection: sqlite3.Connection) -> None:
    """Make the tables of checkpoints in a new file."""
    SqliteSaver(connection).setup()
    connection.execute(VALUES_TABLE)


class BatchedSqliteSaver(SqliteSaver):
    """A checkpointer for asynchronous use; each write is durable when it returns.

    LangGraph's own asynchronous checkpointer switches to its thread and back for every statement, locks out all other
    runs meanwhile, and flushes every write separately. The methods return the batcher's own coroutine, which saves one
    resumption per statement.
    """

    serde: CompactSerializer

    def __init__(self, grouped: WriteBatcher, serde: CompactSerializer) -> None:
        super().__init__(grouped.connection, serde=serde)
        self._grouped = grouped
        self._threads: dict[tuple[str, str], ThreadValues] = {}

    async def prepare(self) -> None:
        """Make the tables, where they are missing."""
        await self._grouped.read(self.setup)

    def setup(self) -> None:
        """As `SqliteSaver.setup`."""
        if not self.is_setup:
            super().setup()
            try:
                self.conn.execute(VALUES_TABLE)
            except sqlite3.OperationalError as error:
                if "readonly" not in str(error):  # a file of an earlier version has no such values
                    raise

    @contextmanager
    def cursor(self, transaction: bool = True) -> Iterator[sqlite3.Cursor]:
        """A cursor in the group's transaction, with exclusive use of the connection."""
        with closing(self.conn.cursor()) as cursor:
            yield cursor

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """As `SqliteSaver.get_tuple`."""
        checkpoint = super().get_tuple(config)
        return checkpoint and self._whole(checkpoint, {})

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """As `SqliteSaver.list`. A value shared by several checkpoints of a thread is read once."""
        cache: dict[bytes, Any] = {}
        thread_id = None
        for checkpoint in super().list(config, filter=filter, before=before, limit=limit):
            if checkpoint.config["configurable"]["thread_id"] != thread_id:
                thread_id = checkpoint.config["configurable"]["thread_id"]
                cache.clear()
            yield self._whole(checkpoint, cache)

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """As `SqliteSaver.put`. Only values that changed since the previous checkpoint are serialized."""
        inline, ids = self._values_of(config).put(checkpoint["channel_values"], checkpoint["channel_versions"])
        stored = cast(Checkpoint, {**checkpoint, "channel_values": inline, VALUE_IDS: ids})
        return super().put(config, stored, metadata, new_versions)

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """As `SqliteSaver.put_writes`. Of a task that failed or was cancelled only that is kept.

        What such a task had written until then LangGraph would take for all of its output: a run that goes on would
        not do the task again and, without the name of the next one, never end. Of its error LangGraph would keep the
        whole repr, which may hold an image or a key.
        """
        if any(channel == ERROR for channel, _ in writes):
            writes = [(channel, _stored(value)) for channel, value in writes if channel in CONTROL]
        super().put_writes(config, self._values_of(config).put_writes(writes), task_id, task_path)

    def delete_thread(self, thread_id: str) -> None:
        """As `SqliteSaver.delete_thread`."""
        delete_thread(self.conn, thread_id)

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Delete the checkpoints whose metadata names one of these runs, with their writes and values."""
        for thread_id in delete_runs(self.conn, run_ids):
            self._drop_unused(thread_id)

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy all checkpoints, writes and values of a thread to another one."""
        copy_thread(self.conn, source_thread_id, target_thread_id)

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Delete all checkpoints of threads ("delete"), or all but the newest of each namespace ("keep_latest").

        If a graph stores channels as deltas, the newest checkpoint needs the earlier ones, and all are kept.

        Raises:
            ValueError: another strategy.
        """
        if strategy not in ("delete", "keep_latest"):
            raise ValueError(f"the strategy is 'keep_latest' or 'delete', not {strategy!r}")
        for thread_id in thread_ids:
            if strategy == "delete":
                delete_thread(self.conn, thread_id)
            else:
                keep_latest(self.conn, thread_id)
                self._drop_unused(thread_id)

    # SqliteSaver's own method reads the rows directly and would miss values in the separate table.
    get_delta_channel_history = BaseCheckpointSaver.get_delta_channel_history

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
        work = partial(self.list, config, filter=filter, before=before, limit=limit)
        for one in await self._grouped.read(lambda: [*work()]):
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
        """As `SqliteSaver.put_writes`; they share a commit with the checkpoint of the step, which follows."""
        work = partial(self.put_writes, config, writes, task_id, task_path)
        return self._grouped.write(work, can_wait=True)

    def awrite(self, work: Callable[[], T]) -> Coroutine[Any, Any, T]:
        """Run a function that calls `put` and `put_writes`: all of it is kept, or nothing."""
        return self._grouped.write(work)

    def adelete_thread(self, thread_id: str) -> Coroutine[Any, Any, None]:
        """As `SqliteSaver.delete_thread`."""
        return self._grouped.write(partial(self.delete_thread, thread_id))

    def adelete_for_runs(self, run_ids: Sequence[str]) -> Coroutine[Any, Any, None]:
        """As `delete_for_runs`."""
        return self._grouped.write(partial(self.delete_for_runs, run_ids))

    def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> Coroutine[Any, Any, None]:
        """As `copy_thread`."""
        return self._grouped.write(partial(self.copy_thread, source_thread_id, target_thread_id))

    def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> Coroutine[Any, Any, None]:
        """As `prune`."""
        return self._grouped.write(partial(self.prune, thread_ids, strategy=strategy))

    def _values_of(self, config: RunnableConfig) -> ThreadValues:
        """The values of a thread's newest checkpoint; most are unchanged in the next one."""
        at = config["configurable"]
        thread_id, namespace = str(at["thread_id"]), str(at["checkpoint_ns"])
        values = self._threads.pop((thread_id, namespace), None) or ThreadValues(self.conn, self.serde, thread_id)
        self._threads[thread_id, namespace] = values
        while len(self._threads) > THREADS:
            del self._threads[next(iter(self._threads))]
        return values

    def _whole(self, checkpoint: CheckpointTuple, cache: dict[bytes, Any]) -> CheckpointTuple:
        """A stored checkpoint, completed with the values to which it and its writes refer.

        Args:
            cache: values of the thread; those of this checkpoint are added.

        Raises:
            DamagedFileError: a value is missing.
        """
        stored: dict[str, Any] = {**checkpoint.checkpoint}
        ids: dict[str, bytes] = stored.pop(VALUE_IDS, {})
        writes = checkpoint.pending_writes or []
        value_ids = {*ids.values(), *(bytes(value) for _, _, value in writes if isinstance(value, ValueId))}
        thread_id, missing = str(checkpoint.config["configurable"]["thread_id"]), value_ids - cache.keys()
        cache |= ThreadValues(self.conn, self.serde, thread_id).get(missing)
        if lost := missing - cache.keys():
            raise damaged_file(self._grouped.path, f"{len(lost)} values of the steps of {thread_id} are lost")
        stored["channel_values"] = {**stored["channel_values"], **{name: cache[ids[name]] for name in ids}}
        whole = [(task, name, cache[v] if isinstance(v, ValueId) else v) for task, name, v in writes]
        if is_of_imagerag(stored):
            stored |= {key: renamed(stored[key]) for key in ("channel_values", "channel_versions")}
            whole = [(task, channel_name(name), value) for task, name, value in whole]
        return checkpoint._replace(checkpoint=cast(Checkpoint, stored), pending_writes=whole)

    def _drop_unused(self, thread_id: str) -> None:
        """Delete the values of a thread to which no checkpoint or write refers."""
        rows = self.conn.execute("SELECT type, checkpoint FROM checkpoints WHERE thread_id = ?", (thread_id,))
        referenced = {one for row in rows for one in self.serde.loads_typed(row).get(VALUE_IDS, {}).values()}
        references = self.conn.execute("SELECT value FROM writes WHERE thread_id = ? AND type = ?", (thread_id, VALUE))
        referenced |= {row[0] for row in references}
        stored = self.conn.execute("SELECT id FROM checkpoint_values WHERE thread_id = ?", (thread_id,)).fetchall()
        unused = [(thread_id, row[0]) for row in stored if row[0] not in referenced]
        self.conn.executemany("DELETE FROM checkpoint_values WHERE thread_id = ? AND id = ?", unused)
