"""The part of `ImageRAG.libraries` that shows libraries: what each is, its images page by page, what its filters ask.

No encoder is made for it.
"""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from imagerag.agent.errors import BlobError, ImageRAGError, UnknownLibraryError
from imagerag.agent.types.filters import FilterInput, parse_filter
from imagerag.client.argument_checks import check_arguments
from imagerag.client.argument_types import NaturalNumber, PositiveNumber
from imagerag.client.library_opening import LibraryOpening
from imagerag.client.synchronous import synchronous

if TYPE_CHECKING:
    from imagerag.agent.ports import Filter
    from imagerag.graphs.unmatched_concepts import UnmatchedConcept
    from imagerag.store.library.browsing import Browser, FilterKey, ImagePage, Order
    from imagerag.store.library.library_metadata import LibraryMetadata
    from imagerag.store.library.schema import ImageRecord


@dataclass(frozen=True, kw_only=True)
class LibrarySummary:
    """What a library is, in few words.

    Attributes:
        images: None where it cannot be read; `error` is the reason.
        metadata: encoder and thresholds.
        disk_bytes: what it takes itself; the files that it is linked to are not counted. None: not measured.
        snapshots: tags.
        newest: ids of the images that came last, at most four.
        warnings: what is likely to be wrong with it.
    """

    name: str
    images: int | None = None
    metadata: "LibraryMetadata | None" = None
    disk_bytes: int | None = None
    snapshots: tuple[str, ...] = ()
    newest: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    error: str = ""


