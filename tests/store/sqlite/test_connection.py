"""Connections to files of SQLite: the room of deleted rows goes back to the disk, and a short read is done again."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from imagerag.agent.errors import StorageError
from imagerag.store.sqlite.connection import connect, read_again, shrink


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


def failing(times: int, name: str) -> Callable[[], str]:
    """A read that ends so often in SQLite's error of this name."""
    left = [times]

    def read() -> str:
        if left[0]:
            left[0] -= 1
            cause = sqlite3.OperationalError("disk I/O error")
            cause.sqlite_errorname = name
            raise StorageError("the disk reports an error") from cause
        return "read"

    return read


def test_a_read_that_came_too_short_is_done_again_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imagerag.store.sqlite.connection._READ_AGAIN_S", (0.0,) * 5)
    assert read_again(failing(2, "SQLITE_IOERR_SHORT_READ")) == "read"
    with pytest.raises(StorageError):
        read_again(failing(99, "SQLITE_IOERR_SHORT_READ"))
    with pytest.raises(StorageError):
        read_again(failing(1, "SQLITE_IOERR_READ"))
