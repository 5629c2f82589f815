"""Statements that copy and delete the checkpoints of threads, with their writes and values."""

import json
import sqlite3
from collections.abc import Sequence
from typing import Final

TABLES: Final = ("checkpoints", "writes", "checkpoint_values")
"""Each has a row's thread in its first column."""

_OF_RUNS: Final = """
SELECT thread_id, checkpoint_ns, checkpoint_id FROM checkpoints
WHERE json_extract(CAST(metadata AS TEXT), '$.run_id') IN (SELECT value FROM json_each(?))
"""

_EARLIER: Final = """
SELECT thread_id, checkpoint_ns, checkpoint_id FROM checkpoints AS earlier
WHERE thread_id = :thread AND checkpoint_id < (
    SELECT max(checkpoint_id) FROM checkpoints
    WHERE thread_id = :thread AND checkpoint_ns = earlier.checkpoint_ns
) AND NOT EXISTS (
    SELECT 1 FROM checkpoints
    WHERE thread_id = :thread AND checkpoint_ns = earlier.checkpoint_ns
    AND json_extract(CAST(metadata AS TEXT), '$.counters_since_delta_snapshot') IS NOT NULL
)
"""


def delete_thread(connection: sqlite3.Connection, thread_id: str) -> None:
    """Delete all data of a thread."""
    for table in TABLES:
        connection.execute(f"DELETE FROM {table} WHERE thread_id = ?", (str(thread_id),))


def delete_runs(connection: sqlite3.Connection, run_ids: Sequence[str]) -> set[str]:
    """Delete the checkpoints whose metadata names these runs, and their writes; returns their threads.

    The values stay: other checkpoints of the thread may refer to them.
    """
    return _delete(connection, connection.execute(_OF_RUNS, (json.dumps([*run_ids]),)).fetchall())


def keep_latest(connection: sqlite3.Connection, thread_id: str) -> None:
    """Delete all checkpoints of a thread but the newest of each namespace, and their writes; the values stay."""
    _delete(connection, connection.execute(_EARLIER, {"thread": str(thread_id)}).fetchall())


def copy_thread(connection: sqlite3.Connection, source: str, target: str) -> None:
    """Copy all data of a thread to another one."""
    for table in TABLES:
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        rest = ", ".join(name for name in columns if name != "thread_id")
        connection.execute(
            f"INSERT OR REPLACE INTO {table} (thread_id, {rest}) SELECT ?, {rest} FROM {table} WHERE thread_id = ?",
            (str(target), str(source)),
        )


def _delete(connection: sqlite3.Connection, rows: Sequence[tuple[str, str, str]]) -> set[str]:
    for table in ("checkpoints", "writes"):
        connection.executemany(
            f"DELETE FROM {table} WHERE thread_id = ? AND checkpoint_ns = ? AND checkpoint_id = ?", rows
        )
    return {thread_id for thread_id, *_ in rows}
