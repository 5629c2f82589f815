"""Rows of a library with the same id, as a repeated write can leave them: searches find such an image twice."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from imagerag.store.library.maintenance.vector_verification import unusable
from imagerag.store.library.maintenance.verification import LibraryProblem
from imagerag.store.library.schema import VECTOR, FileEntry, id_filter

if TYPE_CHECKING:
    from imagerag.store.library.library import Library

AT_ONCE: Final = 100
"""Images whose rows are read at once, with all columns."""


async def remove_duplicate_rows(library: "Library", problems: Sequence[LibraryProblem]) -> list[LibraryProblem]:
    """Keep one row of each image, with the files of all; returns the problems with what was done.

    The row with a usable vector stays, and of several the one that says most. Rows are deleted by their number: if it
    is stopped, one at least is left of each image.
    """
    ids = [one.id for one in problems]
    for at in range(0, len(ids), AT_ONCE):
        part = ids[at : at + AT_ONCE]
        async with library.files_lock():
            records = await library.table.records(["id", "files"], part)
            await library.update_files({one: _files_of(one, records) for one in part})
            await library.table.write(partial(_delete_others, library.table.lance, part))
    return [replace(one, repaired="one row is kept, with the files of all") for one in problems]


def _files_of(digest: str, records: Sequence[dict[str, Any]]) -> list[FileEntry]:
    """The files in the rows of an image, the last entry of each path."""
    files = [FileEntry(**file) for one in records if one["id"] == digest for file in one["files"] or ()]
    return sorted({file.path: file for file in files}.values())


def _delete_others(lance: Any, ids: Sequence[str]) -> None:
    rows = lance.search().where(id_filter("id", ids)).with_row_id(True).to_arrow()
    filled = [
        sum(value not in (None, "", []) for value in row.values()) for row in rows.drop_columns([VECTOR]).to_pylist()
    ]
    bad = unusable(rows[VECTOR].combine_chunks())
    ranked = sorted(zip(bad, filled, rows["_rowid"].to_pylist(), rows["id"].to_pylist(), strict=True), key=_rank)
    kept: dict[str, int] = {}
    others = [number for _, _, number, digest in ranked if kept.setdefault(digest, number) != number]
    if others:
        lance.delete(f"_rowid IN ({', '.join(map(str, others))})")


def _rank(row: tuple[bool, int, int, str]) -> tuple[bool, int, int]:
    is_bad, filled, number, _ = row
    return bool(is_bad), -filled, number
