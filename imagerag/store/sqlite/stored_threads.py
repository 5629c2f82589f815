"""The threads of a checkpoint file, read without decoding the values that their checkpoints share."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple
from uuid import UUID

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


_EPOCH: Final = 0x01B21DD213814000
"""1970 in the time of UUIDs: units of 100 ns since 1582."""


class StoredThread(NamedTuple):
    """A thread, the size of its checkpoints, pending writes and values, and the time of its newest checkpoint."""

    thread_id: str
    bytes: int
    updated: datetime


def stored_threads(path: Path) -> list[StoredThread]:
    """The threads of a file, the one with the newest checkpoint first; none where there is no file.

    Raises:
        DamagedFileError, StorageError: the file cannot be read.
    """
    with _opened(path) as connection:
        if connection is None:
            return []
        there = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        parts = (f"SELECT thread_id, {size} AS bytes FROM {table}" for table, size in _SIZES.items() if table in there)
        query = f"SELECT thread_id, sum(bytes) FROM ({' UNION ALL '.join(parts)}) GROUP BY thread_id"
        sizes = dict(connection.execute(query).fetchall())
        rows = connection.execute(_NEWEST).fetchall()
    return [StoredThread(thread_id, sizes[thread_id], _time_of(newest)) for thread_id, newest in rows]


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


def _time_of(checkpoint_id: str) -> datetime:
    """The time in the id of a checkpoint, a UUID of version 6; `uuid` reads it from Python 3.14 on."""
    number = UUID(checkpoint_id).int
    ticks = (number >> 80) << 12 | (number >> 64) & 0xFFF
    return datetime.fromtimestamp((ticks - _EPOCH) / 1e7, UTC)


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection | None]:
    if not path.exists() or not path.stat().st_size:
        yield None
        return
    with storage_errors(path, "cannot read"), closing(connect(path, timeout=BUSY_S)) as connection:
        yield connection
