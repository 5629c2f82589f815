"""Reading the files that users, and files of theirs, name: regular ones alone.

Opening a pipe waits for somebody to write into it, a device can be read for ever, and a socket cannot be read at all.
So each is refused at once, as an `OSError` whose `strerror` says why.
"""

import errno
import io
import os
import stat
from pathlib import Path
from typing import BinaryIO, Final, TextIO

_KINDS: Final = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class NotRegularError(OSError):
    """The path names a pipe, a device or a socket."""


class TooLongError(OSError):
    """The file is longer than what is read of its kind."""


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a regular file for reading, links followed.

    Raises:
        OSError: it cannot be opened, or is none.
    """
    _check(os.stat(path).st_mode, path)
    # What is there may be another thing by now: opening a pipe with O_NONBLOCK does not wait.
    flags = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags)
    try:
        _check(os.fstat(descriptor).st_mode, path)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def open_regular_text(
    path: str | os.PathLike[str], *, encoding: str = "utf-8", errors: str = "strict", newline: str | None = None
) -> TextIO:
    """Open a regular file as text, with the options of `open`.

    Raises:
        OSError: as `open_regular`.
    """
    return io.TextIOWrapper(open_regular(path), encoding=encoding, errors=errors, newline=newline)


def read_regular(path: str | os.PathLike[str], *, longest: int | None = None) -> bytes:
    """The bytes of a regular file.

    Args:
        path: the file.
        longest: bytes; of a longer file none are read.

    Raises:
        OSError: as `open_regular`; a `TooLongError` where it is longer.
    """
    with open_regular(path) as file:
        if longest is not None and (size := os.fstat(file.fileno()).st_size) > longest:
            words = f"the file has {size / 2**20:,.0f} MB; at most {longest >> 20} MB are read"
            raise TooLongError(errno.EFBIG, words, str(path))
        return file.read()


def read_regular_text(path: str | os.PathLike[str], *, encoding: str = "utf-8") -> str:
    """The text of a regular file, its ends of lines as they are in Python.

    Raises:
        OSError: as `open_regular`.
        UnicodeDecodeError: it is in another encoding.
    """
    with open_regular_text(path, encoding=encoding) as file:
        return file.read()


def _check(mode: int, path: str | os.PathLike[str]) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder", str(path))
    if not stat.S_ISREG(mode):
        kind = next((words for is_one, words in _KINDS if is_one(mode)), "no file")
        raise NotRegularError(errno.EINVAL, f"it is {kind}, and only files are read", str(Path(path)))
