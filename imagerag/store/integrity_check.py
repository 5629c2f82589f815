"""Every file of a home, opened and checked: SQLite files, images, libraries, room and permission to write."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from imagerag.agent.errors import ImageRAGError, LibraryDamagedError, LibraryVersionError, StorageError
from imagerag.store.data_dir import DataDir
from imagerag.store.disk_space import check_writable
from imagerag.store.library.database import LANCE_ERRORS, damaged, folder_of, list_libraries, open_table
from imagerag.store.library.index_files import CHANGED, changed_index_files
from imagerag.store.library.library_metadata import library_metadata_of, stale
from imagerag.store.library.maintenance.index_verification import query_indexes
from imagerag.store.library.maintenance.vector_verification import CLEARED
from imagerag.store.library.maintenance.verification import problems_of
from imagerag.store.library.table import LibraryTable
from imagerag.store.library.thresholds.content import content_of
from imagerag.store.sqlite.connection import connect
from imagerag.store.storage_errors import storage_error, storage_errors

Kind = Literal["home", "sqlite", "image", "library", "library-images", "index"]

TABLES: Final = {
    "runs.sqlite": ("checkpoints", "writes"),
    "questions.sqlite": ("checkpoints", "writes"),
    "store.sqlite": ("store",),
    "run_list.sqlite": ("runs",),
    "usage.sqlite": ("spending",),
}
"""What each SQLite file of a home must hold."""

MENDED: Final = ("row", "duplicate-row", "copy", "vector", *CLEARED)
"""Kinds of problems of a library's images that `doctor` tells, and mends as `library verify --repair` does."""


class IntegrityProblem(BaseModel):
    """Something about a home that is not as it should be.

    Attributes:
        kind: what it is about; "index" is the search index of a library whose images are in order, and
            "library-images" are images of one whose table is.
        path: the file, or the folder of a library.
        problem: what is wrong with it.
        damaged: whether the file itself is damaged; else the machine, or its age, keeps it from being used.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    kind: Kind
    path: str
    problem: str
    damaged: bool = True


def integrity_problems(home: DataDir) -> Iterator[IntegrityProblem]:
    """List all problems of the files of a home. Reads every byte and changes nothing."""
    if not home.root.exists():
        return
    try:
        check_writable(home.root)
    except StorageError as error:
        yield IntegrityProblem(kind="home", path=str(home.root), problem=str(error), damaged=False)
    for path in sqlite_files(home):
        yield from _problems_of("sqlite", path, lambda path=path: check_sqlite(path))  # type: ignore[misc]
    for path in blob_files(home):
        yield from _problems_of("image", path, lambda path=path: check_blob(home, path))  # type: ignore[misc]
    yield from _of_libraries(home)


def sqlite_files(home: DataDir) -> list[Path]:
    """The existing SQLite files."""
    paths = (home.checkpoints, home.conversations, home.store, home.run_list, home.usage)
    return [path for path in paths if path.exists()]


def blob_files(home: DataDir) -> Iterator[Path]:
    """Every file of the blob store."""
    if home.blobs.is_dir():
        yield from sorted(path for path in home.blobs.glob("*/*") if not path.name.startswith(".tmp-"))


def check_sqlite(path: Path) -> None:
    """Read every page of a SQLite file, and compare its indexes with its tables.

    Raises:
        DamagedFileError, StorageError: it cannot be read.
        ValueError: it can be read, but is inconsistent.
    """
    if not path.stat().st_size:
        raise ValueError("it is empty")
    with storage_errors(path, "cannot read"), closing(connect(path, timeout=5.0)) as connection:
        lines = [row[0] for row in connection.execute("PRAGMA integrity_check(3)")]
        if lines != ["ok"]:
            raise ValueError("; ".join(" ".join(str(line).split()) for line in lines))
        there = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if lacking := [name for name in TABLES[path.name] if name not in there]:
        raise ValueError(f"it has no table {', '.join(lacking)}")


def check_blob(home: DataDir, path: Path) -> None:
    """Compare an image's bytes with its name.

    Raises:
        StorageError: it cannot be read.
        ValueError: their hash differs from the name.
    """
    expected = path.parent.name + path.name
    with storage_errors(path, "cannot read"):
        if not path.is_file():
            raise ValueError("it is no file")
        actual = sha256(path.read_bytes()).hexdigest()
    if actual != expected:
        raise ValueError(f"its bytes have the SHA-256 {actual[:16]}…, not the one it is named for")


def check_library(home: DataDir, name: str) -> None:
    """Read every row of a library and every image stored in it, and compare each image with its SHA-256.

    Linked files outside of the library are not read.

    Raises:
        LibraryDamagedError, LibraryVersionError, StorageError: it cannot be read.
        ValueError: an image does not match its SHA-256, or a vector is invalid.
    """
    table = open_table(home, name)
    library_metadata_of(table, name)
    try:
        content_of(table)
        problems = problems_of(LibraryTable(home, name, table), files=False)
        damage = next((one for one in problems if one.kind in MENDED), None)
    except LANCE_ERRORS as error:
        raise damaged(name, error, folder_of(home, name)) from error
    if damage:
        raise _ImagesError(f"the image {damage.id} is damaged: {damage.problem}")


def check_indexes(home: DataDir, name: str) -> None:
    """Query each search index of a library, and compare its files with their checksums.

    Raises:
        LibraryDamagedError: an index cannot be read, or was changed; the images may still be intact.
    """
    try:
        query_indexes(open_table(home, name))
    except LANCE_ERRORS as error:
        raise damaged(name, error, folder_of(home, name)) from error
    for path in changed_index_files(folder_of(home, name)):
        raise damaged(name, ValueError(f"{path}: {CHANGED}"))


class _ImagesError(ValueError):
    """Some images of a library are damaged; its table is intact."""


def is_stale(home: DataDir, name: str) -> bool:
    """Whether a library's threshold was measured on other content than its current one; false for an empty library."""
    table = open_table(home, name)
    return bool(table.count_rows()) and stale(library_metadata_of(table, name), content_of(table))


def _of_libraries(home: DataDir) -> Iterator[IntegrityProblem]:
    try:
        names = list_libraries(home)
    except ImageRAGError as error:
        yield IntegrityProblem(kind="home", path=str(home.libraries), problem=str(error), damaged=False)
        return
    for name in names:
        folder, whole = folder_of(home, name), True
        for problem in _problems_of("library", folder, lambda name=name: check_library(home, name)):  # type: ignore[misc]
            whole = False
            yield problem
        if whole:
            yield from _problems_of("index", folder, lambda name=name: check_indexes(home, name))  # type: ignore[misc]


def _problems_of(kind: Kind, path: Path, check: Callable[[], None]) -> Iterator[IntegrityProblem]:
    try:
        check()
    except (StorageError, LibraryVersionError) as error:
        yield IntegrityProblem(kind=kind, path=str(path), problem=str(error), damaged=False)
    except LibraryDamagedError as error:
        yield IntegrityProblem(kind=kind, path=str(path), problem=_cause(error))
    except _ImagesError as error:
        yield IntegrityProblem(kind="library-images", path=str(path), problem=str(error))
    except (ImageRAGError, ValueError, sqlite3.Error) as error:
        locked = isinstance(error, sqlite3.OperationalError) and "locked" in str(error)
        yield IntegrityProblem(kind=kind, path=str(path), problem=_cause(error), damaged=not locked)
    except OSError as error:
        failure = storage_error(error, path, "cannot read")
        yield IntegrityProblem(kind=kind, path=str(path), problem=str(failure or error), damaged=False)


def _cause(error: Exception) -> str:
    return str(error.__cause__ or error)
