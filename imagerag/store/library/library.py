"""The reference library: a LanceDB table of images, their vectors, and what is known of them."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime

from imagerag.agent.errors import EmbeddingMismatchError
from imagerag.agent.ports import Embedder
from imagerag.store.data_dir import DataDir
from imagerag.store.library import schema as form
from imagerag.store.library import search as searching
from imagerag.store.library.database import create_table, current_name, open_current, retry_on_conflict
from imagerag.store.library.library_metadata import METADATA_KEY, LibraryMetadata, Threshold, library_metadata_of
from imagerag.store.library.library_reader import LibraryReader
from imagerag.store.library.schema import FileEntry, ImageRecord, NewImage


class Library(LibraryReader):
    """A named library, open for reading and writing; any number of processes may have it open."""

    @classmethod
    async def open(cls, home: DataDir, name: str, embedder: Embedder) -> "Library":
        """Open a library that exists.

        Raises:
            UnknownLibraryError: there is none of that name; the message lists those there are.
            EmbeddingMismatchError: it was built with another encoder.
            LibraryDamagedError: its files cannot be read.
        """
        return await cls.open_with(home, name, lambda _: embedder)

    @classmethod
    async def open_with(cls, home: DataDir, name: str, encoder_of: Callable[[LibraryMetadata], Embedder]) -> "Library":
        """Open a library that exists with the encoder that its metadata names.

        Args:
            encoder_of: gives the encoder; what it raises is raised.

        Raises:
            UnknownLibraryError, EmbeddingMismatchError, LibraryDamagedError: as `open`.
        """
        return await asyncio.to_thread(cls._open, home, name, encoder_of)

    @classmethod
    async def create_or_open(cls, home: DataDir, name: str, embedder: Embedder) -> "Library":
        """Open a library, making an empty one when there is none.

        Raises:
            UsageError: the name cannot be a library's.
            EmbeddingMismatchError, LibraryDamagedError: as `open`.
        """

        def create() -> "Library":
            library_metadata = LibraryMetadata.of(embedder.identity, datetime.now(UTC))
            metadata = {METADATA_KEY: library_metadata.model_dump_json()}
            create_table(home, name, form.schema(library_metadata.dimension, metadata))
            return cls._open(home, name, lambda _: embedder)

        return await asyncio.to_thread(create)

    @classmethod
    def _open(cls, home: DataDir, name: str, encoder_of: Callable[[LibraryMetadata], Embedder]) -> "Library":
        name = current_name(home, name)
        table = open_current(home, name)
        library_metadata = library_metadata_of(table, name)
        embedder = encoder_of(library_metadata)
        if library_metadata.embedder != embedder.identity:
            raise EmbeddingMismatchError(
                f"library {name!r} was built with {library_metadata.embedder}, not with {embedder.identity}. "
                f"Use `embedder={library_metadata.spec}`, or remove it (imagerag library remove {name} "
                f"--whole-library) and index its images again: imagerag index PATH --library {name} "
                f"--embedder {embedder.identity.spec}"
            )
        return cls(home, name, table, library_metadata, embedder)

    async def upsert(self, images: Sequence[NewImage]) -> None:
        """Write whole rows; one that is already there (same id) is replaced. Of equal ids the last counts.

        Takes `files_lock`.

        Raises:
            LibraryError: a vector has the wrong length, or is not finite, or is not of norm 1.
        """
        if images:
            await self.table.upsert(self._distinct(images))

    async def append(self, images: Sequence[NewImage]) -> None:
        """Write whole rows of images that are not there, as was seen under `files_lock`, which is still held.

        Raises:
            LibraryError: as `upsert`.
        """
        if images:
            await self.table.append(self._distinct(images))

    def _distinct(self, images: Sequence[NewImage]) -> list[NewImage]:
        import numpy as np

        distinct = list({image.row.id: image for image in images}.values())
        for image in distinct:
            self._unit_vector(np.asarray([image.vector]), f"the image {image.row.id}")
        return distinct

    async def update(self, rows: Sequence[ImageRecord]) -> None:
        """Write what may change without the vector changing, of rows that are there; no re-embedding."""
        distinct = list({row.id: row for row in rows}.values())
        if distinct:
            await self.table.update(distinct)

    async def update_files(self, files: Mapping[str, Sequence[FileEntry]]) -> None:
        """Write which files images have, by id. Read them under `files_lock`, or another's scan is overwritten."""
        if files:
            await self.table.update_files(files)

    def files_lock(self) -> AbstractAsyncContextManager[None]:
        """Hold off others who compare rows with files and write them, in any process."""
        return self.table.files_lock()

    async def delete(self, ids: Sequence[str]) -> int:
        """Take images out; how many there were. The threshold stays: `calibrate` again when many went."""
        return await self.table.delete(ids) if ids else 0

    async def calibrate(self, *, anew: bool = True) -> Threshold:
        """Find the default thresholds anew and keep them in the metadata, with what they were measured on.

        When the library changes meanwhile they are measured again: a threshold never replaces one that was measured on
        what came later.

        Args:
            anew: False leaves the threshold between images as it is while the images are the same.

        Raises:
            LibraryError: the library is empty.
        """
        from imagerag.store.library.threshold_update import update_thresholds

        threshold, self._metadata = await update_thresholds(self, self.table, anew=anew)
        return threshold

    async def optimize(self) -> None:
        """Join small fragments, build or extend the indexes that a library of this size needs, and remove old files.

        Raises:
            StorageError: there is no room for it; the library stays as it was.
        """

        def work() -> None:
            with self.table.writing(alone=True) as alone:
                retry_on_conflict(lambda: searching.build_indexes(self._table, alone=alone))
                if alone:
                    self.table.remove_strays()

        await self.table.read(work)

    async def remove_strays(self) -> None:
        """Delete copies of images that no version of the library has, unless somebody writes: then later."""

        def work() -> None:
            with self.table.writing(alone=True) as alone:
                if alone:
                    self.table.remove_strays()

        await self.table.read(work)

    async def tidying_pays(self, changed: int) -> bool:
        """Whether `optimize` is worth its time after so many rows were written or taken out."""
        from imagerag.store.library.compaction import tidying_pays

        return await self.table.read(lambda: tidying_pays(self.table, changed))
