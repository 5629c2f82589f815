"""Selection of images of a library: by id, by file or folder, or by a filter."""

import os
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from imagerag.agent.errors import UsageError
from imagerag.agent.ports import Filter
from imagerag.agent.types.filters import FilterExpression
from imagerag.formatting.interface_terms import QUERY, python_call
from imagerag.store.library.library import Library
from imagerag.store.library.locations import MEMBER, path_text
from imagerag.store.library.schema import ImageRecord, present
from imagerag.store.library.search import matching_ids
from imagerag.store.text_files import listed

ID: Final = re.compile(r"[0-9a-f]{6,64}")
"""The beginning of an id: six digits and more."""

WHOLE: Final = 64
ROWS: Final = 4096
_MAX_IDS: Final = 4

LISTED: Final = 10_000
"""Images of a selection that are listed; the others are counted, as each takes 3 kB of memory."""


@dataclass(frozen=True)
class ImageSelection:
    """Images of a library that were removed or updated, or would be. Its length is their number.

    Attributes:
        ids: the ids of all of them, sorted.
        rows: what the library knows of the first `LISTED` of them.
        reason: why there are none, or which changes concern none of them.
    """

    ids: Sequence[str] = ()
    rows: Sequence[ImageRecord] = ()
    reason: str = ""

    def __len__(self) -> int:
        return len(self.ids)


async def select_ids(
    library: Library,
    names: Sequence[str | Path],
    where: FilterExpression | None = None,
    tags: str | Collection[str] = (),
    licences: str | Collection[str] = (),
) -> list[str]:
    """The ids of the selected images, sorted. All that is given has to match.

    Args:
        names: ids or their first digits (six at least), files, or folders and archives for all images with a file in
            them.

    Raises:
        UsageError: nothing is given, a name matches no image, or first digits match several.
        FilterError: as `Library.check_filter`.
    """
    selection = Filter(where=where, tags=tuple(listed(tags)), licences=tuple(listed(licences)))
    await library.check_filter(selection)
    if not names and selection.condition is None:
        raise UsageError("say which images: their ids (six digits do), files, folders, or `filter`")
    if "" in names:  # an unset variable of a shell, which is no working directory
        raise UsageError("the name of an image is empty: give its id (six digits do), its file, or its folder")
    ids = await _ids_of(library, [str(name) for name in names]) if names else None
    if selection.condition is None:
        return sorted(ids or ())
    matching = await library.table.read(lambda: matching_ids(library.table.lance, selection))
    return [one for one in matching if ids is None or one in ids]


async def _ids_of(library: Library, names: Sequence[str]) -> set[str]:
    whole = {name for name in names if len(name) == WHOLE and ID.fullmatch(name)}
    there = await library.table.existing(sorted(whole))
    for name in sorted(whole - there):
        _one_meaning(library.name, name, set(), set())
    others = [name for name in names if name not in whole]
    return there | (await library.table.read(lambda: _ids_by_name(library, others)) if others else set())


def _ids_by_name(library: Library, names: Sequence[str]) -> set[str]:
    """The ids that match the names, in one pass over all rows."""
    import pyarrow.compute as pc

    hits: dict[str, tuple[set[str], set[str]]] = {name: (set(), set()) for name in names}
    lance = library.table.lance
    for batch in lance.search().select(present(lance, ("id", "source", "files"))).to_batches(ROWS):
        paths = _paths(batch)
        for name, (by_id, by_path) in hits.items():
            if ID.fullmatch(name):
                by_id.update(batch["id"].filter(pc.starts_with(batch["id"], name)).to_pylist())
            by_path.update(paths["id"].filter(_are_at(paths["path"], name)).to_pylist())
    return {one for name, (by_id, by_path) in hits.items() for one in _one_meaning(library.name, name, by_id, by_path)}


def _paths(rows: Any) -> Any:
    """Id and path of each file of some rows; of a row without one, those of its source."""
    import pyarrow as pa
    import pyarrow.compute as pc

    sources = pa.table({"id": rows["id"], "path": pc.fill_null(rows["source"], "")})
    if "files" not in rows.schema.names:
        return sources
    files = rows["files"]
    of_files = rows["id"].take(pc.list_parent_indices(files)), pc.struct_field(pc.list_flatten(files), "path")
    without = pc.equal(pc.fill_null(pc.list_value_length(files), 0), 0)
    return pa.concat_tables([pa.table(of_files, names=["id", "path"]), sources.filter(without)])


def _are_at(paths: Any, name: str) -> Any:
    """Whether each path is that of a name, or lies in that folder or archive."""
    import pyarrow as pa
    import pyarrow.compute as pc

    path = path_text(os.path.abspath(os.path.expanduser(name)))
    are_at = pc.is_in(paths, pa.array([path, name.encode(errors="backslashreplace").decode()]))
    for folder in (path.rstrip(os.sep) + os.sep, path + MEMBER):
        are_at = pc.or_(are_at, pc.starts_with(paths, folder))
    return are_at


def _one_meaning(library: str, name: str, by_id: set[str], by_path: set[str]) -> Iterable[str]:
    if len(by_id) > 1:
        message = ", ".join(one[:12] for one in sorted(by_id)[:_MAX_IDS])
        raise UsageError(f"{len(by_id)} images of library {library!r} begin with {name}: {message}; add digits")
    if not by_id and not by_path:
        raise UsageError(
            f"library {library!r} holds no image {name!r}: give its id (six digits do), its file, or its folder; "
            f"{python_call('libraries.search', QUERY, library=library)} finds it"
        )
    return by_id | by_path


def path_of(row: ImageRecord) -> str:
    """The path of an image for messages: its first file, or its source."""
    return row.files[0].path if row.files else row.source
