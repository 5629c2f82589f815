"""The reference library: a LanceDB table of images with vectors and metadata."""

import asyncio
from collections.abc import Mapping, Sequence, Set
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import UTC, datetime

from imagerag.agent.errors import EmbeddingMismatchError
from imagerag.agent.port_validation import check_embeds_images
from imagerag.agent.ports import Embedder
from imagerag.formatting.interface_terms import python_call
from imagerag.store.data_dir import DataDir
from imagerag.store.library import schema as form
from imagerag.store.library import search as searching
from imagerag.store.library.database import create_table, current_name, open_current, retry_on_conflict
from imagerag.store.library.index_files import changed_index_files, drop_indexes, note_checksums
from imagerag.store.library.library_metadata import (
    METADATA_KEY,
    THINGS_OR_TILES,
    DescriberSettings,
    LibraryMetadata,
    Threshold,
    library_metadata_of,
    write_library_metadata,
)
from imagerag.store.library.library_reader import EncoderOf, LibraryReader
from imagerag.store.library.region_columns import EncodedRegions
from imagerag.store.library.schema import FileEntry, ImageRecord, NewImage


class Library(LibraryReader):
    """A named library, open for reading and writing; any number of processes may open it."""

    @classmethod
    async def open(cls, home: DataDir, name: str, embedder: Embedder, encoder_of: EncoderOf | None = None) -> "Library":
        """Open a library that exists.

        Args:
            encoder_of: returns the encoder of a spec, for its captions; needed where they have one of their own.

        Raises:
            UnknownLibraryError: there is no library of that name; the message lists the existing ones.
            EmbeddingMismatchError: it was built with another encoder.
            LibraryDamagedError: its files cannot be read.
        """
        return await asyncio.to_thread(cls._open, home, name, embedder, encoder_of)

    @classmethod
    async def open_with(cls, home: DataDir, name: str, encoder_of: EncoderOf) -> "Library":
        """Open an existing library with the encoders that its metadata names.

        Args:
            encoder_of: returns the encoder of a spec, also that of captions when it is needed; its exceptions are
                passed on.

        Raises:
            UnknownLibraryError, EmbeddingMismatchError, LibraryDamagedError: as `open`.
        """
        return await asyncio.to_thread(cls._open, home, name, None, encoder_of)

    @classmethod
    async def create_or_open(
        cls, home: DataDir, name: str, embedder: Embedder, encoder_of: EncoderOf | None = None
    ) -> "Library":
        """Open a library; create an empty one if there is none.

        Args:
            encoder_of: as in `open`.

        Raises:
            UsageError: the name is invalid.
            SpecError: the encoder embeds texts only.
            EmbeddingMismatchError, LibraryDamagedError: as `open`.
        """

        def create() -> "Library":
            check_embeds_images(embedder)
            library_metadata = LibraryMetadata.of(embedder.identity, datetime.now(UTC))
            metadata = {METADATA_KEY: library_metadata.model_dump_json()}
            create_table(home, name, form.schema(library_metadata.dimension, metadata))
            return cls._open(home, name, embedder, encoder_of)

        return await asyncio.to_thread(create)

    @classmethod
    def _open(cls, home: DataDir, name: str, embedder: Embedder | None, encoder_of: EncoderOf | None) -> "Library":
        name = current_name(home, name)
        table = open_current(home, name)
        library_metadata = library_metadata_of(table, name)
        if embedder is None:
            assert encoder_of is not None
            embedder = encoder_of(library_metadata.spec)
        if library_metadata.embedder != embedder.identity:
            raise EmbeddingMismatchError(
                f"library {name!r} was built with {library_metadata.embedder}, not with {embedder.identity}. "
                f"Use `embedder={library_metadata.spec}`, or migrate it: "
                f"{python_call('libraries.migrate', name, embedder=embedder.identity.spec)}"
            )
        return cls(home, name, table, library_metadata, embedder, encoder_of)

    async def upsert(self, images: Sequence[NewImage]) -> None:
        """Write complete rows; existing rows with the same id are replaced. Of equal ids the last counts.

        Takes `files_lock`.

        Raises:
            LibraryError: a vector has the wrong length, or is not finite, or is not of norm 1.
            EmbeddingMismatchError: the library was migrated to another encoder meanwhile.
        """
        if images:
            await self.table.upsert(self._distinct(images), self.embedder.identity)

    async def append(self, images: Sequence[NewImage]) -> None:
        """Append complete rows of new images. The caller checked under `files_lock` that they are new and still holds
        it.

        Raises:
            LibraryError: as `upsert`.
        """
        if images:
            await self.table.append(self._distinct(images), self.embedder.identity)

    def _distinct(self, images: Sequence[NewImage]) -> list[NewImage]:
        import numpy as np

        distinct = list({image.row.id: image for image in images}.values())
        for image in distinct:
            self._unit_vector(np.asarray([image.vector]), f"the image {image.row.id}")
        return distinct

    async def update(self, rows: Sequence[ImageRecord], fields: Set[str] | None = None) -> None:
        """Update columns of existing rows that do not affect the vector; no re-embedding.

        Args:
            fields: the fields of the rows that are written; None is all.
        """
        distinct = list({row.id: row for row in rows}.values())
        if distinct:
            await self.table.update(distinct, fields)

    async def update_files(self, files: Mapping[str, Sequence[FileEntry]]) -> None:
        """Write the files of images, by id. Read them under `files_lock`, or another scan's changes are overwritten."""
        if files:
            await self.table.update_files(files)

    async def update_ocr(self, readings: Mapping[str, tuple[str, float]]) -> None:
        """Write the words in images and their confidence, by id; nothing else of them changes."""
        if readings:
            async with self.files_lock():
                await self.table.update_ocr(readings)

    async def update_descriptions(self, rows: Sequence[ImageRecord]) -> None:
        """Write the descriptions of existing rows; nothing else of them changes."""
        if rows:
            async with self.files_lock():
                await self.table.update_descriptions(rows)

    async def set_describer(self, describer: DescriberSettings | None) -> None:
        """Note in the metadata what describes images of the library that have no description; None is nothing."""
        if self.metadata.describer == describer:
            return

        def work() -> LibraryMetadata:
            metadata = library_metadata_of(self.table.lance, self.name).model_copy(update={"describer": describer})
            write_library_metadata(self.table.lance, metadata)
            return metadata

        await self.table.prepare()
        self._metadata = await self.table.write(work)

    async def update_regions(self, regions: Mapping[str, EncodedRegions]) -> None:
        """Write the regions of images, by id; nothing else of them changes.

        Raises:
            EmbeddingMismatchError: the library was migrated to another encoder meanwhile.
        """
        if regions:
            async with self.files_lock():
                await self.table.update_regions(regions, self.embedder.identity)

    async def remember_regions(self) -> None:
        """Note in the metadata that the library has regions, and add their columns."""

        def work() -> LibraryMetadata:
            with self.table.calibrating():
                noted = library_metadata_of(self.table.lance, self.name).model_copy(update={"regions": THINGS_OR_TILES})
                write_library_metadata(self.table.lance, noted)
                return noted

        await self.table.prepare(regions=True)
        if self.metadata.regions is None:
            self._metadata = await self.table.read(work)

    def files_lock(self, *, dry_run: bool = False) -> AbstractAsyncContextManager[None]:
        """Lock out other tasks and processes that compare rows with files and write them; a dry run writes no lock
        either, so that it works on a disk that is only read."""
        return nullcontext() if dry_run else self.table.files_lock()

    async def delete(self, ids: Sequence[str]) -> int:
        """Delete images; returns the number of deleted rows. The threshold stays: `calibrate` again after deleting
        many."""
        return await self.table.delete(ids) if ids else 0

    async def calibrate(self, *, anew: bool = True) -> Threshold:
        """Measure the default thresholds and store them in the metadata, with a hash of the content.

        If the library changes meanwhile, they are measured again: a threshold never replaces one measured on later
        content.

        Args:
            anew: False keeps a threshold while what it was measured on is unchanged.

        Raises:
            LibraryError: the library is empty.
        """
        from imagerag.store.library.caption_threshold_update import update_caption_threshold
        from imagerag.store.library.fusion_update import update_fusion
        from imagerag.store.library.threshold_update import update_thresholds

        threshold = None if anew or await self.table.read(self._content_is_stale) else self._metadata.threshold
        if threshold is None:
            threshold, self._metadata = await update_thresholds(self, self.table, anew=anew)
        await update_caption_threshold(self)
        await update_fusion(self)
        return threshold

    async def optimize(self) -> None:
        """Join small fragments, build or extend the indexes for a library of this size, and remove old files.

        Raises:
            StorageError: the disk space is too small; the library stays as it was.
        """

        def work() -> None:
            with self.table.writing(alone=True) as alone:
                # LanceDB would take damaged parts of an index over into the new one.
                if alone and changed_index_files(self.table.folder):
                    retry_on_conflict(lambda: drop_indexes(self.table.lance))
                retry_on_conflict(lambda: searching.build_indexes(self.table.lance, alone=alone))
                if alone:
                    self.table.remove_strays()
                    note_checksums(self.table.folder)

        await self.table.read(work)

    async def tidy(self) -> None:
        """`optimize`, where earlier versions of the table take so much of the disk that it pays."""
        if await self.tidying_pays(0):
            await self.optimize()

    async def remove_strays(self) -> None:
        """Delete copies of images that no version of the library has; skipped while another task writes."""

        def work() -> None:
            with self.table.writing(alone=True) as alone:
                if alone:
                    self.table.remove_strays()

        await self.table.read(work)

    async def tidying_pays(self, changed: int) -> bool:
        """Whether `optimize` is worth its time after a number of rows were written or removed."""
        from imagerag.store.library.compaction import tidying_pays

        return await self.table.read(lambda: tidying_pays(self.table, changed))
