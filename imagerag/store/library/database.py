"""The LanceDB database of a home: its tables, their names, and their errors."""

import json
import os
import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

from imagerag.agent.errors import (
    LibraryDamagedError,
    LibraryError,
    LibraryVersionError,
    StorageError,
    UnknownLibraryError,
    UsageError,
)
from imagerag.agent.retrieval.search_queries import AT, split_name
from imagerag.formatting.interface_terms import PATH, python_call
from imagerag.formatting.messages import unknown as unknown_name
from imagerag.store.data_dir import DataDir
from imagerag.store.file_lock import held_alone
from imagerag.store.images.blob_store import write_atomically
from imagerag.store.library.lancedb_import import import_lancedb
from imagerag.store.library.names import SNAPSHOTS, SUFFIX, check_new_name, snapshot_tags, valid_name, valid_tag
from imagerag.store.storage_errors import damaged_file, storage_error, storage_errors
from imagerag.store.unfinished_files import delete

T = TypeVar("T")

LANCE_ERRORS = (OSError, RuntimeError, ValueError)
"""What lancedb raises."""

GONE: Final = 3
"""How often a file that is not there is looked for again."""

INDEX_CACHE, METADATA_CACHE = 2**29, 2**27
"""Bytes of a table's indexes and of other parts of its files that are held in memory: searches of a million images need
150 MB. Every write makes new indexes, and LanceDB would hold the old ones, up to 7 GiB."""

_CONFLICT: Final = ("conflict", "incompatible transaction", "concurrent")
_CROSSED: Final = (*_CONFLICT, "not found", "no such file", "os error 2)")
_PANIC: Final = "RustPanic"
_NEWER: Final = ("please upgrade", "newer version", "unsupported feature flag", "cannot be read by this version")


def list_libraries(home: DataDir) -> list[str]:
    """The names of all libraries, sorted."""
    with storage_errors(home.libraries, "cannot read"):
        if not home.libraries.exists():
            return []
        if not home.libraries.is_dir():
            raise damaged_file(home.libraries, "it is no folder")
        os.listdir(home.libraries)  # Lance treats an unreadable folder as an empty one
    names: list[str] = []
    try:
        database = connect(home)
        page = database.list_tables()
        while page.tables:
            names += page.tables
            if not page.page_token:
                break
            page = database.list_tables(page_token=page.page_token)
    except LANCE_ERRORS as error:
        raise storage_error(error, home.libraries, "cannot read") or damaged_file(home.libraries, str(error)) from error
    return sorted(names)


def remove(home: DataDir, name: str) -> None:
    """Delete a library with all of its content.

    Raises:
        UnknownLibraryError: there is none of that name.
        StorageError: its files cannot be removed.
    """
    if valid_name(name) not in list_libraries(home):
        raise unknown(home, name)
    folder = folder_of(home, name)
    with held_alone(home.filling / f"{name}.new"), storage_errors(folder, "cannot remove"):
        try:
            gone = folder.rename(folder.with_name(f".tmp-{uuid.uuid4().hex}"))  # nobody finds half a library
        except FileNotFoundError:
            raise unknown(home, name) from None
        # A write that is under way may make the folder again; later ones find no library.
        with held_alone(home.filling / f"{name}.writing"), held_alone(home.filling / f"{name}.calibrating"):
            for path in (folder, gone):
                delete(path)
    forget_renames(home, name)


def connect(home: DataDir) -> Any:
    """The home's LanceDB database."""
    return _connect(home.libraries)


def _connect(folder: Path) -> Any:
    # Zero: another process's commits are seen by the next read. Stable row ids: joining fragments leaves indexes as
    # they are.
    options = {"new_table_enable_stable_row_ids": "true", "new_table_data_storage_version": "2.1"}
    lancedb = import_lancedb()
    session = lancedb.Session(INDEX_CACHE, METADATA_CACHE)
    return lancedb.connect(folder, read_consistency_interval=timedelta(0), storage_options=options, session=session)


def renamed_file(home: DataDir) -> Path:
    """The file of earlier library names."""
    return home.libraries / "renamed.json"


def renames(home: DataDir) -> dict[str, str]:
    """Earlier name → name, of libraries that were renamed."""
    try:
        names = json.loads(renamed_file(home).read_bytes())
    except (OSError, ValueError):
        return {}
    return {str(was): str(now) for was, now in names.items()} if isinstance(names, dict) else {}


def forget_renames(home: DataDir, name: str) -> None:
    """Drop earlier names of a library, and the target of its own name; called when it is removed or a new one is made.

    Raises:
        StorageError: the list of names cannot be written.
    """
    if any(name in pair for pair in renames(home).items()):
        change_renames(home, lambda names: {was: now for was, now in names.items() if name not in (was, now)})


def change_renames(home: DataDir, change: Callable[[dict[str, str]], dict[str, str]]) -> None:
    """Update the list of names; waits for other writers.

    Raises:
        StorageError: it cannot be written.
    """
    path = renamed_file(home)
    with held_alone(home.filling / "_renames"), storage_errors(path, "cannot write"):  # not a library's name
        write_atomically(path, json.dumps(change(renames(home)), indent=1).encode())


def current_name(home: DataDir, name: str) -> str:
    """The current name of a library that has or had this name; with the tag for a snapshot (`NAME@TAG`).

    Raises:
        UnknownLibraryError: no library has or had that name.
    """
    library, tag = split_name(name)
    names = list_libraries(home)
    now = library if valid_name(library) in names else renames(home).get(library, "")
    if now not in names:
        raise unknown(home, library)
    if tag is None:
        return now
    if valid_tag(tag) not in (tags := snapshot_tags(folder_of(home, now))):
        message = unknown_name("snapshot", tag, tags, where=f"library {now!r}")
        create = python_call("libraries.snapshots.create", tag, library=now)
        raise UnknownLibraryError(f"{message}. Take one: {create}")
    return f"{now}{AT}{tag}"


