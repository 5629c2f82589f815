"""Selection of images of a library: by id, by file or folder, or by a filter."""

import os
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from imagerag.agent.errors import UsageError
from imagerag.agent.ports import Filter
from imagerag.agent.types.filters import FilterExpression
from imagerag.formatting.interface_terms import QUERY, python_call
from imagerag.store.library.library import Library
from imagerag.store.library.locations import MEMBER
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
    hits: dict[str, tuple[set[str], set[str]]] = {name: (set(), set()) for name in names}
    name_paths = [(name, _path_of(name)) for name in hits]
    lance = library.table.lance
    columns = present(lance, ("id", "source", "files"))
    for batch in lance.search().select(columns).to_batches(ROWS):
        for record in batch.to_pylist():
            paths = [file["path"] for file in record.get("files") or ()] or [record["source"] or ""]
            for name, path in name_paths:
                by_id, by_path = hits[name]
                if ID.fullmatch(name) and record["id"].startswith(name):
                    by_id.add(record["id"])
                if _is_at(paths, name, path):
                    by_path.add(record["id"])
    return {one for name, (by_id, by_path) in hits.items() for one in _one_meaning(library.name, name, by_id, by_path)}


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


def _path_of(name: str) -> str:
    return os.path.abspath(os.path.expanduser(name))


def _is_at(paths: Sequence[str], name: str, path: str) -> bool:
    """Whether one of an image's files is at a path, or in that folder or archive."""
    within = (path.rstrip(os.sep) + os.sep, path + MEMBER)
    return any(one in (path, name) or one.startswith(within) for one in paths)


def path_of(row: ImageRecord) -> str:
    """The path of an image for messages: its first file, or its source."""
    return row.files[0].path if row.files else row.source
