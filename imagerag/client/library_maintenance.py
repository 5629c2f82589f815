"""The part of `ImageRAG.libraries` that changes, measures, checks, exports and renames libraries."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Unpack

from imagerag.agent.errors import UsageError
from imagerag.agent.types.filters import FilterInput, parse_filter
from imagerag.client.argument_checks import check_arguments
from imagerag.client.argument_types import Cosine, NaturalNumber, TextList
from imagerag.client.library_migration import LibraryMigration
from imagerag.client.library_snapshots import SnapshotsAPI
from imagerag.client.synchronous import synchronous
from imagerag.store.text_files import listed

if TYPE_CHECKING:
    from imagerag.store.library.indexing.adding import AddedImages
    from imagerag.store.library.library import Library
    from imagerag.store.library.maintenance.changes import ImageChangeOptions
    from imagerag.store.library.maintenance.duplicates import Duplicates
    from imagerag.store.library.maintenance.export import Export
    from imagerag.store.library.maintenance.image_selection import ImageSelection
    from imagerag.store.library.maintenance.library_disk_usage import DiskUse
    from imagerag.store.library.maintenance.statistics import LibraryStatistics
    from imagerag.store.library.maintenance.verification import Verification
    from imagerag.store.library.schema import ImageRecord


@check_arguments
class LibraryMaintenance(LibraryMigration):
    """Maintenance of libraries. Where none is named, it is the one that `ImageRAG` was made with.

    Images are named by their ids (six digits do), by a file of theirs, or by a folder or an archive with all below it.
    """

    async def select(
        self,
        *images: str | Path,
        library: str | None = None,
        filter: FilterInput | None = None,
        tags: TextList = (),
        licences: TextList = (),
    ) -> "list[ImageRecord]":
        """List what a library knows of some images, sorted by id. All that is given has to hold.

        Args:
            images: ids, files, folders.
            filter: what must hold of an image, in the filter language, or a mapping of keys to the values that they
                must equal; tags and licences likewise.

        Raises:
            UsageError: nothing is given, or a name stands for no image or for several.
            FilterError: the filter cannot be read, or asks for what the library does not know.
            UnknownLibraryError: there is none of that name.
        """
        from imagerag.store.library.maintenance.image_selection import select_ids

        opened = await self.open(library)
        return await opened.rows(await select_ids(opened, images, parse_filter(filter), tags, licences))

    async def add(
        self,
        *files: str | Path,
        library: str | None = None,
        copy: bool = False,
        **changes: "Unpack[ImageChangeOptions]",
    ) -> "AddedImages":
        """Put image files into a library, those too that were removed from it before.

        Args:
            files: image files; `index` takes whole folders.
            copy: keep the images in the library too, not only links to the files.
            changes: what is known of the images (`caption`, `add_tags`, …), see `update`; a sidecar says the rest.

        Returns:
            What the library knows of the images now; `new` is how many of them it did not hold before.

        Raises:
            UsageError: there is no such file, or it is no image; nothing was added then.
            BackendError: the encoder failed.
        """
        from imagerag.store.library.indexing.adding import add_files
        from imagerag.store.library.maintenance.changes import ImageChanges

        opened = await self._open_to_change(library)
        return await add_files(opened, [Path(file) for file in files], ImageChanges(**changes), copy=copy)

    async def remove(
        self,
        *images: str | Path,
        library: str | None = None,
        filter: FilterInput | None = None,
        tags: TextList = (),
        licences: TextList = (),
        calibrate: bool = True,
        dry_run: bool = False,
    ) -> "ImageSelection":
        """Take images out of a library. Their files stay; indexing these again leaves them out, `add` takes them back.

        Args:
            images: ids, files, folders; see `select` for these and the filters.
            calibrate: measure the threshold again where captions went.
            dry_run: change nothing, and say which images it would be.

        Returns:
            The ids of the images, and what the library knew of the first ten thousand; without any, the `reason`.

        Raises:
            UsageError: as `select`.
            UnknownLibraryError: there is none of that name.
            StorageError: the disk is full to the last byte, or cannot be written.
        """
        from imagerag.store.library.maintenance.image_selection import LISTED, ImageSelection, select_ids
        from imagerag.store.library.maintenance.removal import remove_images, settle_removal
        from imagerag.store.room_reserve import room_for_removal

        opened = await self._open_to_change(library)
        ids = await select_ids(opened, images, parse_filter(filter), tags, licences)
        reason = "" if ids else await self._no_match(opened, filter, tags, licences)
        selection = ImageSelection(ids, await opened.rows(ids[:LISTED]), reason)
        if ids and not dry_run:
            with room_for_removal(self._context.dependencies.home):
                await remove_images(opened, ids)
                await settle_removal(opened, ids, calibrate=calibrate)
        return selection

    async def update(
        self,
        *images: str | Path,
        library: str | None = None,
        filter: FilterInput | None = None,
        calibrate: bool = True,
        dry_run: bool = False,
        **changes: "Unpack[ImageChangeOptions]",
    ) -> "ImageSelection":
        """Change what a library knows of images; nothing is encoded again.

        Args:
            images: ids, files, folders; see `select` for these and the filter.
            calibrate: measure the threshold again where captions changed.
            dry_run: change nothing, and say what it would be.
            changes: `title`, `caption`, `licence`, `author`, `source` ("" takes one away), `add_tags`, `remove_tags`,
                `set` (further fields and metadata keys), `unset`.

        Returns:
            The ids of the images that are different now, what the library knows of the first ten thousand, and what of
            the changes concerns none of them (`reason`).

        Raises:
            UsageError: as `select`; or no change is named.
            UnknownLibraryError: there is none of that name.
        """
        from imagerag.store.library.maintenance.changes import ImageChanges, change_images
        from imagerag.store.library.maintenance.image_selection import select_ids
        from imagerag.store.library.maintenance.removal import settle

        opened = await self._open_to_change(library)
        ids = await select_ids(opened, images, parse_filter(filter))
        different = await change_images(opened, ids, ImageChanges(**changes), dry_run=dry_run)
        if not ids:
            different = replace(different, reason=await self._no_match(opened, filter))
        if different and not dry_run:
            await settle(opened, changed=len(different), calibrate=calibrate)
        return different

    async def dedupe(
        self,
        library: str | None = None,
        *,
        threshold: Cosine | None = None,
        keep: Literal["largest", "oldest", "first"] = "largest",
        remove: bool = False,
    ) -> "Duplicates":
        """List images that a library holds more than once. Files are never touched.

        Args:
            threshold: cosine from which on two images count as the same; by default the library's calibrated one.
            keep: which image of a group is kept: the one with the most pixels, the one taken first, or the first by
                path.
            remove: take the others of each group out of the library, as `remove` does.

        Raises:
            UsageError: no threshold is given, and the library has none.
            UnknownLibraryError: there is none of that name.
        """
        from imagerag.store.library.maintenance.duplicates import find_duplicates

        opened = await (self._open_to_change(library) if remove else self.open(library))
        duplicates = await find_duplicates(opened, threshold=threshold, keep=keep)
        if remove and duplicates.groups:
            await self.remove(*(one.id for group in duplicates.groups for one in group.others), library=opened.name)
        return duplicates

    async def stats(self, library: str | None = None, *, worst: NaturalNumber = 5) -> "LibraryStatistics":
        """Count and measure what a library holds; `worst` captions of 1,000 are listed, the furthest from their images.

        Raises:
            UnknownLibraryError: there is none of that name.
            BackendError: the encoder, which reads a sample of the captions, failed.
        """
        from imagerag.store.library.maintenance.statistics import library_statistics

        return await library_statistics(await self.open(library), worst=worst)

    async def export(
        self,
        out: str | Path,
        *,
        library: str | None = None,
        format: Literal["parquet", "folder"] | None = None,
        with_bytes: bool = False,
        overwrite: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> "Export":
        """Write a library for other programs.

        Args:
            out: the Parquet file, or the folder.
            format: "parquet" has texts, typed columns and vectors; "folder" has the images with sidecars, which `index`
                reads back to the same rows. By default "parquet" for a name that ends in .parquet, else "folder".
            with_bytes: write the bytes of the images into the Parquet file, too.
            overwrite: replace a Parquet file, or put a folder's export in the place of an earlier one.
            progress: called with images done and images in all.

        Raises:
            UsageError: the name is that of another type of file; the Parquet file is there already; `with_bytes` for a
                folder; the folder holds other files, those of an earlier export, or such as the library links to.
            StorageError: the disk is full, or cannot be written.
        """
        from imagerag.store.library.maintenance.export import export_folder, export_parquet
        from imagerag.store.library.maintenance.export_format import format_of

        kind = format or format_of(out)
        if kind == "folder" and with_bytes:
            raise UsageError("`with_bytes=True` is for Parquet: a folder has the images in any case")
        opened = await self.open(library)
        if kind == "folder":
            return await export_folder(opened, Path(out), overwrite=overwrite, progress=progress)
        return await export_parquet(opened, Path(out), with_bytes=with_bytes, overwrite=overwrite, progress=progress)

    async def verify(self, library: str | None = None, *, repair: bool = False, files: bool = True) -> "Verification":
        """Compare every row of a library with its bytes, its files, its vector, and those of its caption and regions.

        Args:
            repair: mend what can be mended; `left` of the result is what could not be. Bad vectors of captions and
                regions are deleted: the next `index` makes them again.
            files: read the files that images are linked to, too.

        Raises:
            UnknownLibraryError, LibraryDamagedError: there is none of that name, or its table cannot be read.
            BackendError: the encoder, which a repair may need, failed.
        """
        from imagerag.store.library.maintenance.repair import repair_library
        from imagerag.store.library.maintenance.verification import verify_table
        from imagerag.store.library.names import refuse_snapshot

        if repair:
            refuse_snapshot(self.name(library))
        opened, home = await self.open(library), self._context.dependencies.home
        verification = await opened.table.read(lambda: verify_table(opened.table, files=files))
        if not repair or not verification.problems:
            return verification
        problems = await repair_library(home, opened, verification.problems)
        return verification.model_copy(update={"problems": tuple(problems)})

    async def optimize(self, library: str | None = None) -> "tuple[DiskUse, DiskUse]":
        """Join small fragments, extend the indexes and remove what no longer counts: disk use before and after.

        Raises:
            UnknownLibraryError: there is none of that name.
            StorageError: there is no room for it; the library stays as it was.
        """
        from imagerag.store.library.maintenance.library_disk_usage import disk_use
        from imagerag.store.unfinished_files import remove_unfinished

        opened = await self.open(library)
        await asyncio.to_thread(remove_unfinished, opened.table.home)
        before = await asyncio.to_thread(disk_use, opened.folder)
        await opened.table.prepare()  # columns for numbers and dates, which a library of an earlier version lacks
        await opened.optimize()
        return before, await asyncio.to_thread(disk_use, opened.folder)

    async def rename(self, old: str, new: str) -> None:
        """Give a library another name. Runs that name the old one find it until a new library takes that name.

        Raises:
            UnknownLibraryError: there is none of the old name.
            UsageError: there is one of the new name, or the library is being filled.
        """
        from imagerag.store.library.maintenance.renaming import rename_library

        await asyncio.to_thread(rename_library, self._context.dependencies.home, old, new)

    async def delete(self, name: str) -> None:
        """Delete a whole library; the files it was indexed from stay. `remove` takes single images out.

        Raises:
            UnknownLibraryError: there is none of that name.
        """
        from imagerag.store.library.database import remove

        await asyncio.to_thread(remove, self._context.dependencies.home, name)

    async def _no_match(
        self, opened: "Library", filter: FilterInput | None, tags: TextList = (), licences: TextList = ()
    ) -> str:
        """Why nothing is selected."""
        from imagerag.agent.ports import Filter
        from imagerag.agent.retrieval.search_queries import explain_filter

        if not await opened.count():
            return f"library {opened.name!r} holds no images"
        where = Filter(where=parse_filter(filter), tags=tuple(listed(tags)), licences=tuple(listed(licences)))
        return await explain_filter(opened, where) or "no image of those that are named passes the filter"

    @property
    def snapshots(self) -> SnapshotsAPI:
        """Snapshots of libraries."""
        return SnapshotsAPI(self._context)

    select_sync = synchronous(select)
    add_sync = synchronous(add)
    remove_sync = synchronous(remove)
    update_sync = synchronous(update)
    dedupe_sync = synchronous(dedupe)
    stats_sync = synchronous(stats)
    export_sync = synchronous(export)
    verify_sync = synchronous(verify)
    optimize_sync = synchronous(optimize)
    rename_sync = synchronous(rename)
    delete_sync = synchronous(delete)
