"""Disk usage of a home, by kind of content."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

from imagerag.store.data_dir import DataDir

Use = Literal["libraries", "checkpoints", "journal", "blobs", "results", "evaluations", "caches", "other"]

_PLACES: Final[dict[str, Use]] = {
    "blobs": "blobs",
    "libraries": "libraries",
    "filling": "libraries",
    "runs.sqlite": "checkpoints",
    "questions.sqlite": "checkpoints",
    "store.sqlite": "journal",
    "images": "results",
    "evals": "evaluations",
    "image-links": "caches",
    "pictures": "caches",
}
"""What the entries of a home hold; "image-links", formerly "pictures", are links to blobs under names that open."""


def disk_usage(home: DataDir) -> dict[Use, int]:
    """Bytes of a home by kind, in the order of `Use`; a hard-linked file is counted once, under its first name."""
    used: dict[Use, int] = dict.fromkeys(Use.__args__, 0)  # type: ignore[attr-defined]
    seen: set[tuple[int, int]] = set()
    order = list(_PLACES)
    entries = sorted(_entries(home.root), key=lambda one: order.index(one.name) if one.name in order else len(order))
    for entry in entries:
        name = entry.name.removesuffix("-wal").removesuffix("-shm")
        for status in _files(entry):
            if (status.st_dev, status.st_ino) not in seen:
                seen.add((status.st_dev, status.st_ino))
                used[_PLACES.get(name, "other")] += status.st_size
    return used


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _files(entry: Path) -> Iterator[os.stat_result]:
    """The files in a folder, or the file itself; files that vanish meanwhile are skipped, and links are not
    followed."""
    try:
        if entry.is_dir() and not entry.is_symlink():
            for below in os.scandir(entry):
                yield from _files(Path(below.path))
        else:
            yield entry.lstat()
    except OSError:
        return
