"""Copies of images inside a library's folder, named by their content.

Files instead of a blob column: LanceDB 0.40 rewrites blobs of either version whenever it joins fragments, which every
`optimize` does, and cannot exclude them. A file is written once. The copies lie inside the table's folder, so that
removing, renaming and setting aside a library include them; Lance ignores files that it does not know.
"""

import shutil
import uuid
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from imagerag.store.storage_errors import storage_errors

FOLDER = "images"


class ImageFiles:
    """The copies of one library."""

    def __init__(self, library: Path) -> None:
        self.root = library / FOLDER

    def path(self, sha256: str) -> Path:
        """The path of an image's copy, whether it exists or not."""
        return self.root / sha256[:2] / sha256[2:]

    def has(self, sha256: str, size: int) -> bool:
        """Whether a copy of that size in bytes exists; 0 accepts any size."""
        try:
            file_size = self.path(sha256).stat().st_size
            return file_size == size or not size
        except OSError:
            return False

    def write(self, sha256: str, data: bytes) -> None:
        """Store a copy, complete or not at all. It is not flushed to disk; instead its hash is checked on every read.

        Raises:
            StorageError: the disk is full, or cannot be written.
        """
        path = self.path(sha256)
        with storage_errors(path, "cannot write"):
            path.parent.mkdir(parents=True, exist_ok=True)
            fresh = path.with_name(f".tmp-{uuid.uuid4().hex}")
            try:
                fresh.write_bytes(data)
                fresh.replace(path)
            except BaseException:
                fresh.unlink(missing_ok=True)
                raise

    def read(self, sha256: str) -> bytes | None:
        """Read the copy; None where there is none."""
        try:
            return self.path(sha256).read_bytes()
        except FileNotFoundError:
            return None

    def strays(self, ids: Collection[str]) -> list[Path]:
        """The files of other images."""
        known_ids = set(ids)
        paths = self.root.glob("*/*") if self.root.is_dir() else ()
        return [path for path in paths if path.parent.name + path.name not in known_ids]

    def remove(self, paths: Collection[Path]) -> None:
        """Delete files (or unfinished snapshots), and folders that become empty."""
        for path in paths:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        for folder in {path.parent for path in paths}:
            with suppress(OSError):
                folder.rmdir()