def snapshot_names(home: DataDir, name: str) -> list[str]:
    """The names (`NAME@TAG`) of a library's snapshots, sorted; empty for a snapshot.

    Raises:
        UnknownLibraryError: there is no such library.
    """
    name = current_name(home, name)
    return [f"{name}{AT}{tag}" for tag in snapshot_tags(folder_of(home, name))]


def is_there(home: DataDir, name: str) -> bool:
    """Whether a library or a snapshot of that name exists."""
    try:
        return bool(current_name(home, name))
    except (UnknownLibraryError, UsageError):
        return False


def open_table(home: DataDir, name: str) -> Any:
    """Open the table of a library or a snapshot, by its name or an earlier one.

    Raises:
        UnknownLibraryError: there is none of that name; the message lists those there are.
        LibraryDamagedError: its files cannot be read.
    """
    return open_current(home, current_name(home, name))


def open_current(home: DataDir, name: str) -> Any:
    """Open the table of a library or a snapshot by its current name, as returned by `current_name`.

    Raises:
        LibraryDamagedError: its files cannot be read.
    """
    folder = folder_of(home, name)
    try:
        return _connect(folder.parent).open_table(folder.name.removesuffix(SUFFIX))
    except LANCE_ERRORS as error:
        if home.libraries.exists() and not folder.exists():  # removed or renamed since its name was looked up
            raise unknown(home, name) from error
        raise damaged(name, error, folder) from error


def create_table(home: DataDir, name: str, schema: Any) -> None:
    """Create a library's table, unless one of that name exists already.

    Raises:
        UsageError: the name is invalid.
    """
    if valid_name(name) in (names := list_libraries(home)):
        return
    check_new_name(name, names, "a library's name")
    with storage_errors(home.libraries, "cannot write into"):
        home.libraries.mkdir(parents=True, exist_ok=True)
    with held_alone(home.filling / f"{name}.new"):  # a second creator finds a complete table
        try:
            if name not in list_libraries(home):
                forget_renames(home, name)  # first, so that references to the earlier library do not find this one
                connect(home).create_table(name, schema=schema)
        except LANCE_ERRORS as error:
            if "already exists" not in str(error):  # else another process created it
                raise damaged(name, error, folder_of(home, name)) from error


def overwrite_table(home: DataDir, name: str, rows: Any) -> None:
    """Replace all rows of a library, and its schema, in one commit.

    Args:
        rows: an Arrow reader of record batches.
    """
    connect(home).create_table(name, rows, mode="overwrite")


def folder_of(home: DataDir, name: str) -> Path:
    """The folder of a library or a snapshot."""
    library, tag = split_name(name)
    folder = home.libraries / f"{library}{SUFFIX}"
    return folder if tag is None else folder / SNAPSHOTS / f"{tag}{SUFFIX}"


def retry_on_conflict(work: Callable[[], T], tries: int = 8) -> T:
    """Retry on a commit conflict; LanceDB retries only some of these itself.

    A commit may be followed by a cleanup that removes files of the version being read; the next try reads the newer
    version. Beside another process's commits LanceDB sometimes panics in an index of words ("not implemented"); the
    next try succeeds.

    Raises:
        OSError, RuntimeError, ValueError: what LanceDB raises, a panic of every try too.
    """
    for attempt in range(tries):
        try:
            return work()
        except LANCE_ERRORS as error:
            if attempt == tries - 1 or not any(word in str(error).lower() for word in _CROSSED):
                raise
            if attempt >= GONE and not any(word in str(error).lower() for word in _CONFLICT):
                raise  # a file that is missing in every try is really missing
        except Exception as error:
            if type(error).__name__ != _PANIC:  # its module cannot be imported
                raise
            if attempt >= GONE:
                raise RuntimeError(f"LanceDB failed: {error}") from error
        time.sleep(0.05 * 2**attempt)
    raise AssertionError("unreachable")


def unknown(home: DataDir, name: str) -> UnknownLibraryError:
    """`UnknownLibraryError` that lists the existing libraries, or names the one that had this name before."""
    if (now := renames(home).get(name)) in list_libraries(home):
        return UnknownLibraryError(f"library {name!r} was renamed and is {now!r} now: name that one")
    message = unknown_name("library", name, list_libraries(home), where=str(home.root))
    return UnknownLibraryError(f"{message}. Make one: {python_call('libraries.index', PATH, library=name)}")


def damaged(name: str, error: Exception, where: str | os.PathLike[str] = "") -> LibraryError | StorageError:
    """The error for a library that cannot be used, with cause and advice: machine, newer version, or damaged files."""
    if (failure := storage_error(error, where or f"library {name!r}")) is not None:
        return failure
    if any(word in str(error).lower() for word in _NEWER):
        return newer(name, str(error))
    return LibraryDamagedError(
        f"library {name!r} cannot be used: {error}. Nothing was changed: imagerag doctor says what is wrong, "
        f"imagerag doctor --repair mends it or sets it aside"
    )


def newer(name: str, why: str) -> LibraryVersionError:
    """The error for a library made by a newer imagerag."""
    return LibraryVersionError(
        f"library {name!r} was made by a newer version of imagerag ({why}). It is not damaged: update this one "
        "(pip install --upgrade imagerag), or name another library"
    )
