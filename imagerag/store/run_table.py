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
COLUMNS = ", ".join(("run_id, created, updated, status, outcome, prompt, library, score", *LATER))


def open_table(path: Path) -> AbstractAsyncContextManager[WriteBatcher]:
    """The file, open for writing; one of an earlier version gets the columns that it lacks."""
    return open_grouped(path, _make, upgrade=_brought_up, patience_s=BUSY_S)


def _make(fresh: sqlite3.Connection) -> None:
    fresh.executescript(_SCHEMA)
    _brought_up(fresh)


def upsert_row(connection: sqlite3.Connection, entry: "RunEntry") -> None:
    """Add a run's row, or replace it, except the time of its creation."""
    row = (
        entry.run_id,
        stamp(entry.created),
        stamp(entry.updated),
        entry.status,
        entry.outcome,
        entry.prompt,
        entry.library,
        entry.score,
        entry.cost_usd,
        entry.calls,
        entry.parent_run,
        entry.image,
        entry.prompt.casefold(),
    )
    connection.execute(
        f"INSERT INTO runs ({COLUMNS}, folded) VALUES ({', '.join('?' * len(row))}) "
        "ON CONFLICT (run_id) DO UPDATE SET updated = excluded.updated, status = excluded.status, "
        "outcome = excluded.outcome, prompt = excluded.prompt, library = excluded.library, "
        "score = excluded.score, cost_usd = excluded.cost_usd, calls = excluded.calls, "
        "parent_run = COALESCE(excluded.parent_run, parent_run), "
        "image = excluded.image, folded = excluded.folded",
        row,
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
