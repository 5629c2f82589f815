"""Move damaged files out of the way."""

import uuid
from pathlib import Path

from imagerag.store.data_dir import DataDir
from imagerag.store.sqlite.connection import companion_files
from imagerag.store.storage_errors import storage_errors


def set_aside(home: DataDir, path: Path) -> Path:
    """Move a file or folder out of the way, with SQLite's companion files; nothing is deleted.

    Raises:
        StorageError: it cannot be moved.
    """
    folder = home.root / "set-aside" / uuid.uuid4().hex[:8]
    with storage_errors(folder, "cannot write into"):
        folder.mkdir(parents=True)
        for each in (path, *companion_files(path)):
            if each.exists():
                each.rename(folder / each.name)
    return folder / path.name
