"""A file that holds some room for removals: on a full disk SQLite and LanceDB need a little before they free more."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from imagerag.agent.errors import StorageError
from imagerag.formatting.interface_terms import python_call
from imagerag.store.data_dir import DataDir

RESERVE_BYTES: Final = 2**20
"""What removing some runs or images takes, several times over."""

_PLENTY: Final = 2 * RESERVE_BYTES
"""Bytes that must be free for the reserve to be made anew."""

_FULL: Final = (errno.ENOSPC, errno.EDQUOT)


def keep_reserve(home: DataDir) -> None:
    """Make the reserve of a home, if there is none and the disk has room for it twice. A home works without one."""
    path = home.reserve
    with suppress(OSError):
        if home.root.is_dir() and not path.exists() and shutil.disk_usage(home.root).free > _PLENTY:
            _allocate(path)


@contextmanager
def room_for_removal(home: DataDir) -> Iterator[None]:
    """Give back the room of the reserve for the block, in which something is removed.

    Raises:
        StorageError: the disk is full nevertheless; the message says what can be removed without any room.
    """
    with suppress(OSError):
        home.reserve.unlink(missing_ok=True)
    try:
        yield
    except StorageError as error:
        if error.errno not in _FULL:
            raise
        raise StorageError(f"{error}. {_advice()}", path=error.path, errno=error.errno) from error
    finally:
        keep_reserve(home)


def _advice() -> str:
    library, snapshot = python_call("libraries.delete", "NAME"), python_call("libraries.snapshots.remove", "TAG")
    return (
        f"Removing needs about {RESERVE_BYTES // 2**20} MB itself; without any room go files of your own on that disk, "
        f"a whole library ({library}) and a snapshot ({snapshot})"
    )


def _allocate(path: Path) -> None:
    """Write the file: a hole would hold no room."""
    with path.open("xb") as file:
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, RESERVE_BYTES)
            else:
                file.write(bytes(RESERVE_BYTES))
        except OSError:
            path.unlink(missing_ok=True)
            raise
