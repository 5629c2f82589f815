"""Disk usage of a home, by kind of content."""

import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final, Literal

from imagerag.store.data_dir import DataDir

Use = Literal["libraries", "checkpoints", "threads", "journal", "blobs", "results", "evaluations", "caches", "other"]

File = tuple[int, int]
"""Device and inode: the same for all names of a file."""

_PLACES: Final[dict[str, Use]] = {
    "blobs": "blobs",
    "libraries": "libraries",
    "filling": "libraries",
    "runs.sqlite": "checkpoints",
    "questions.sqlite": "threads",
    "store.sqlite": "journal",
    "images": "results",
    "evals": "evaluations",
    "image-links": "caches",
    "pictures": "caches",
    "onnx": "caches",
}
"""What the entries of a home hold; "image-links", formerly "pictures", are links to blobs under names that open."""


def disk_usage(home: DataDir) -> dict[Use, int]:
    """Bytes of a home by kind, in the order of `Use`; a hard-linked file is counted once, under its first name."""
    usage: dict[Use, int] = dict.fromkeys(Use.__args__, 0)  # type: ignore[attr-defined]
    counted_files: set[File] = set()
    order = list(_PLACES)
    entries = sorted(_entries(home.root), key=lambda one: order.index(one.name) if one.name in order else len(order))
    for entry in entries:
        name = entry.name.removesuffix("-wal").removesuffix("-shm")
        sizes = file_sizes(entry)
        usage[_PLACES.get(name, "other")] += sum(size for file, size in sizes.items() if file not in counted_files)
        counted_files |= sizes.keys()
    return usage


def file_sizes(folder: Path, *, without: Collection[str] = ()) -> dict[File, int]:
    """The bytes of each file below a folder, or of a file; links are not followed, and files that vanish meanwhile are
    left out.

    Args:
        without: names of direct subfolders to skip.
    """
    sizes: dict[File, int] = {}
    for path in _files(folder, without) if folder.is_dir() and not folder.is_symlink() else [str(folder)]:
        try:
            status = os.lstat(path)
        except OSError:
            continue
        sizes[status.st_dev, status.st_ino] = status.st_size
    return sizes


def _files(folder: Path, without: Collection[str]) -> Iterator[str]:
    for root, folders, names in os.walk(folder):
        if Path(root) == folder:
            folders[:] = [name for name in folders if name not in without]
        yield from (os.path.join(root, name) for name in names)


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []
