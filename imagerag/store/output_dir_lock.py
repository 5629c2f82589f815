"""Locks of output folders: two processes in one folder would pay twice and mix their results."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from imagerag.agent.errors import UsageError
from imagerag.store.file_lock import alone_now, locked, locked_together
from imagerag.store.storage_errors import storage_error

LOCK: Final = ".lock"
"""The file that is locked while a folder is written; it says who writes."""


@contextmanager
def exclusive_writer(folder: Path, *, instead: str = "another `out`") -> Iterator[None]:
    """Lock an output folder exclusively; it is created if it does not exist.

    The operating system releases the lock at once when the process ends, also after a kill.

    Args:
        instead: what to give so that another folder is written.

    Raises:
        UsageError: another process writes it.
        StorageError: it cannot be written.
    """
    if sys.platform == "win32":  # nothing is held there
        with _folder_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            yield
        return
    path, fresh = folder / LOCK, not folder.exists()
    file = _lock_file(locked, folder, instead)
    try:
        command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:3]])
        os.truncate(file, 0)
        with _folder_errors(folder):
            os.write(file, f"{os.getpid()} {command[:60]}\n".encode(errors="replace"))
            yield
    finally:
        path.unlink(missing_ok=True)
        if fresh:
            with suppress(OSError):  # the folder is not empty
                folder.rmdir()
        os.close(file)


def _lock_file(lock: Callable[[Path], int | None], folder: Path, instead: str) -> int:
    """The open lock file of a folder.

    Raises:
        UsageError: another process holds it.
        StorageError: it cannot be written.
    """
    try:
        file = lock(folder / LOCK)
    except OSError as error:
        failure = storage_error(error, folder, "cannot write into")
        raise failure or UsageError(f"cannot write into {folder}: {error.strerror or error}") from error
    if file is None:
        holder = _holder(folder / LOCK)
        raise UsageError(f"{folder} is being written by {holder}:\nwait until it has ended, or give {instead}")
    return file


@contextmanager
def _folder_errors(folder: Path) -> Iterator[None]:
    """Raise write errors with their cause and the folder: an error of `write` itself names no file."""
    try:
        yield
    except OSError as error:
        if (failure := storage_error(error, error.filename or folder, "cannot write")) is not None:
            raise failure from error
        raise


@contextmanager
def shared_writer(folder: Path, *, instead: str = "another `out`") -> Iterator[None]:
    """Lock an output folder shared with other writers of this kind, against exclusive writers.

    Args:
        instead: what to give so that another folder is written.

    Raises:
        UsageError: another process holds it exclusively.
        StorageError: it cannot be written.
    """
    if sys.platform == "win32":  # nothing is held there
        with _folder_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            yield
        return
    path = folder / LOCK
    file = _lock_file(locked_together, folder, instead)
    try:
        with _folder_errors(folder):
            yield
    finally:
        if alone_now(file):  # the last one removes the lock file
            path.unlink(missing_ok=True)
        os.close(file)


def _holder(path: Path) -> str:
    """The process that the lock file names as the writer."""
    try:
        pid, _, command = path.read_text("utf-8", errors="replace").strip().partition(" ")
    except OSError:
        return "another process"
    return f"process {pid} ({command})" if pid.isdigit() else "another process"
