"""Disk usage of a library, by kind."""

from pathlib import Path
from typing import Final

from imagerag.agent.types import FrozenModel
from imagerag.store.disk_usage import File, file_sizes
from imagerag.store.library.image_files import FOLDER as COPIES
from imagerag.store.library.names import SNAPSHOTS

KINDS: Final = {"data": "rows", "_indices": "indexes", COPIES: "copies", SNAPSHOTS: "snapshots"}
"""Folder within a library's folder → field of `DiskUse`; all else is history."""


class DiskUse(FrozenModel):
    """Bytes by kind.

    Attributes:
        rows: vectors, thumbnails and texts, of earlier versions too until `optimize`.
        indexes: of vectors, words and columns.
        copies: of images, where they were indexed with their bytes.
        history: manifests and notes of the table's versions.
        snapshots: what only snapshots have: a file that the library has, too, is counted there.
    """

    rows: int = 0
    indexes: int = 0
    copies: int = 0
    history: int = 0
    snapshots: int = 0

    @property
    def total(self) -> int:
        """All of it."""
        return self.rows + self.indexes + self.copies + self.history + self.snapshots


def disk_use(folder: Path) -> DiskUse:
    """Measure the folder of a library; files that vanish meanwhile are not counted."""
    bytes_by_kind = dict.fromkeys(DiskUse.model_fields, 0)
    counted_files: set[File] = set()
    for path in sorted(folder.glob("*"), key=lambda path: path.name == SNAPSHOTS):
        kind = KINDS.get(path.name, "history")  # snapshots last: files shared with the library count as the library's
        sizes = file_sizes(path)
        bytes_by_kind[kind] += sum(size for file, size in sizes.items() if file not in counted_files)
        counted_files |= sizes.keys()
    return DiskUse(**bytes_by_kind)
