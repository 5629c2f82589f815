"""Where libraries live: the LanceDB database of a home, its tables, and what goes wrong with them."""

import os
import re
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

from imagerag.agent.errors import LibraryDamagedError, UnknownLibraryError, UsageError
from imagerag.formatting.messages import unknown as unknown_name
from imagerag.store.home import Home
from imagerag.store.lance_import import import_lancedb
from imagerag.store.locks import waited_for

T = TypeVar("T")

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

LANCE_ERRORS = (OSError, RuntimeError, ValueError)
"""What lancedb raises."""


def list_libraries(home: Home) -> list[str]:
    """The names of the libraries there are, sorted."""
    if not home.libraries.exists():
        return []
    names: list[str] = []
    database = connect(home)
    page = database.list_tables()
    while page.tables:
        names += page.tables
        if not page.page_token:
            break
        page = database.list_tables(page_token=page.page_token)
    return sorted(names)


def remove(home: Home, name: str) -> None:
    """Delete a library with everything in it.

    Raises:
        UnknownLibraryError: there is none of that name.
    """
    if valid_name(name) not in list_libraries(home):
        raise unknown(home, name)
    connect(home).drop_table(name)


def valid_name(name: str) -> str:
    """The name itself, if a library can have it.

    Raises:
        UsageError: it cannot.
    """
    if not NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot be a library's name: use letters, digits, '-', '_' and '.' (at most 100, "
            "a letter or digit first)"
        )
    return name


def connect(home: Home) -> Any:
    """The home's LanceDB database."""
    # Zero: another process's commits are seen by the next read.
    return import_lancedb().connect(home.libraries, read_consistency_interval=timedelta(0))


def open_table(home: Home, name: str) -> Any:
    """The table of a library.

    Raises:
        UnknownLibraryError: there is none of that name; the message lists those there are.
        LibraryDamagedError: its files cannot be read.
    """
    if valid_name(name) not in list_libraries(home):
        raise unknown(home, name)
    try:
        return connect(home).open_table(name)
    except LANCE_ERRORS as error:
        raise damaged(name, error) from error


def create_table(home: Home, name: str, schema: Any) -> None:
    """Make a library's table, unless there is one of that name already.

    Raises:
        UsageError: the name cannot be a library's.
    """
    if valid_name(name) in list_libraries(home):
        return
    home.libraries.mkdir(parents=True, exist_ok=True)
    lock = waited_for(home.filling / f"{name}.new", alone=True)  # who comes second finds a whole table
    try:
        if name not in list_libraries(home):
            connect(home).create_table(name, schema=schema)
    except LANCE_ERRORS as error:
        if "already exists" not in str(error):  # else another process was first
            raise damaged(name, error) from error
    finally:
        if lock is not None:
            os.close(lock)


def insist(work: Callable[[], T], tries: int = 8) -> T:
    """Do a write again when another writer's commit got in between; LanceDB retries only some of these itself."""
    for attempt in range(tries):
        try:
            return work()
        except LANCE_ERRORS as error:
            crossed = any(word in str(error).lower() for word in ("conflict", "incompatible transaction", "concurrent"))
            if attempt == tries - 1 or not crossed:
                raise
            time.sleep(0.05 * 2**attempt)
    raise AssertionError("unreachable")


def unknown(home: Home, name: str) -> UnknownLibraryError:
    """That there is no such library, and which there are."""
    told = unknown_name("library", name, list_libraries(home), where=str(home.root))
    return UnknownLibraryError(f"{told}. Make one: imagerag index PATH --library {name}")


def damaged(name: str, error: Exception) -> LibraryDamagedError:
    """That a library's files cannot be used, why, and what to do."""
    return LibraryDamagedError(
        f"library {name!r} cannot be used: {error}. If its files are damaged, remove it "
        f"(imagerag library remove {name}) and index the images again"
    )
