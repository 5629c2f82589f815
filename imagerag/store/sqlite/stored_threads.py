"""The threads of a checkpoint file, read without decoding the values that their checkpoints share."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from imagerag.store.sqlite.connection import BUSY_S, connect
from imagerag.store.storage_errors import storage_errors

_SIZES = {
    "checkpoints": "length(checkpoint) + coalesce(length(metadata), 0)",
    "writes": "coalesce(length(value), 0)",
    "checkpoint_values": "length(value)",  # an earlier version's file has no such table
}
"""Bytes of a row, by table."""

_NEWEST = """
SELECT thread_id, max(checkpoint_id) AS newest FROM checkpoints WHERE checkpoint_ns = ''
GROUP BY thread_id ORDER BY newest DESC
"""


class StoredThread(NamedTuple):
    """A thread, and the size of its checkpoints, pending writes and values."""

    thread_id: str
    bytes: int


def stored_threads(path: Path) -> list[StoredThread]:
    """The threads of a file, the one with the newest checkpoint first; none where there is no file.

    Raises:
        DamagedFileError, StorageError: the file cannot be read.
    """
    with _opened(path) as connection:
        if connection is None:
            return []
        there = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        rows = (f"SELECT thread_id, {size} AS bytes FROM {table}" for table, size in _SIZES.items() if table in there)
        query = f"SELECT thread_id, sum(bytes) FROM ({' UNION ALL '.join(rows)}) GROUP BY thread_id"
        sizes = dict(connection.execute(query).fetchall())
        return [StoredThread(thread_id, sizes[thread_id]) for thread_id, _ in connection.execute(_NEWEST).fetchall()]


def short_values(path: Path, thread_id: str, channel: str) -> set[str]:
    """The texts that a channel had in the checkpoints of a thread. Those of more than 60 characters are not read: a
    checkpoint only refers to them.

    Raises:
        DamagedFileError, StorageError: the file cannot be read.
    """
    from imagerag.store.sqlite.compact_serializer import CompactSerializer

    serde, query = CompactSerializer(), "SELECT type, checkpoint FROM checkpoints WHERE thread_id = ?"
    with _opened(path) as connection:
        rows = connection.execute(query, (thread_id,)).fetchall() if connection is not None else []
    found = (serde.loads_typed(row).get("channel_values", {}).get(channel) for row in rows)
    return {value for value in found if isinstance(value, str)}


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection | None]:
    if not path.exists() or not path.stat().st_size:
        yield None
        return
    with storage_errors(path, "cannot read"), closing(connect(path, timeout=BUSY_S)) as connection:
        yield connection
