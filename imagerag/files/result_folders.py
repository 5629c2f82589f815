"""Folders of results below the folders that a server may show: found by a file that each of them holds."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from imagerag.agent.errors import UsageError

DEPTH: Final = 4
"""Folders below a root that are looked into."""

LOOKED_AT: Final = 5000
"""Folders that are looked into, so that a root of a whole disk is no endless search."""

MOST: Final = 200
"""Folders that are listed."""

PASSED_OVER: Final = frozenset({"blobs", "libraries", "image-links", "node_modules", "__pycache__"})


def resolve_below(roots: Iterable[Path], folder: str) -> Path:
    """A folder that was named, links followed.

    Raises:
        UsageError: it is not a folder below one of the roots. The message never says what else is there.
    """
    allowed = [root.resolve() for root in roots]
    try:
        path = Path(folder).expanduser().resolve(strict=True)
    except (OSError, RuntimeError, ValueError):
        path = None
    if path is None or not path.is_dir() or not any(path.is_relative_to(root) for root in allowed):
        raise UsageError(
            f"{folder[:200]!r} is not a folder below {', '.join(map(str, allowed)) or 'an allowed folder'}"
        )
    return path


def find_folders(roots: Iterable[Path], marker: str) -> list[Path]:
    """The folders below the roots that hold a file of that name, the newest `MOST` first; links are not followed."""
    found = dict[Path, float]()
    for root in dict.fromkeys(root.resolve() for root in roots):
        for path in _folders(root):
            try:
                found[path] = (path / marker).lstat().st_mtime
            except OSError:
                continue
    return sorted(found, key=lambda path: -found[path])[:MOST]


def _folders(root: Path) -> Iterator[Path]:
    """A root and the folders below it, breadth first."""
    waiting, looked_at = [(root, 0)], 0
    while waiting and looked_at < LOOKED_AT:
        path, depth = waiting.pop(0)
        looked_at += 1
        yield path
        if depth == DEPTH:
            continue
        try:
            with os.scandir(path) as entries:
                names = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
        except OSError:
            continue
        waiting += [(path / name, depth + 1) for name in names if name not in PASSED_OVER and not name.startswith(".")]