@check_arguments
class LibraryBrowsing(LibraryOpening):
    """Shows libraries. Where none is named, it is the one that `ImageRAG` was made with."""

    @cached_property
    def _browser(self) -> "Browser":
        from imagerag.store.library.browsing import Browser

        return Browser(self._context.dependencies.home)

    async def summary(self, library: str | None = None, *, disk: bool = True, draw: bool = True) -> LibrarySummary:
        """What a library is.

        Args:
            disk: measure what it takes; that looks at every file of its folder.
            draw: draw the built-in library where it is not there yet, which takes some seconds.

        Raises:
            UnknownLibraryError, LibraryDamagedError: there is none of that name, or it cannot be read.
        """
        from imagerag.agent.ports import Filter
        from imagerag.graphs.library_warnings import library_warnings
        from imagerag.store.library.library_metadata import library_metadata_of
        from imagerag.store.library.maintenance.library_disk_usage import disk_use
        from imagerag.store.library.names import is_snapshot, snapshot_tags

        name = await self._made(library) if draw else self.name(library)
        opened = await self._browser.table(name)
        metadata = await opened.read(lambda: library_metadata_of(opened.lance, opened.name))
        newest = await self._browser.page(name, filter=Filter(), order="newest", offset=0, limit=4)
        return LibrarySummary(
            name=opened.name,
            images=newest.total,
            metadata=metadata,
            disk_bytes=(await asyncio.to_thread(disk_use, opened.folder)).total if disk else None,
            snapshots=() if is_snapshot(opened.name) else tuple(snapshot_tags(opened.folder)),
            newest=tuple(one.id for one in newest.records),
            warnings=tuple(library_warnings(opened.name, metadata)),
        )

    async def current_name(self, library: str | None = None) -> str:
        """The name that a library has now; the built-in one is made when it is first looked at.

        Args:
            library: its name, or one that it had before it was renamed.

        Raises:
            UnknownLibraryError, LibraryDamagedError: there is none of that name, or it cannot be read.
        """
        return (await self._browser.table(await self._made(library))).name

    async def summaries(self) -> list[LibrarySummary]:
        """All libraries, by name; one that cannot be read does not hide the others."""
        from imagerag.store.library.database import list_libraries

        listed = []
        for name in await asyncio.to_thread(list_libraries, self._context.dependencies.home):
            try:
                listed.append(await self.summary(name, draw=False))
            except UnknownLibraryError:
                continue  # it was deleted meanwhile
            except ImageRAGError as error:
                listed.append(LibrarySummary(name=name, error=str(error)))
        return listed

    async def browse(
        self,
        library: str | None = None,
        *,
        filter: FilterInput | None = None,
        order: "Order" = "newest",
        offset: NaturalNumber = 0,
        limit: PositiveNumber = 60,
    ) -> "ImagePage":
        """Some images of a library, in an order.

        Args:
            filter: what must hold of an image, in the filter language, or a mapping of keys to the values that they
                must equal.
            order: "newest" and "oldest" by the time they came into the library, "taken" by that of exposure.
            offset: images that are passed over, 0 or more.
            limit: images at most, 1 or more.

        Raises:
            UnknownLibraryError: there is none of that name.
            FilterError: the filter cannot be read, or asks for what the library does not know.
        """
        name, wanted = await self._made(library), self._filter(filter)
        return await self._browser.page(name, filter=wanted, order=order, offset=offset, limit=limit)

    async def no_match(self, library: str | None, filter: FilterInput | None) -> str:
        """Why a filter leaves nothing of a library, with values that there are; empty where it leaves something."""
        return await self._browser.no_match(self.name(library), self._filter(filter))

    async def filter_keys(self, library: str | None = None) -> "list[FilterKey]":
        """The keys that filters of a library can ask for, each with its most frequent values.

        Raises:
            UnknownLibraryError: there is none of that name.
        """
        return await self._browser.filter_keys(await self._made(library))

    async def record(self, image: str, library: str | None = None) -> "ImageRecord | None":
        """What a library knows of an image; None when it does not hold it.

        Args:
            image: its whole id, a SHA-256.

        Raises:
            UnknownLibraryError: there is none of that name.
        """
        return await self._browser.record(await self._made(library), image)

    async def image_bytes(self, image: str, library: str | None = None) -> bytes:
        """The bytes of an image, from its copy or the first of its files that still has them.

        Args:
            library: which one; of several with commas between them, the first that has it.

        Raises:
            BlobError: it is not there, or its file is gone or was changed; the message says which and what to do.
        """
        from imagerag.agent.retrieval.search_queries import WEB, names_of

        problem: BlobError | None = None
        for name in [one for one in names_of(self.name(library)) if not one.startswith(WEB)]:
            try:
                return await self._browser.image_bytes(await self._made(name), image)
            except BlobError as error:
                problem = problem or error
        raise problem or BlobError(f"the image {image} is in no library of one's own")

    async def thumbnails(self, images: Collection[str], library: str | None = None) -> dict[str, bytes]:
        """Id → thumbnail, WebP of at most 256 pixels on the longer side; read in one query. Missing ones are left
        out."""
        from imagerag.store.library.thumbnails import thumbnails

        return await asyncio.to_thread(thumbnails, self._context.dependencies.home, self.name(library), images)

    async def unmatched(self, library: str | None = None, *, runs: PositiveNumber = 100) -> "list[UnmatchedConcept]":
        """List what runs searched a library for without an image that passed, the most frequent first.

        Args:
            runs: how many of its runs are read, the newest ones.

        Raises:
            UnknownLibraryError: there is none of that name.
        """
        from imagerag.graphs.unmatched_concepts import unmatched_concepts
        from imagerag.store.run_index import RunIndex

        name, dependencies = await self._made(library), self._context.dependencies
        await self._browser.table(name)
        entries = await RunIndex(dependencies.home.run_list).list(runs, library=name)
        return await unmatched_concepts(dependencies, entries)

    def _filter(self, filter: FilterInput | None) -> "Filter":
        from imagerag.agent.ports import Filter

        return Filter(where=parse_filter(filter))

    summary_sync = synchronous(summary)
    current_name_sync = synchronous(current_name)
    summaries_sync = synchronous(summaries)
    browse_sync = synchronous(browse)
    no_match_sync = synchronous(no_match)
    filter_keys_sync = synchronous(filter_keys)
    record_sync = synchronous(record)
    image_bytes_sync = synchronous(image_bytes)
    thumbnails_sync = synchronous(thumbnails)
    unmatched_sync = synchronous(unmatched)
