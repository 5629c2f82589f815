"""SQLite files that many runs and processes open at once."""

import os
import shutil
import sqlite3
import tempfile
import time
import weakref
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final

from imagerag.agent.errors import StorageError
from imagerag.store.storage_errors import damaged_file, sqlite_error, storage_errors

BUSY_S: Final = 30.0
"""How long a writer waits for another, in seconds."""


def create_tables(path: Path, make: Callable[[sqlite3.Connection], object]) -> None:
    """Make the file at `path` in WAL mode when there is none: it appears with all its tables or not at all.

    Making tables in place is not safe: of two openers of a new file one finds half of the other's tables, and switching
    a file to WAL fails at once while another has it open.

    Args:
        path: the SQLite file; its folder is made, too.
        make: makes the tables.

    Raises:
        StorageError: it cannot be made there.
        DamagedFileError: it is there, and has not one byte: whatever emptied it, we did not.
    """
    with storage_errors(path, "cannot make"):
        if not path.exists():
            _make_whole(path, make)
        elif not path.stat().st_size:
            raise damaged_file(path, "it is empty")


def _make_whole(path: Path, make: Callable[[sqlite3.Connection], object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".tmp-") as folder:
        fresh = Path(folder) / path.name
        with closing(sqlite3.connect(fresh)) as connection:
            connection.execute("PRAGMA auto_vacuum=INCREMENTAL")  # so that deleting can make the file smaller
            connection.execute("PRAGMA journal_mode=WAL")
            make(connection)
            connection.commit()
        try:
            os.link(fresh, path)
        except FileExistsError:
            pass  # another was first, with the same tables
        except OSError:  # no hard links here; a rename may only replace tables that are empty still
            if not path.exists():
                fresh.replace(path)


class _Connection(sqlite3.Connection):
    """A connection that other things can be tied to."""


def connect(path: Path, **options: Any) -> sqlite3.Connection:
    """A connection to the file at `path`; for reading only, where it cannot be written.

    SQLite wants to write even when it reads: the index of a WAL. In a folder that is read-only, or full, it is read as
    it stands; changes that lie in its WAL still are read from a copy of both.

    Raises:
        StorageError: it cannot be opened at all.
        DamagedFileError: it is no database.
    """
    with storage_errors(path, "cannot open"):
        if can_write(path):
            connection: sqlite3.Connection = sqlite3.connect(path, **options)
            try:
                connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchall()
                return connection
            except sqlite3.OperationalError as error:
                connection.close()
                if not isinstance(sqlite_error(error, path), StorageError):
                    raise
        return _for_reading(path, **options)


def can_write(path: Path) -> bool:
    """Whether a file, and what SQLite puts beside it, can be written, as far as one can see."""
    return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK | os.X_OK)


def _for_reading(path: Path, **options: Any) -> sqlite3.Connection:
    with path.open("rb"):  # SQLite would say only that it was unable to
        pass
    wal = companion_files(path)[0]
    if not (wal.exists() and wal.stat().st_size):
        return _as_it_stands(path, **options)
    folder = tempfile.mkdtemp(prefix="imagerag-")
    for file in (path, wal):
        shutil.copyfile(file, Path(folder) / file.name)
    connection = sqlite3.connect(Path(folder) / path.name, factory=_Connection, **options)
    weakref.finalize(connection, shutil.rmtree, folder, ignore_errors=True)
    connection.execute("PRAGMA query_only=ON")
    return connection


def _as_it_stands(path: Path, **options: Any) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
    connection: sqlite3.Connection = sqlite3.connect(uri, uri=True, **options)
    return connection


def shrink(path: Path) -> None:
    """Give back the room of deleted rows. Where others use the file just now, or it is full, it is used again later."""
    with suppress(sqlite3.OperationalError), closing(connect(path, timeout=1.0, isolation_level=None)) as connection:
        if connection.execute("PRAGMA auto_vacuum").fetchone() == (2,):
            connection.executescript("PRAGMA incremental_vacuum")  # `execute` stops after the first page
        elif 4 * _pragma(connection, "freelist_count") > _pragma(connection, "page_count"):
            connection.execute("PRAGMA auto_vacuum=INCREMENTAL")  # a file of an earlier version: written anew once
            connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def companion_files(path: Path) -> tuple[Path, Path]:
    """What SQLite keeps beside a file while it is open: its WAL, and the index of that."""
    return path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")


def check_locked(error: sqlite3.OperationalError, give_up: float) -> None:
    """See that a statement may be tried again: another process holds the file, and there is time left.

    Args:
        give_up: the moment, of `time.monotonic`, until which it is tried.

    Raises:
        StorageError: the file stayed locked until then.
        sqlite3.Error: it is something else.
    """
    if not any(word in str(error) for word in ("locked", "busy")):
        raise error
    if time.monotonic() > give_up:
        why = f"another process has kept a file of the home locked for {BUSY_S:.0f} s"
        raise StorageError(f"{why}: wait until it is done, then do it again") from error
