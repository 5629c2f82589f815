"""The table of runs in SQLite: its columns, and how a file of an earlier version is brought up to this one."""

import sqlite3
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from imagerag.store.run_removals import create_removals, stamp
from imagerag.store.sqlite.connection import BUSY_S
from imagerag.store.sqlite.write_batcher import WriteBatcher, open_grouped

if TYPE_CHECKING:
    from imagerag.store.run_index import RunEntry

_SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (
    run_id TEXT PRIMARY KEY, created TEXT NOT NULL, updated TEXT NOT NULL, status TEXT NOT NULL, outcome TEXT,
    prompt TEXT NOT NULL, library TEXT, score REAL, folded TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS runs_by_created ON runs (created DESC);
"""
LATER = {"cost_usd": "REAL", "calls": "INTEGER", "parent_run": "TEXT", "image": "TEXT"}
"""Columns that files of earlier versions lack."""
COLUMNS = ("run_id", "created", "updated", "status", "outcome", "prompt", "library", "score", *LATER)
"""What a row has of a `RunEntry`."""

_REPLACED = {name: f"excluded.{name}" for name in (*COLUMNS, "folded") if name not in ("run_id", "created")}
_REPLACED["parent_run"] = "COALESCE(excluded.parent_run, parent_run)"


def open_table(path: Path) -> AbstractAsyncContextManager[WriteBatcher]:
    """The file, open for writing; one of an earlier version gets the columns that it lacks."""
    return open_grouped(path, _make, upgrade=_brought_up, patience_s=BUSY_S)


def _make(fresh: sqlite3.Connection) -> None:
    fresh.executescript(_SCHEMA)
    _brought_up(fresh)


def upsert_row(connection: sqlite3.Connection, entry: "RunEntry") -> None:
    """Add a run's row, or replace it, except the time of its creation."""
    row = {name: getattr(entry, name) for name in COLUMNS}
    row |= {"created": stamp(entry.created), "updated": stamp(entry.updated), "folded": entry.prompt.casefold()}
    connection.execute(
        f"INSERT INTO runs ({', '.join(row)}) VALUES ({', '.join('?' * len(row))}) "
        f"ON CONFLICT (run_id) DO UPDATE SET {', '.join(f'{name} = {value}' for name, value in _REPLACED.items())}",
        tuple(row.values()),
    )


def _brought_up(connection: sqlite3.Connection) -> None:
    """Add missing columns to a file of an earlier version. Two processes may do so at once."""
    create_removals(connection)
    present = present_columns(connection)
    for name, kind in LATER.items():
        if present and name not in present:
            try:
                connection.execute(f"ALTER TABLE runs ADD COLUMN {name} {kind}")
            except sqlite3.OperationalError as error:
                if "duplicate column" not in str(error):
                    raise


def present_columns(connection: sqlite3.Connection) -> set[str]:
    """The columns of the table; none where there is no table."""
    return {row[1] for row in connection.execute("PRAGMA table_info(runs)")}
