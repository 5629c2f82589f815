"""Names of libraries and of their snapshots: `photos`, and `photos@2026-11` for its content when it was tagged."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from imagerag.agent.errors import UsageError
from imagerag.agent.retrieval.search_queries import split_name
from imagerag.formatting.interface_terms import python_call

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

_DEVICE: Final = re.compile(r"(?i)(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?")

SNAPSHOTS: Final = "snapshots"
"""Folder of snapshots within a library's folder: renaming, deleting and setting aside the library take them along."""

SUFFIX: Final = ".lance"


def valid_name(name: str) -> str:
    """Validate the name of a library that is created or changed, and return it.

    Raises:
        UsageError: it cannot, or names several libraries.
    """
    if len(several := [one.strip() for one in name.split(",")]) > 1 and all(map(NAME.match, several)):
        raise UsageError(f"{name!r} names several libraries, which only searches take; name one of them: {several[0]}")
    refuse_snapshot(name)
    return _valid(name, "a library's name")


def valid_new_name(name: str) -> str:
    """Validate the name that a library gets by renaming, and return it: one of a snapshot is none to change.

    Raises:
        UsageError: it cannot.
    """
    return _valid(name, "a library's name")


def valid_tag(tag: str) -> str:
    """Validate the tag of a snapshot, and return it.

    Raises:
        UsageError: it cannot.
    """
    return _valid(tag, "a snapshot's tag")


def is_snapshot(name: str) -> bool:
    """Whether a name is the name of a snapshot."""
    return split_name(name)[1] is not None


def refuse_snapshot(name: str) -> None:
    """Check that a library to change is no snapshot.

    Raises:
        UsageError: it is one.
    """
    library, tag = split_name(name)
    if tag is not None:
        restore = python_call("libraries.snapshots.restore", tag, library=library)
        remove = python_call("libraries.snapshots.remove", tag, library=library)
        raise UsageError(
            f"{name!r} is a snapshot, which is only read. Change the library itself: {library}. Go back to the "
            f"snapshot: {restore}, or remove it: {remove}"
        )


def snapshot_tags(library: Path) -> list[str]:
    """The tags of the snapshots in a library's folder, sorted."""
    paths = (library / SNAPSHOTS).glob(f"*{SUFFIX}") if (library / SNAPSHOTS).is_dir() else ()
    return sorted(path.name.removesuffix(SUFFIX) for path in paths if NAME.fullmatch(path.name))


def check_new_name(name: str, existing_names: Iterable[str], what: str) -> None:
    """Check that a name is a valid folder name, distinct from the known ones, on any file system.

    Raises:
        UsageError: it differs from a known one only in case, or is a device name on Windows.
    """
    for other in existing_names:
        if other != name and other.casefold() == name.casefold():
            raise UsageError(
                f"{name!r} cannot be {what}: there is {other!r}, and not every disk tells upper from lower case"
            )
    if _DEVICE.fullmatch(name):
        raise UsageError(f"{name!r} cannot be {what}: Windows has a device of that name, and no folder")


def _valid(name: str, what: str) -> str:
    if not NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot be {what}: use letters, digits, '-', '_' and '.' (at most 100, a letter or digit first)"
        )
    return name
