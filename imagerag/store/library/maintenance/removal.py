"""Taking images out of a library, and remembering that they are to stay out.

A folder is indexed again and again. An image that somebody took out is still in the folder, so the library notes its
id, and indexing passes over it until somebody adds it again. The note is a file in the library's folder, one id a line:
it comes along when the library is renamed or set aside, and it is written before the rows go. Stopped in between,
removing the same images again ends with the same rows.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Final

from imagerag.agent.threads import in_thread
from imagerag.store.images.blob_store import write_atomically
from imagerag.store.library.library import Library
from imagerag.store.storage_errors import storage_errors

REMOVED: Final = "removed.txt"
"""The ids of removed images, in the library's folder."""

AT_ONCE: Final = 5_000
"""Rows that are deleted in one commit."""


def removed_ids(folder: Path) -> frozenset[str]:
    """The ids of images that were taken out of the library in this folder, and are to stay out."""
    path = folder / REMOVED
    with storage_errors(path, "cannot read"):
        try:
            return frozenset(path.read_text(encoding="ascii").split())
        except FileNotFoundError:
            return frozenset()


def removal_warning(library: str, count: int) -> str:
    """That files were passed over, and how they come back."""
    were = "1 file was" if count == 1 else f"{count} files were"
    return (
        f"{were} passed over, whose images were removed from library {library!r}: "
        f"imagerag library add {library} FILE takes one back"
    )


async def remove_images(library: Library, ids: Collection[str]) -> int:
    """Take images out, and note that indexing is to leave them out; how many there were. Files of theirs stay.

    Raises:
        StorageError: the disk is full, or cannot be written.
    """
    async with library.files_lock():
        await in_thread(_write, library, removed_ids(library.folder) | set(ids))
        ordered = sorted(ids)
        parts = [ordered[at : at + AT_ONCE] for at in range(0, len(ordered), AT_ONCE)]
        return sum([await library.delete(part) for part in parts])


async def allow_again(library: Library, ids: Collection[str]) -> None:
    """Let indexing take images again that were removed."""
    async with library.files_lock():
        noted = removed_ids(library.folder)
        if not noted.isdisjoint(ids):
            await in_thread(_write, library, noted - set(ids))


async def settle(library: Library, *, changed: int = 0, removed: Collection[str] = (), calibrate: bool = True) -> None:
    """Join fragments where that pays, and measure the threshold where it is of another content.

    Args:
        changed: rows that were written.
        removed: images that were taken out: copies of them go at once.
        calibrate: False leaves a threshold as it is; `imagerag doctor` says that it is stale.
    """
    if await library.tidying_pays(changed + len(removed)):
        await library.optimize()
    elif await in_thread(lambda: any(library.table.images.path(one).exists() for one in removed)):
        await library.remove_strays()
    if calibrate and await library.count() and await library.is_stale():
        await library.calibrate(anew=False)


def write_removed(folder: Path, ids: Collection[str]) -> None:
    """Note in a library's folder which images are to stay out. The caller holds `writing`."""
    path = folder / REMOVED
    with storage_errors(path, "cannot write"):
        write_atomically(path, "".join(f"{one}\n" for one in sorted(ids)).encode())


def _write(library: Library, ids: Collection[str]) -> None:
    # Held while it is written, or somebody who holds it alone would take the half-written file for a stray.
    with library.table.writing():
        write_removed(library.folder, ids)
