"""Bytes that a library takes on the disk, by kind."""

import os
from pathlib import Path
from typing import Final

from imagerag.agent.types import FrozenModel
from imagerag.store.library.image_files import FOLDER as COPIES

KINDS: Final = {"data": "rows", "_indices": "indexes", COPIES: "copies"}
"""Folder within a library's folder → field of `DiskUse`; all else is history."""


class DiskUse(FrozenModel):
    """Bytes by kind.

    Attributes:
        rows: vectors, thumbnails and texts, of earlier versions too until `optimize`.
        indexes: of vectors, words and columns.
        copies: of pictures, where they were indexed with their bytes.
        history: manifests and notes of the table's versions.
    """

    rows: int = 0
    indexes: int = 0
    copies: int = 0
    history: int = 0

    @property
    def total(self) -> int:
        """All of it."""
        return self.rows + self.indexes + self.copies + self.history


def disk_use(folder: Path) -> DiskUse:
    """Measure the folder of a library; a file that goes meanwhile is not counted."""
    found = dict.fromkeys(DiskUse.model_fields, 0)
    for root, _, names in os.walk(folder):
        below = Path(root).relative_to(folder).parts
        kind = KINDS.get(below[0], "history") if below else "history"
        for name in names:
            try:
                found[kind] += os.lstat(os.path.join(root, name)).st_size
            except FileNotFoundError:
                continue
    return DiskUse(**found)
