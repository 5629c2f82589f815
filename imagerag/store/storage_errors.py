"""Storage errors: problems of the machine, distinguished from damaged files.

A full disk, a read-only file system, missing permission and too many open files are reported in three forms: as an
`OSError`, as an error code of SQLite, and as a message of Lance. Here each becomes a `StorageError` that names the
file, the cause and what to do; SQLite's codes for a file that is no database become a `DamagedFileError`.
"""

import errno
import os
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from imagerag.agent.errors import DamagedFileError, ImageRAGError, StorageError

CAUSES: Final = {
    errno.ENOSPC: ("the disk is full", "make room there, then do it again"),
    errno.EDQUOT: ("the disk quota is used up", "make room there, then do it again"),
    errno.EFBIG: ("a file may not grow that large", "raise the limit (ulimit -f), then do it again"),
    errno.EROFS: ("the file system is read-only", "mount it for writing, or name another folder"),
    errno.EACCES: ("permission denied", "see who owns it (ls -ld), or name another folder"),
    errno.EPERM: ("permission denied", "see who owns it (ls -ld), or name another folder"),
    errno.EMFILE: ("too many files are open", "allow more (ulimit -n), then do it again"),
    errno.ENFILE: ("too many files are open on this machine", "close some programs, then do it again"),
    errno.EIO: ("the disk reports an input/output error", "check the disk (dmesg), then do it again"),
    errno.ESTALE: ("the network share went away", "mount it anew, then do it again"),
}
"""errno → what it means, what to do about it."""

FULL: Final = 256 * 1024
"""Bytes left on a disk below which an unexplained failure to write is put down to a full disk."""

_OS_ERROR: Final = re.compile(r"\(os error (\d+)\)")
_REPAIR: Final = "imagerag doctor says what is wrong, imagerag doctor --repair mends or sets aside"


def storage_error(error: BaseException, path: str | os.PathLike[str], doing: str = "") -> StorageError | None:
    """Convert an error caused by the machine (`OSError`, SQLite or Lance); None for all other errors.

    Args:
        error: what was raised.
        path: the file or folder concerned.
        doing: the failed action for the message, such as "cannot write"; without it the message begins with the cause.
    """
    number = _errno_of(error, Path(path))
    if number is None:
        return None
    return because(number, path, doing)


def because(number: int, path: str | os.PathLike[str], doing: str = "", detail: str = "") -> StorageError:
    """The error that a file cannot be read or written because of the machine."""
    cause, advice = CAUSES[number]
    message = f"{doing} {path}: {cause}" if doing else f"{cause}: {path}"
    return StorageError(f"{message}{f' ({detail})' if detail else ''}; {advice}", path=str(path), errno=number)


def sqlite_error(error: sqlite3.Error, path: Path) -> ImageRAGError | None:
    """Convert an error of SQLite; None if neither the machine nor the file is at fault, as with a lock."""
    if (failure := storage_error(error, path)) is not None:
        return failure
    damaged = _primary(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT)
    if damaged or any(text in str(error) for text in ("no such table", "no such column", "has no column")):
        return damaged_file(path, str(error))
    return None


def damaged_file(path: Path, why: str) -> DamagedFileError:
    """The error that a file is damaged, with what to type."""
    return DamagedFileError(f"{path} is damaged ({why}): {_REPAIR}", path=str(path))


@contextmanager
def storage_errors(path: str | os.PathLike[str], doing: str = "") -> Iterator[None]:
    """Convert errors in the block: machine errors to `StorageError`, damaged SQLite files to `DamagedFileError`."""
    try:
        yield
    except sqlite3.Error as error:
        if (ours := sqlite_error(error, Path(path))) is not None:
            raise ours from error
        raise
    except OSError as error:
        if (failure := storage_error(error, path, doing)) is not None:
            raise failure from error
        raise


def _errno_of(error: BaseException, path: Path) -> int | None:
    """The `errno` of a machine error; None for other errors."""
    cause: BaseException | None = error
    while cause is not None:
        number: int | None = None
        if isinstance(cause, sqlite3.Error):
            number = _of_sqlite(cause, path)
        elif isinstance(cause, OSError) and cause.errno:
            number = cause.errno
        elif isinstance(cause, OSError | RuntimeError | ValueError) and (match := _OS_ERROR.search(str(cause))):
            number = int(match[1])
        if number in CAUSES:
            return number
        cause = cause.__cause__
    return None


def _primary(error: sqlite3.Error) -> int:
    code: int = getattr(error, "sqlite_errorcode", 0) or 0
    return code & 0xFF


def _of_sqlite(error: sqlite3.Error, path: Path) -> int | None:
    code = _primary(error)
    if code == sqlite3.SQLITE_FULL:
        return errno.ENOSPC
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        if _read_only(path):
            return errno.EROFS
        # A database on a full disk was opened read-only; see `sqlite.connection.connect`.
        return errno.ENOSPC if _bytes_left(path) < FULL else errno.EACCES
    if code == sqlite3.SQLITE_CANTOPEN:
        return _refusal(path)
    if code == sqlite3.SQLITE_IOERR:
        return errno.ENOSPC if _bytes_left(path) < FULL else _refusal(path) or errno.EIO
    return None


def _refusal(path: Path) -> int | None:
    """The reason why a file cannot be opened for writing, found by trying: SQLite does not report it."""
    if path.is_dir():
        return None
    for beside in (path, path.with_name(f".tmp-{os.getpid()}")):
        there = beside.exists()
        try:
            os.close(os.open(beside, os.O_RDWR | (0 if there else os.O_CREAT)))
        except OSError as error:
            return error.errno
        if not there:
            beside.unlink(missing_ok=True)
    return None


def _read_only(path: Path) -> bool:
    try:
        return bool(os.statvfs(existing(path)).f_flag & os.ST_RDONLY)
    except (OSError, AttributeError):  # no such call on this system
        return False


def _bytes_left(path: Path) -> int:
    try:
        return shutil.disk_usage(existing(path)).free
    except OSError:
        return FULL


def existing(path: Path) -> Path:
    """The path itself, or the nearest existing folder above it."""
    for one in (path, *path.parents):
        try:
            if one.exists():
                return one
        except OSError:
            continue
    return path
