"""Paths of images in a library: the path of a file, or of an archive and its member."""

import os
import posixpath
from pathlib import Path
from typing import Final
from urllib.parse import unquote_to_bytes

from imagerag.store.text_files import clean

MEMBER: Final = "::"
"""Between the path of an archive and the name of a file in it, or the number of a row in a table."""

_URI: Final = "file://"


def path_text(path: str | os.PathLike[str]) -> str:
    """The stored form of a path: the path itself, or a `file:` URI where its bytes are not UTF-8."""
    text = os.fspath(path)
    try:
        text.encode()
        return text
    except UnicodeEncodeError:
        return Path(text).as_uri()


def member_path(archive: Path, name: str) -> Path:
    """The stored path of a member of an archive."""
    return Path(f"{archive}{MEMBER}{name}")


def shown_path(path: str) -> str:
    """The stored path as the default source of a row."""
    file, member = split_member(path)
    return clean(str(member_path(Path(file), member)) if member else file)


def title_of_file(path: str) -> str:
    """The name of a stored path's file as the title of an image; empty for a row of a table, whose name is a number."""
    file, member = split_member(path)
    return (
        "" if member.isdigit() else clean(posixpath.splitext(posixpath.basename(member) or os.path.basename(file))[0])
    )


def names_server(path: str) -> bool:
    """Whether a stored path leads to another machine by its form: as UNC, or by an automounter. Nothing is looked at:
    that could sign in there."""
    text = _file_path(path).replace("\\", "/")
    return text.startswith("//") or posixpath.normpath(text).startswith(("/net/", "/Network/"))


def _file_path(path: str) -> str:
    return os.fsdecode(unquote_to_bytes(path.removeprefix(_URI))) if path.startswith(_URI) else path


def split_member(path: str) -> tuple[str, str]:
    """Split a stored path into the file and the member in it; the member is "" for a plain file."""
    path = _file_path(path)
    if MEMBER not in path or os.path.lexists(path):
        return path, ""
    parts = path.split(MEMBER)
    splits = [(MEMBER.join(parts[:at]), MEMBER.join(parts[at:])) for at in range(1, len(parts))]
    # The separator may occur in the archive's name and in the member's.
    return next(((archive, member) for archive, member in splits if os.path.isfile(archive)), splits[0])
