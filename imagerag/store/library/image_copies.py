"""Copies of images inside a library: those of its rows, and unreferenced files."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagerag.store.library import schema as form
from imagerag.store.library.database import open_table
from imagerag.store.library.names import SNAPSHOTS

if TYPE_CHECKING:
    from imagerag.store.library.table import LibraryTable


def copied_images(table: "LibraryTable", ids: Sequence[str]) -> set[str]:
    """The images among `ids` whose bytes are stored in the library."""
    from lancedb.expr import col, lit

    copies = {one for one in ids if table.images.path(one).exists()}
    if form.IMAGE_COLUMN in table.lance.schema.names:
        inside = form.id_filter("id", ids) & (col(form.IMAGE_COLUMN) != lit(b""))  # null is neither
        copies |= set(table.lance.search().select(["id"]).where(inside).to_arrow()["id"].to_pylist())
    return copies


def stray_files(table: "LibraryTable") -> list[Path]:
    """List copies of images that no tagged version of the table has, and unfinished files."""
    unfinished = [*table.folder.glob(".tmp-*"), *(table.folder / SNAPSHOTS).glob(".tmp-*")]
    if not table.images.root.is_dir():
        return unfinished
    ids = _ids(table.lance)
    if tags := table.lance.tags.list():
        pinned = open_table(table.home, table.name)
        for tag in tags:
            pinned.checkout(tag)
            ids |= _ids(pinned)
    return [*table.images.strays(ids), *unfinished]


def _ids(lance: Any) -> set[str]:
    return set(lance.search().select(["id"]).to_arrow()["id"].to_pylist())
