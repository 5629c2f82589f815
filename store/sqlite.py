"""SQLite files that many runs and processes open at once."""

import asyncio
import os
import random
import sqlite3
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Final, TypeVar

BUSY_S: Final = 30.0
"""How long a writer waits for another, in seconds."""

T = TypeVar("T")


def ensure(path: Path, make: Callable[[sqlite3.Connection], object]) -> None:
    """Make the file at `path` in WAL mode when there is none: it appears with all its tables or not at all.

    Making tables in place is not safe: of two openers of a new file one finds half of the other's tables, and switching
    a file to WAL fails at once while another has it open.

    Args:
        path: the SQLite file; its folder is made, too.
        make: makes the tables.
    """
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".tmp-") as folder:
        fresh = Path(folder) / path.name
        with closing(sqlite3.connect(fresh)) as connection:
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


async def patiently(work: Callable[[], Awaitable[T]]) -> T:
    """Do `work`, again and again while another holds the file: SQLite's busy timeout does not cover every lock.

    Raises:
        sqlite3.Error: it stayed so for `BUSY_S` seconds, or it is something else.
    """
    give_up = time.monotonic() + BUSY_S
    while True:
        try:
            return await work()
        except sqlite3.OperationalError as error:
            if not any(word in str(error) for word in ("locked", "busy")) or time.monotonic() > give_up:
                raise
        await asyncio.sleep(random.uniform(0.01, 0.1))
