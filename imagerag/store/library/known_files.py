"""The known files of a library, so that a scan opens only new and changed ones."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
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
        captioned: dict[str, bool] = {}
        described: dict[str, str] = {}
        of_earlier: set[str] = set()
        for batch in table.to_batches(10_000):
            ids = batch["id"].to_pylist()
            captioned.update(zip(ids, map(bool, batch["caption"].to_pylist()), strict=True))
            sidecars = batch["described"].to_pylist() if "described" in batch.schema.names else [""] * len(ids)
            described.update((one, sidecars_in(text or "")) for one, text in zip(ids, sidecars, strict=True))
            entries = _entries(ids, batch["files"]) if "files" in batch.schema.names else []
            of_earlier.update(ids)
            for entry in entries:
                of_earlier.discard(entry[0])
                by_path.setdefault(entry[1].path, []).append(entry)
        return cls(by_path, captioned, described, of_earlier)

    def unchanged(self, entry: FileEntry) -> str | None:
        """The id of the image in a file, if the file is certainly unchanged since it was read."""
        return next((one for one, known_entry in self.by_path.get(entry.path, ()) if known_entry == entry), None)


def _entries(ids: Sequence[str], files: Any) -> list[Entry]:
    """The files of some rows, from an Arrow array of lists, without a mapping for each."""
    import pyarrow.compute as pc

    flat, owners = pc.list_flatten(files), pc.list_parent_indices(files).to_pylist()
    columns = [pc.struct_field(flat, one.name).to_pylist() for one in fields(FileEntry)]
    return [(ids[owner], FileEntry(*values)) for owner, *values in zip(owners, *columns, strict=True)]
