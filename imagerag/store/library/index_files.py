"""Checksums of a library's index files.

LanceDB writes the files of an index once and never changes them, but it has no checksums for them: a query through an
index with a changed byte may answer, and answer wrongly. They are therefore noted when the indexes were written, in a
file in the library's folder.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from imagerag.store.images.blob_store import write_atomically
from imagerag.store.storage_errors import storage_errors

CHECKSUMS: Final = "index_checksums.json"
"""SHA-256 by the path of a file below `_indices`, in the library's folder."""


CHANGED: Final = "it has other bytes than were written"


def drop_indexes(table: Any) -> None:
    """Drop all indexes of a LanceDB table."""
    for index in table.list_indices():
        table.drop_index(index.name)


def note_checksums(folder: Path) -> None:
    """Note the checksums of new index files in a library's folder, and forget those of files that are gone. Nobody else
    writes meanwhile, or half a file could be noted.

    Raises:
        StorageError: the file cannot be written.
    """
    noted = _noted(folder)
    with storage_errors(folder, "cannot write into"):
        now = {name: noted.get(name) or _checksum(path) for name, path in _files(folder)}
        if now != noted:
            write_atomically(folder / CHECKSUMS, json.dumps(now, indent=0, sort_keys=True).encode())


def changed_index_files(folder: Path) -> list[Path]:
    """The index files in a library's folder that have other bytes than those that were written. Reads them all; those
    without a checksum, of libraries that were last optimized by an earlier version, are not among them.

    Raises:
        StorageError: one cannot be read.
    """
    noted, changed = _noted(folder), list[Path]()
    with storage_errors(folder, "cannot read"):
        for name, path in _files(folder):
            with suppress(FileNotFoundError):  # another process built the index anew
                if name in noted and noted[name] != _checksum(path):
                    changed.append(path)
    return changed


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    indexes = folder / "_indices"
    for path in sorted(path for path in indexes.rglob("*") if path.is_file()):
        yield path.relative_to(indexes).as_posix(), path


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _noted(folder: Path) -> dict[str, str]:
    try:
        noted = json.loads((folder / CHECKSUMS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return noted if isinstance(noted, dict) else {}
