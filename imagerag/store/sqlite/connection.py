"""Connections to SQLite files that many runs and processes open at once."""

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
    """Create the file at `path` in WAL mode if it is missing: it appears with all its tables or not at all.

    Creating tables in place is not safe: of two processes that open a new file, one could find half of the other's
    tables, and switching a file to WAL fails at once while another process has it open.

    Args:
        path: the SQLite file; its folder is made, too.
        make: makes the tables.

    Raises:
        StorageError: the file cannot be created.
        DamagedFileError: the file exists but is empty, which imagerag never causes.
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
            connection.execute("PRAGMA auto_vacuum=INCREMENTAL")  # lets deletions shrink the file
            connection.execute("PRAGMA journal_mode=WAL")
            make(connection)
            connection.commit()
        try:
            os.link(fresh, path)
        except FileExistsError:
            pass  # another process was first, with the same tables
        except OSError:  # no hard links here; a rename may only replace a file whose tables are still empty
            if not path.exists():
                fresh.replace(path)


class _Connection(sqlite3.Connection):
    """A connection that accepts further attributes and weak references."""


def connect(path: Path, **options: Any) -> sqlite3.Connection:
    """Connect to the file at `path`; read-only if it cannot be written.

    SQLite writes even when it reads: the index of the WAL. In a folder that is read-only or full, the file is opened as
    immutable; changes that are still in its WAL are read from a copy of both.

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
    """Whether a file and SQLite's companion files can be written, judged by their permissions."""
    return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK | os.X_OK)


def _for_reading(path: Path, **options: Any) -> sqlite3.Connection:
    with path.open("rb"):  # SQLite's own message would not name the cause
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
    """Release the disk space of deleted rows; skipped if other processes use the file or the disk is full."""
    with suppress(sqlite3.OperationalError), closing(connect(path, timeout=1.0, isolation_level=None)) as connection:
        if connection.execute("PRAGMA auto_vacuum").fetchone() == (2,):
            connection.executescript("PRAGMA incremental_vacuum")  # `execute` stops after the first page
        elif 4 * _pragma(connection, "freelist_count") > _pragma(connection, "page_count"):
            connection.execute("PRAGMA auto_vacuum=INCREMENTAL")  # a file of an earlier version is rewritten once
            connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def companion_files(path: Path) -> tuple[Path, Path]:
    """SQLite's companion files of an open database: the WAL and its index."""
    return path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")


def check_locked(error: sqlite3.OperationalError, give_up: float) -> None:
    """Check that a statement may be retried: the file is locked by another process, and time is left.

    Args:
        give_up: deadline of the retries (`time.monotonic`).

    Raises:
        StorageError: the file stayed locked until then.
        sqlite3.Error: any other error.
    """
    if not any(word in str(error) for word in ("locked", "busy")):
        raise error
    if time.monotonic() > give_up:
        why = f"another process has kept a file of the home locked for {BUSY_S:.0f} s"
        raise StorageError(f"{why}: wait until it is done, then do it again") from error
