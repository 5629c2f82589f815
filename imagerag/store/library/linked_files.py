"""Linked image files: read the bytes, or report what happened to the file."""

import os
import stat
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final

from imagerag.agent.errors import BlobError
from imagerag.agent.images.decoding import check_file_size
from imagerag.formatting.interface_terms import python_call
from imagerag.store.library.locations import split_member
from imagerag.store.library.schema import FileEntry
from imagerag.store.library.sources.opening import read_member

_MAX_PROBLEMS: Final = 3


def read_linked(digest: str, files: Sequence[FileEntry], library: str) -> bytes:
    """Read the bytes of an image from the first of its files that still has them.

    Raises:
        BlobError: no file has them; the message says what happened to each and what to type.
    """
    problems = []
    for file in files:
        result = linked_bytes(digest, file)
        if isinstance(result, bytes):
            return result
        since = " since it was indexed" if result in (GONE, CHANGED, AWAY) else ""
        problems.append(f"{file.path} {result}{since}")
    raise BlobError(_missing_message(digest, problems, files, library))


GONE: Final = "is gone"
CHANGED: Final = "was changed"
AWAY: Final = "is gone with all of its folder"
"""As on a disk that is not mounted."""


def linked_bytes(digest: str, file: FileEntry) -> bytes | str:
    """The bytes of an image from one of its files, or the state of the file: `GONE`, `AWAY`, `CHANGED`, or why it
    cannot be read."""
    try:
        match = next((data for data in _read(file) if sha256(data).hexdigest() == digest), None)
    except (FileNotFoundError, NotADirectoryError):
        return GONE if _has_files(os.path.dirname(split_member(file.path)[0])) else AWAY
    except (OSError, ValueError) as error:
        return f"cannot be read: {getattr(error, 'strerror', None) or error}"
    return CHANGED if match is None else match


def _read(file: FileEntry) -> Iterator[bytes]:
    """Read the bytes of a file; empty where they certainly changed."""
    path, member = split_member(file.path)
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):  # reading a pipe could block forever
        return
    if member:
        yield from read_member(Path(path), member, file)
    # Read no more than the recorded size: the file may have been replaced by anything.
    elif status.st_size == file.size:
        check_file_size(Path(path), file.size)
        yield Path(path).read_bytes()


def _has_files(folder: str) -> bool:
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is not None
    except OSError:
        return False


def _missing_message(digest: str, problems: Sequence[str], files: Sequence[FileEntry], library: str) -> str:
    if not problems:
        return f"the image {digest} is in no file and has no copy in library {library!r}: index its folder again"
    more = len(problems) - _MAX_PROBLEMS
    message = "; ".join(problems[:_MAX_PROBLEMS]) + (f"; and {more} more" if more > 0 else "")
    folder = os.path.dirname(split_member(files[0].path)[0])
    return (
        f"the image {digest} is not where library {library!r} found it: {message}. "
        f"Type: {python_call('libraries.index', folder, library=library)}"
    )
