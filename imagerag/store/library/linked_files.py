"""Linked image files: read the bytes, or report what happened to the file."""

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final

from imagerag.agent.errors import BlobError
from imagerag.agent.images.decoding import check_file_size
from imagerag.formatting.interface_terms import PATH, python_call
from imagerag.store.library.locations import split_member
from imagerag.store.library.schema import FileEntry
from imagerag.store.library.sources.opening import read_member

_MAX_PROBLEMS: Final = 3


def read_linked(digest: str, files: Sequence[FileEntry], library: str) -> bytes:
    """Read the bytes of an image from the first of its files that still has them.

    Raises:
        BlobError: no file has them; the message says what happened to each and what to type.
    """
    problems: dict[str, str] = {}
    for file in files:
        result = linked_bytes(digest, file)
        if isinstance(result, bytes):
            return result
        problems[file.path] = result
    raise BlobError(_missing_message(digest, problems, library))


GONE: Final = "is gone"
CHANGED: Final = "was changed"
AWAY: Final = "is gone with all of its folder"
"""As on a disk that is not mounted."""
_STALE: Final = frozenset({GONE, CHANGED, AWAY})


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


def _missing_message(digest: str, problems: Mapping[str, str], library: str) -> str:
    """Why no file has the bytes, and what to do.

    Args:
        problems: path of each file → what happened to it.
    """
    if not problems:
        return f"the image {digest} is in no file and has no copy in library {library!r}: index its folder again"
    told = [f"{path} {problem}{' since it was indexed' * (problem in _STALE)}" for path, problem in problems.items()]
    more = len(told) - _MAX_PROBLEMS
    message = "; ".join(told[:_MAX_PROBLEMS]) + (f"; and {more} more" if more > 0 else "")
    where = f"is not where library {library!r} found it" if _STALE.issuperset(problems.values()) else "cannot be read"
    return f"the image {digest} {where}: {message}. {_advice(problems, library)}"


def _advice(problems: Mapping[str, str], library: str) -> str:
    """What gives the image back; to index the folder again helps only where its file was moved or changed."""
    if unreadable := next((path for path, problem in problems.items() if problem not in _STALE), None):
        return f"Let {split_member(unreadable)[0]} be read (ls -l says who may), then do it again"
    if AWAY in problems.values():
        here = python_call("libraries.index", PATH, library=library)
        return f"Bring the folder back (is its disk mounted?), or index it where it is now: {here}"
    folder = os.path.dirname(split_member(next(iter(problems)))[0])
    return f"Type: {python_call('libraries.index', folder, library=library)}"
