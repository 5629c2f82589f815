"""Renaming a library. Runs and settings that name the old one go on finding it, until a new library takes that name,
or the renamed one is removed.

The names are in one file beside the libraries, written before the folder is renamed. An entry counts only if there is
no library of the old name and one of the new: if renaming is stopped, the library has its old name and nothing is lost.
"""

import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from imagerag.agent.errors import UsageError
from imagerag.agent.types import BUILT_IN_LIBRARY
from imagerag.store.data_dir import DataDir
from imagerag.store.file_lock import alone_now, waiting_lock
from imagerag.store.library.database import change_renames, folder_of, list_libraries, unknown
from imagerag.store.library.names import check_new_name, valid_name, valid_new_name
from imagerag.store.storage_errors import storage_errors

LOCKS: Final = ("files", "writing", "calibrating")
"""Of a library, in the order in which whoever takes several takes them."""


def _hold(stack: ExitStack, lock: Path, *, wait: bool = True) -> bool:
    """Hold a lock exclusively until the stack exits; returns whether it is held: without `wait`, not if others
    hold it."""
    file = waiting_lock(lock, alone=wait)
    if file is None:
        return True
    stack.callback(os.close, file)
    return wait or alone_now(file)


def rename_library(home: DataDir, old: str, new: str) -> None:
    """Rename a library; waits for writers of rows.

    Raises:
        UnknownLibraryError: there is none of the old name.
        UsageError: the new name is taken or invalid, or the library is being filled.
        StorageError: the folder cannot be renamed.
    """
    if valid_name(old) == BUILT_IN_LIBRARY or valid_new_name(new) == BUILT_IN_LIBRARY:
        raise UsageError(f"{BUILT_IN_LIBRARY!r} is the built-in catalogue: name another")
    with ExitStack() as stack:
        for lock in (f"{new}.new", *(f"{name}.{kind}" for kind in LOCKS for name in sorted({old, new}))):
            _hold(stack, home.filling / lock)
        for name in sorted({old, new}):
            if not _hold(stack, home.filling / name, wait=False):
                raise UsageError(f"library {name!r} is being filled right now: rename it when that is done")
        names = list_libraries(home)
        if old not in names:
            raise unknown(home, old)
        if new in names:
            raise UsageError(f"there is a library {new!r} already: name another, or remove it first")
        check_new_name(new, [name for name in names if name != old], "a library's name")
        change_renames(home, lambda renames: _with(renames, old, new))
        with storage_errors(folder_of(home, old), "cannot rename"):
            folder_of(home, old).rename(folder_of(home, new))


def _with(names: Mapping[str, str], old: str, new: str) -> dict[str, str]:
    """Earlier name → name, after one more renaming. Entries that led to an earlier library of the new name are
    dropped."""
    others = {was: now for was, now in names.items() if new not in (was, now)}
    return {**{was: new if now == old else now for was, now in others.items()}, old: new}
