"""`ImageRAG.libraries.snapshots`: tagging what a library holds, to be opened as `NAME@TAG`."""

import asyncio
from typing import TYPE_CHECKING

from imagerag.client.argument_checks import check_arguments
from imagerag.client.library_opening import LibraryOpening
from imagerag.client.synchronous import synchronous

if TYPE_CHECKING:
    from imagerag.store.library.maintenance.snapshots import Snapshot

    Snapshots = list[Snapshot]
    """Named here because inside the class `list` is the method."""


@check_arguments
class SnapshotsAPI(LibraryOpening):
    """Snapshots of libraries. Where no library is named, it is the one that `ImageRAG` was made with.

    A snapshot is opened as `NAME@TAG` wherever a library is named, and cannot be changed. It has the rows, vectors,
    thumbnails, thresholds and copies of images of the library; files that images are linked to stay where they are.
    """

    async def create(self, tag: str, library: str | None = None) -> "Snapshot":
        """Tag what a library holds now. It takes next to no room until the library changes.

        Raises:
            UsageError: the tag cannot be one, or there is one of that name.
            UnknownLibraryError: there is no such library.
        """
        from imagerag.store.library.maintenance.snapshots import create_snapshot

        opened = await self._open_to_change(library)
        await opened.tidy()  # earlier versions would be kept with it
        return await opened.table.read(lambda: create_snapshot(opened.table, tag))

    async def list(self, library: str | None = None) -> "Snapshots":
        """List the snapshots of a library, oldest first.

        Raises:
            UnknownLibraryError: there is no such library.
        """
        from imagerag.store.library.maintenance.snapshots import list_snapshots

        return await asyncio.to_thread(list_snapshots, self._context.dependencies.home, self.name(library))

    async def remove(self, tag: str, library: str | None = None) -> None:
        """Remove a snapshot. Runs that were made with it cannot be replayed then.

        Raises:
            UnknownLibraryError: there is no such library, or no such snapshot.
        """
        from imagerag.store.library.maintenance.snapshots import remove_snapshot

        opened = await self._open_to_change(library)
        await opened.table.read(lambda: remove_snapshot(opened.table, tag))

    async def restore(self, tag: str, library: str | None = None) -> int:
        """Make a library what it was when it was tagged, in one commit; the number of its images.

        What was added since is no longer in it, unless another snapshot has it. The snapshot stays.

        Raises:
            UnknownLibraryError: there is no such library, or no such snapshot.
            StorageError: there is no room for it; the library stays as it was.
        """
        from imagerag.store.library.maintenance.snapshots import restore_snapshot

        opened = await self._open_to_change(library)
        async with opened.files_lock():
            images = await opened.table.read(lambda: restore_snapshot(opened.table, tag))
        await opened.optimize()
        return images

    create_sync = synchronous(create)
    list_sync = synchronous(list)  # noqa: A003
    remove_sync = synchronous(remove)
    restore_sync = synchronous(restore)
