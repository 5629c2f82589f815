"""Texts of changed files: the new image of a file keeps the texts of the old one.

It also keeps the time of the first indexing; the file's own time is that of its change.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from imagerag.store.library.indexing.index_report import IndexReport
from imagerag.store.library.indexing.vanished_files import VanishedFiles
from imagerag.store.library.known_files import Entry, KnownFiles
from imagerag.store.library.library import Library
from imagerag.store.library.metadata.text_origins import with_sidecars, with_texts_of
from imagerag.store.library.schema import FileEntry, ImageRecord

_AT_ONCE: Final = 500


async def keep_texts(
    library: Library,
    vanished: VanishedFiles,
    known_files: KnownFiles,
    ids_by_path: Mapping[str, str | None],
    report: IndexReport,
) -> None:
    """Copy the texts of old images to the new images of changed files, before the old ones are removed.

    If the old file was moved, its texts moved with it. A file that the library held before it replaced another one
    keeps its own texts.
    """
    before: dict[str, Entry] = {}
    for old, entry in vanished.replaced:
        new, there = ids_by_path.get(entry.path), {one for one, _ in known_files.by_path[entry.path]}
        if new is not None and (
            new not in known_files.ids or new in there
        ):  # there: a run was stopped between two writes
            before.setdefault(new, (old, entry))
    ids = list(before)
    for start in range(0, len(ids), _AT_ONCE):
        part = ids[start : start + _AT_ONCE]
        async with library.files_lock():
            rows = {row.id: row for row in await library.rows(sorted({*part, *(before[one][0] for one in part)}))}
            changed = []
            for row in (rows[one] for one in part if one in rows):
                old, entry = before[row.id]
                if old in rows and not _moved(rows[old], entry):
                    # This run may have read a copy with other sidecars.
                    described = with_sidecars(rows[old].described, known_files.described.get(old, ""))
                    now = with_texts_of(row, replace(rows[old], described=described))
                    changed.append((row, replace(now, created=min(row.created, rows[old].created))))
            await library.update([now for _, now in changed])
        report.captions += sum(bool(now.caption) - bool(row.caption) for row, now in changed)


def _moved(row: ImageRecord, entry: FileEntry) -> bool:
    """Whether a file of an image was moved to another path; copies do not count."""
    same = (entry.inode, entry.mtime_ns)
    return any(file.path != entry.path and (file.inode, file.mtime_ns) == same for file in row.files)
