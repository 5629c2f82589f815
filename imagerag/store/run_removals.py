"""Pending removals: runs that were removed from the index while some of their data still exists.

The entry is written in the same transaction and file as the removal from the index: if the process ends, the next
removal continues from it. What a removed run used together with others is noted for the removal of those.
"""

import asyncio
import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from pydantic import AwareDatetime

from imagerag.agent.types import FrozenModel
from imagerag.store.sqlite.connection import BUSY_S, connect
from imagerag.store.sqlite.pool import PerLoopResource
from imagerag.store.sqlite.write_batcher import WriteBatcher
from imagerag.store.storage_errors import storage_errors

_REMOVALS = """
CREATE TABLE IF NOT EXISTS removals (
    run_id TEXT PRIMARY KEY, updated TEXT NOT NULL, blobs TEXT NOT NULL
) WITHOUT ROWID
"""
_LAST_USES = """
CREATE TABLE IF NOT EXISTS last_uses (sha256 TEXT PRIMARY KEY, updated TEXT NOT NULL) WITHOUT ROWID
"""


def stamp(moment: datetime) -> str:
    """Format a time for storage: in UTC and of fixed width, so that times sort as text."""
    try:
        moment = moment.astimezone(UTC)
    except (OverflowError, ValueError):  # the first or the last day that there is, somewhere east or west of UTC
        moment = (datetime.min if moment.year == 1 else datetime.max).replace(tzinfo=UTC)
    return moment.isoformat(timespec="microseconds")


class RunRemoval(FrozenModel):
    """A run that was taken off the list, and of which other files may still hold something.

    Attributes:
        updated: when the run wrote last.
        blobs: the images it referred to, by SHA-256.
    """

    run_id: str
    updated: AwareDatetime
    blobs: tuple[str, ...]


def create_removals(connection: sqlite3.Connection) -> None:
    """Create the tables if they are missing."""
    connection.execute(_REMOVALS)
    connection.execute(_LAST_USES)


class RunRemovals:
    """The pending removals, stored beside the index of runs.

    Args:
        path: the file of the index.
        writing: opens it.
    """

    def __init__(self, path: Path, writing: PerLoopResource[WriteBatcher]) -> None:
        self._path, self._writing = path, writing

    async def begin(self, removal: RunRemoval) -> None:
        """Remove a run from the index and record that its data is to be deleted, in one transaction."""
        row = (removal.run_id, stamp(removal.updated), json.dumps(removal.blobs))
        async with self._writing.use() as grouped:

            def move() -> None:
                insert = "INSERT OR REPLACE INTO removals (run_id, updated, blobs) VALUES (?, ?, ?)"
                grouped.connection.execute(insert, row)
                grouped.connection.execute("DELETE FROM runs WHERE run_id = ?", row[:1])

            await grouped.write(move)

    async def finish(self, run_ids: Iterable[str], last_uses: Mapping[str, datetime], gone: Iterable[str]) -> None:
        """Drop the entries of runs that are deleted completely, and note what `last_uses` returns from now on.

        Args:
            last_uses: SHA-256 of an image that other runs still refer to → when a removed run wrote last.
            gone: images whose times are needed no more.
        """
        removed = [(run_id,) for run_id in run_ids]
        times = [(sha, stamp(updated)) for sha, updated in last_uses.items()]
        deleted = [(sha,) for sha in gone]
        note = (
            "INSERT INTO last_uses (sha256, updated) VALUES (?, ?) "
            "ON CONFLICT (sha256) DO UPDATE SET updated = max(updated, excluded.updated)"
        )
        async with self._writing.use() as grouped:

            def drop() -> None:
                grouped.connection.executemany("DELETE FROM removals WHERE run_id = ?", removed)
                grouped.connection.executemany("DELETE FROM last_uses WHERE sha256 = ?", deleted)
                grouped.connection.executemany(note, times)

            await grouped.write(drop)

    async def list(self) -> list[RunRemoval]:
        """The runs whose removal is not finished."""
        return await asyncio.to_thread(self.read)

    def read(self) -> "_Removals":
        """As `list`, but blocking."""
        rows = self._rows("removals", "run_id, updated, blobs")
        return [
            RunRemoval(run_id=run_id, updated=datetime.fromisoformat(updated), blobs=json.loads(blobs))
            for run_id, updated, blobs in rows
        ]

    async def last_uses(self) -> dict[str, datetime]:
        """SHA-256 of images that removed runs used → when the last of those runs wrote last."""
        rows = await asyncio.to_thread(self._rows, "last_uses", "sha256, updated")
        return {sha: datetime.fromisoformat(updated) for sha, updated in rows}

    def _rows(self, table: str, columns: str) -> Sequence[tuple[str, ...]]:
        if not self._path.exists() or not self._path.stat().st_size:
            return []
        with storage_errors(self._path), closing(connect(self._path, timeout=BUSY_S)) as connection:
            if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = ?", (table,)).fetchone():
                return []
            return connection.execute(f"SELECT {columns} FROM {table} ORDER BY 1").fetchall()


_Removals = list[RunRemoval]
"""Named here because inside the class `list` is the method."""
