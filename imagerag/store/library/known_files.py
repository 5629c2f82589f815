"""The known files of a library, so that a scan opens only new and changed ones."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from imagerag.store.library.metadata.text_origins import sidecars_in
from imagerag.store.library.schema import FileEntry

Entry = tuple[str, FileEntry]
"""An image's id, and one of its files."""


@dataclass(frozen=True)
class KnownFiles:
    """The files in a library's rows.

    Attributes:
        by_path: path → entries; more than one only where a scan was stopped between two writes.
        ids: id of every image → whether it has a caption.
        described: id → identity of its sidecars and manifest.
        of_earlier: ids of rows without files, written by earlier versions, which did not read embedded metadata either.
    """

    by_path: Mapping[str, Sequence[Entry]] = field(default_factory=dict)
    ids: Mapping[str, bool] = field(default_factory=dict)
    described: Mapping[str, str] = field(default_factory=dict)
    of_earlier: Collection[str] = frozenset()

    @classmethod
    def of(cls, table: Any) -> "KnownFiles":
        """Read them from an Arrow table with ids, captions and, if present, the columns `files` and `described`."""
        by_path: dict[str, list[Entry]] = {}
        ids: dict[str, bool] = {}
        described: dict[str, str] = {}
        of_earlier: set[str] = set()
        for batch in table.to_batches(10_000):
            for record in batch.to_pylist():
                ids[record["id"]] = bool(record["caption"])
                described[record["id"]] = sidecars_in(record.get("described") or "")
                if not record.get("files"):
                    of_earlier.add(record["id"])
                for file in record.get("files") or ():
                    by_path.setdefault(file["path"], []).append((record["id"], FileEntry(**file)))
        return cls(by_path, ids, described, of_earlier)

    def unchanged(self, entry: FileEntry) -> str | None:
        """The id of the image in a file, if the file is certainly unchanged since it was read."""
        return next((one for one, known_entry in self.by_path.get(entry.path, ()) if known_entry == entry), None)
