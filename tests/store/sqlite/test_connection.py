"""Files of SQLite give the room of deleted rows back to the disk."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from imagerag.store.sqlite.connection import connect, shrink


@pytest.mark.parametrize("auto_vacuum", ["INCREMENTAL", "NONE"])
def test_the_room_of_deleted_rows_goes_back_to_the_disk(tmp_path: Path, auto_vacuum: str) -> None:
    path = tmp_path / "file.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA auto_vacuum={auto_vacuum}")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE things (thing)")
        connection.executemany("INSERT INTO things VALUES (?)", [("x" * 3_000,)] * 300)
        connection.execute("DELETE FROM things WHERE rowid > 3")
        shrink(path)  # with another connection to it, as a process has that removes runs
    assert path.stat().st_size < 50_000
    with closing(connect(path)) as connection:
        assert connection.execute("PRAGMA freelist_count").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM things").fetchone() == (3,)
