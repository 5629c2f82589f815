"""Salvage of a damaged SQLite file: copy all readable rows into a new one, table by table.

SQLite stores rows in trees of pages. A damaged page hides only the pages behind it, so the rows are read from both
ends, then one by one by their row ids, which the table's index often still holds.
"""

import shutil
import sqlite3
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from imagerag.store.sqlite.connection import companion_files, create_tables
from imagerag.store.sqlite.file_kinds import IsWhole, Row, kind_of
from imagerag.store.storage_errors import storage_errors

LONGEST: Final = 2**40
"""Bytes of a file that a header is believed."""

PROBES: Final = 20_000
"""Row numbers of a table that are tried one by one, or in ranges, where no index says which there are."""


@dataclass(frozen=True)
class Salvaged:
    """Rows of a damaged file.

    Attributes:
        saved: number of rows in the new file.
        lost: number of rows that are known to be lost.
        all_known: whether all lost rows are known.
    """

    saved: int = 0
    lost: int = 0
    all_known: bool = True

    def __add__(self, other: "Salvaged") -> "Salvaged":
        return Salvaged(self.saved + other.saved, self.lost + other.lost, self.all_known and other.all_known)

    def __str__(self) -> str:
        at_least = "" if self.all_known else "at least "
        return f"{self.saved:,} rows saved, {at_least}{self.lost:,} lost"


def salvage(damaged: Path, fresh: Path) -> Salvaged:
    """Make a new file from the readable rows of a damaged one, which is not changed.

    Args:
        damaged: a SQLite file of a home, moved out of the way.
        fresh: the new file; it appears with all its rows, or not at all if none can be read.

    Raises:
        StorageError: it cannot be written.
    """
    kind = kind_of(fresh.name)
    if kind is None:
        return Salvaged(all_known=False)
    total = Salvaged()
    with storage_errors(fresh, "cannot make"), TemporaryDirectory(dir=fresh.parent, prefix=".tmp-") as folder:
        copy = _readable_copy(damaged, Path(folder))

        def make(connection: sqlite3.Connection) -> None:
            nonlocal total
            kind.make(connection)
            for table, is_whole in kind.tables.items():
                total += _copied(copy, connection, table, is_whole)
            torn = kind.drop(connection)
            total += Salvaged(-torn, torn)
            if not total.saved:
                raise _NothingError

        with suppress(_NothingError):
            create_tables(fresh, make)
    return total


def _readable_copy(damaged: Path, folder: Path) -> Path:
    """Copy the file, padded to the length in its header: SQLite refuses shorter files."""
    for file in (damaged, companion_files(damaged)[0]):
        if file.exists():
            shutil.copyfile(file, folder / file.name)
    copy = folder / damaged.name
    with copy.open("r+b") as opened:
        head = opened.read(32).ljust(32)
        page, count = int.from_bytes(head[16:18], "big"), int.from_bytes(head[28:32], "big")
        size = (65_536 if page == 1 else page) * count
        if head.startswith(b"SQLite format 3\0") and copy.stat().st_size < size < LONGEST:
            opened.truncate(size)  # a sparse extension with zeros, without disk space
    return copy


class _NothingError(Exception):
    """No row can be read."""


def _copied(damaged: Path, into: sqlite3.Connection, table: str, is_whole: IsWhole) -> Salvaged:
    """Copy the rows of a table."""
    there = [row[1] for row in into.execute(f"PRAGMA table_info({table})")]
    saved, row_count = 0, 0
    try:
        with closing(sqlite3.connect(damaged)) as source:
            source.text_factory = _text
            reader = _Reader(source, table)
            columns = [name for name in there if name in reader.columns]
            statement = f"INSERT OR IGNORE INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
            for row in reader.rows():
                row_count += 1
                with suppress(sqlite3.Error):  # a value that the table rejects
                    if is_whole(row):
                        saved += into.execute(statement, [row[name] for name in columns]).rowcount
            return Salvaged(saved, row_count - saved + len(reader.missing), reader.all_known)
    except (sqlite3.Error, OSError):
        return Salvaged(saved, row_count - saved, all_known=False)


class _Reader:
    """Reads the rows of a damaged table.

    Attributes:
        columns: their names.
        missing: row ids that are in an index and cannot be read.
        all_known: whether the ids of all rows are known.
    """

    def __init__(self, connection: sqlite3.Connection, table: str) -> None:
        self._connection, self._table = connection, table
        self.columns: Sequence[str] = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        if not self.columns:
            raise sqlite3.DatabaseError(f"no table {table}")
        self.missing: set[int] = set()
        self.all_known = True
        self._done: set[int] = set()

    def rows(self) -> Iterator[Row]:
        """Every row that can be read, once."""
        select = f"SELECT rowid, * FROM {self._table} NOT INDEXED"
        forward = yield from self._new(f"{select} ORDER BY rowid")
        if forward is None:
            return
        yield from self._new(f"{select} ORDER BY rowid DESC")
        indexed, whole = self._indexed()
        for number in sorted(indexed - self._done):
            yield from self._new(f"{select} WHERE rowid = {number}")
        self.missing, self.all_known = indexed - self._done, whole
        if not whole:
            yield from self._between(select)

    def _new(self, query: str) -> Generator[Row, None, sqlite3.Error | None]:
        """Yield the new rows of a query, up to the first unreadable one; returns the error, or None at the end of the
        query."""
        try:
            for number, *values in self._connection.execute(query):
                if number not in self._done:
                    self._done.add(number)
                    yield dict(zip(self.columns, values, strict=True))
        except sqlite3.Error as error:
            return error
        return None

    def _indexed(self) -> tuple[set[int], bool]:
        """The row ids in the indexes, and whether one index could be read to its end."""
        numbers: set[int] = set()
        for (name,) in self._indexes():
            for order in ("", "DESC"):
                columns = [row[2] for row in self._connection.execute(f"PRAGMA index_info({name})")]
                by = ", ".join(f"{column} {order}" for column in columns)
                try:
                    for (number,) in self._connection.execute(
                        f"SELECT rowid FROM {self._table} INDEXED BY {name} ORDER BY {by}"
                    ):
                        numbers.add(number)
                    return numbers, True
                except sqlite3.Error:
                    continue
        return numbers, False

    def _indexes(self) -> list[tuple[str]]:
        query = "SELECT name FROM sqlite_schema WHERE type = 'index' AND tbl_name = ? AND coalesce(sql, '') NOT LIKE ?"
        with suppress(sqlite3.Error):
            return self._connection.execute(query, (self._table, "%WHERE%")).fetchall()
        return []

    def _between(self, select: str) -> Iterator[Row]:
        """The rows between those read so far: by ranges, which are halved if they cannot be read."""
        numbers = sorted(self._done)
        ranges = [(a + 1, b - 1) for a, b in zip([0, *numbers], numbers, strict=False) if b - a > 1]
        tries = 0
        while ranges and tries < PROBES:
            low, high = ranges.pop()
            tries += 1
            failed = yield from self._new(f"{select} WHERE rowid BETWEEN {low} AND {high}")
            if failed is not None and low < high:
                middle = (low + high) // 2
                ranges += [(low, middle), (middle + 1, high)]


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")  # which nothing that is whole has; see `_is_text`
