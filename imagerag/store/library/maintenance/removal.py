"""Removal of images from a library, which also keeps indexing from adding them again.

Folders are indexed repeatedly. The file of a removed image is still in its folder, so the library stores the id, and
indexing skips it until it is added again. The ids are in a file in the library's folder, one per line, which stays with
the library when it is renamed or set aside. It is written before the rows are deleted: if removal is stopped, removing
the same images again ends with the same rows.
"""

import errno
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Final

from imagerag.agent.errors import StorageError
from imagerag.agent.threads import in_thread
from imagerag.formatting.interface_terms import FILE, python_call
from imagerag.store.images.blob_store import write_atomically
from imagerag.store.library.library import Library
from imagerag.store.storage_errors import storage_errors

REMOVED: Final = "removed.txt"
"""The ids of removed images, in the library's folder."""

AT_ONCE: Final = 5_000
"""Rows that are deleted in one commit."""


def removed_ids(folder: Path) -> frozenset[str]:
    """The ids of images that were removed from the library in this folder and stay removed."""
    path = folder / REMOVED
    with storage_errors(path, "cannot read"):
        try:
            return frozenset(path.read_text(encoding="ascii").split())
        except FileNotFoundError:
            return frozenset()


def removal_warning(library: str, count: int) -> str:
    """A warning that files of removed images were skipped, with how to add them again."""
    were = "1 file was" if count == 1 else f"{count} files were"
    return (
        f"{were} passed over, whose images were removed from library {library!r}: "
        f"{python_call('libraries.add', FILE, library=library)} takes one back"
    )


async def remove_images(library: Library, ids: Collection[str]) -> int:
    """Remove images, and keep indexing from adding them again; returns their number. Image files stay.

    Raises:
        StorageError: the disk is full, or cannot be written.
    """
    async with library.files_lock():
        await _write(library, removed_ids(library.folder) | set(ids))
        ordered = sorted(ids)
        parts = [ordered[at : at + AT_ONCE] for at in range(0, len(ordered), AT_ONCE)]
        return sum([await library.delete(part) for part in parts])


async def allow_again(library: Library, ids: Collection[str]) -> None:
    """Allow indexing to add removed images again."""
    async with library.files_lock():
        noted = removed_ids(library.folder)
        if not noted.isdisjoint(ids):
            await _write(library, noted - set(ids))


async def settle(
    library: Library,
    *,
    changed: int = 0,
    calibrate: bool = True,
    timed: Callable[[str], AbstractContextManager[Any]] = nullcontext,
) -> None:
    """Join fragments if that pays off, and measure the threshold if the content changed, now or before a stop.

    Args:
        changed: number of rows written or removed.
        calibrate: False leaves the threshold as it is; `imagerag doctor` reports it as stale.
        timed: measures the stages `write` and `calibrate`.
    """
    matters = calibrate or not changed  # comparing the content reads the texts of all images
    stale = matters and bool(await library.count()) and await library.is_stale()
    with timed("write"):
        if await library.tidying_pays(changed or int(stale)):
            await library.optimize()
        elif await in_thread(_has_copies_of_removed, library):
            await library.remove_strays()
    if stale and calibrate:
        with timed("calibrate"):
            await library.calibrate(anew=False)


async def settle_removal(library: Library, removed: Collection[str], *, calibrate: bool = True) -> None:
    """`settle` after images were removed, which may have been done to make room on a full disk.

    Their copies go first, as joining fragments needs room. Where there is too little of that still, fragments and
    threshold are left to the next change: the images are removed.
    """
    if await in_thread(_has_copies_of_removed, library, removed):
        await library.remove_strays()
    try:
        await settle(library, changed=len(removed), calibrate=calibrate)
    except StorageError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise


def _has_copies_of_removed(library: Library, removed: Collection[str] = ()) -> bool:
    """Whether a copy of one of these images is left, or of one whose removal was stopped before that."""
    pinned = bool(library.table.lance.tags.list())  # snapshots rightly keep copies of images that were removed earlier
    ids = removed if pinned else {*removed, *removed_ids(library.folder)}
    return any(library.table.images.path(one).exists() for one in ids)


def write_removed(folder: Path, ids: Collection[str]) -> None:
    """Write the ids of removed images to a library's folder. The caller holds `writing`."""
    path = folder / REMOVED
    with storage_errors(path, "cannot write"):
        write_atomically(path, "".join(f"{one}\n" for one in sorted(ids)).encode())


async def _write(library: Library, ids: Collection[str]) -> None:
    # Hold the lock while writing, or an exclusive holder would delete the half-written file as a stray.
    await library.table.write(lambda: write_removed(library.folder, ids))
