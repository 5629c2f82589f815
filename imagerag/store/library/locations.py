"""Where an image's bytes lie, as a library keeps it: the path of a file, or of an archive and a member in it."""

import os
from pathlib import Path
from typing import Final
from urllib.parse import unquote_to_bytes

from imagerag.store.text_files import clean

MEMBER: Final = "::"
"""Between the path of an archive and the name of a file in it, or the number of a row in a table."""

_URI: Final = "file://"


def path_text(path: str | os.PathLike[str]) -> str:
    """A path as a library keeps it: itself, or a `file:` URI where its bytes are no UTF-8."""
    text = os.fspath(path)
    try:
        text.encode()
        return text
    except UnicodeEncodeError:
        return Path(text).as_uri()


def member_path(archive: Path, name: str) -> Path:
    """The path under which a member of an archive is known."""
    return Path(f"{archive}{MEMBER}{name}")


def shown_path(path: str) -> str:
    """A path of a library as the source of a row that nothing gives another one."""
    file, member = split_member(path)
    return clean(str(member_path(Path(file), member)) if member else file)


def split_member(path: str) -> tuple[str, str]:
    """The file that a path of a library names, and the member in it; "" where it is the file itself."""
    if path.startswith(_URI):
        path = os.fsdecode(unquote_to_bytes(path.removeprefix(_URI)))
    if MEMBER not in path or os.path.lexists(path):
        return path, ""
    parts = path.split(MEMBER)
    splits = [(MEMBER.join(parts[:at]), MEMBER.join(parts[at:])) for at in range(1, len(parts))]
    # An archive's own name may hold the mark, and so may a member's.
    return next(((archive, member) for archive, member in splits if os.path.isfile(archive)), splits[0])
