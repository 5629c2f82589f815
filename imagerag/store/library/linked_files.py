"""Pictures that stay in their files: reading one that is linked, and finding what became of it."""

import os
import shlex
import stat
import tarfile
import zipfile
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final
from urllib.parse import unquote_to_bytes

from imagerag.agent.errors import BlobError
from imagerag.agent.images.decoding import MAX_BYTES
from imagerag.store.library.schema import FileEntry

MEMBER: Final = "::"
"""Between the path of an archive and the name of a file in it."""

_URI: Final = "file://"
_TOLD: Final = 3


def path_text(path: str | os.PathLike[str]) -> str:
    """A path as a library keeps it: itself, or a `file:` URI where its bytes are no UTF-8."""
    text = os.fspath(path)
    try:
        text.encode()
        return text
    except UnicodeEncodeError:
        return Path(text).as_uri()


def split_member(path: str) -> tuple[str, str]:
    """The file that a path of a library names, and the member in it; "" where it is the file itself."""
    if path.startswith(_URI):
        path = os.fsdecode(unquote_to_bytes(path.removeprefix(_URI)))
    if MEMBER not in path or os.path.lexists(path):
        return path, ""
    archive, _, member = path.partition(MEMBER)
    return archive, member


def read_linked(digest: str, files: Sequence[FileEntry], library: str) -> bytes:
    """The bytes of an image from the first of its files that still has them.

    Raises:
        BlobError: none has; says what became of each, and what to type.
    """
    problems = []
    for file in files:
        try:
            data = _read(file)
        except FileNotFoundError:
            problems.append(f"{file.path} is gone")
        except (OSError, KeyError, RuntimeError, zipfile.BadZipFile, tarfile.TarError) as error:
            problems.append(f"{file.path} cannot be read: {getattr(error, 'strerror', None) or error}")
        else:
            if data is not None and sha256(data).hexdigest() == digest:
                return data
            problems.append(f"{file.path} was changed")
    raise BlobError(_lost(digest, problems, files, library))


def _read(file: FileEntry) -> bytes | None:
    """The bytes in a file; None where they are surely others."""
    path, member = split_member(file.path)
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):  # reading a pipe would wait for ever
        return None
    if member:
        return _read_member(path, member)
    # The size that was noted, and never more: what lies there now may be anything.
    return Path(path).read_bytes() if status.st_size == file.size <= MAX_BYTES else None


def _read_member(archive: str, member: str) -> bytes | None:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened:
            return opened.read(member) if opened.getinfo(member).file_size <= MAX_BYTES else None
    with tarfile.open(archive) as opened:
        found = opened.getmember(member)
        content = opened.extractfile(found) if found.isfile() and found.size <= MAX_BYTES else None
        return content.read() if content is not None else None


def _lost(digest: str, problems: Sequence[str], files: Sequence[FileEntry], library: str) -> str:
    if not problems:
        return f"the image {digest} is in no file and has no copy in library {library!r}: index its folder again"
    told = "; ".join(problems[:_TOLD]) + (f"; and {len(problems) - _TOLD} more" if len(problems) > _TOLD else "")
    folder = os.path.dirname(split_member(files[0].path)[0])
    return (
        f"the image {digest} is not where library {library!r} found it: {told} since it was indexed. "
        f"Type: imagerag index {shlex.quote(folder)} --library {library}"
    )
