"""The table of a library, with locks for concurrent reads and writes by any number of processes."""

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import suppress
from functools import partial
from typing import Any, Final, TypeVar

from imagerag.agent.errors import ImageRAGError, LibraryDamagedError, UnknownLibraryError
from imagerag.agent.ports import EmbedderIdentity
from imagerag.agent.types import Scalar
from imagerag.store.library import arrow_tables
from imagerag.store.library import schema as form
from imagerag.store.library.caption_metadata import CAPTION_VECTOR
from imagerag.store.library.caption_vectors import (
    copied_caption_vectors,
    copy_caption_encoder,
    with_caption_vectors,
)
from imagerag.store.library.database import (
    LANCE_ERRORS,
    current_name,
    damaged,
    open_table,
    retry_on_conflict,
)
from imagerag.store.library.description_columns import DESCRIPTION_COLUMNS, to_description_table
from imagerag.store.library.image_copies import copied_images, stray_files
from imagerag.store.library.known_files import KnownFiles
from imagerag.store.library.library_metadata import library_metadata_of
from imagerag.store.library.names import refuse_snapshot
from imagerag.store.library.region_columns import OTHER_REGIONS, EncodedRegions, has_regions, to_regions_table
from imagerag.store.library.schema import FileEntry, ImageRecord, NewImage
from imagerag.store.library.table_columns import TableColumns, merge_rows
from imagerag.store.library.table_images import TableImages

T = TypeVar("T")

IDS: Final = 10_000
"""Rows that are asked for by their ids at a time."""


class LibraryTable(TableImages):
    """Reads and writes the rows of one library.

    Attributes:
        name: name of the library.
        home: data directory of the library.
        lance: the LanceDB table.
        folder: folder of its files.
        images: copies of its images.
        recent: files of the images that were found last.
    """

    def _follow_rename(self) -> bool:
        """Open the table again, if the library was renamed while it was open."""
        if self.folder.exists():
            return False
        try:
            name = current_name(self.home, self.name)
            self._use(name, open_table(self.home, name))
        except ImageRAGError:
            return False
        return True

    def _is_deleted(self) -> bool:
        """Whether the library is gone, and not what it is in: whoever deletes it may leave an empty folder."""
        parts = (self.folder / "_versions", self.folder / "data")
        return self.home.libraries.exists() and not any(part.exists() for part in parts)

    async def read(self, work: Callable[[], T]) -> T:
        """Run a read that may conflict with commits of other processes.

        Raises:
            LibraryDamagedError, StorageError: the files cannot be read.
            UnknownLibraryError: the library was deleted while it was open.
        """
        try:
            return await asyncio.to_thread(retry_on_conflict, work)
        except LibraryDamagedError as error:  # its metadata cannot be read
            failure: ImageRAGError = error
            cause: BaseException = error.__cause__ or error
        except ImageRAGError:
            raise
        except LANCE_ERRORS as error:
            failure, cause = damaged(self.name, error, self.folder), error
        if await asyncio.to_thread(self._follow_rename):
            return await self.read(work)
        if await asyncio.to_thread(self._is_deleted):
            raise UnknownLibraryError(f"library {self.name!r} was deleted meanwhile") from cause
        raise failure from cause

    async def write(self, work: Callable[[], T]) -> T:
        """Run a write of rows, concurrently with other writers."""

        def locked() -> T:
            with self.writing():
                _ = self.lance.version  # fails where it was deleted: nothing may be written into its folder then
                return work()

        return await self.read(locked)

    async def records(self, columns: Sequence[str], ids: Sequence[str] | None) -> list[dict[str, Any]]:
        """Columns of the rows with these ids (None is all)."""
        return await self._read_ids(list(columns), ids, lambda query: query.to_arrow().to_pylist())

    async def rows(self, ids: Sequence[str] | None) -> list[ImageRecord]:
        """The rows with these ids (None is all), unordered."""
        columns = await self.read(lambda: form.row_columns(self.lance))
        return await self._read_ids(columns, ids, form.from_query)

    async def existing(self, ids: Sequence[str]) -> set[str]:
        """Those of these ids that the table has."""
        return set(await self._read_ids(["id"], ids, lambda query: query.to_arrow()["id"].to_pylist()))

    async def _read_ids(
        self, columns: Sequence[str], ids: Sequence[str] | None, use: Callable[[Any], list[T]]
    ) -> list[T]:
        """Map columns of the rows with these ids, some thousands of rows at a time."""

        def work(part: Sequence[str] | None) -> list[T]:
            query = self.lance.search().select(columns)
            return use(query if part is None else query.where(form.id_filter("id", part)))

        if ids is None:
            return await self.read(partial(work, None))
        ordered, results = sorted(set(ids)), list[T]()
        for at in range(0, len(ordered), IDS):
            results += await self.read(partial(work, ordered[at : at + IDS]))
        return results

    async def known_files(self) -> KnownFiles:
        """The known files of the library, by path."""

        def work() -> KnownFiles:
            have = form.present(self.lance, ("id", "files", "described", "caption"))
            return KnownFiles.of(self.lance.search().select(have).to_arrow())

        return await self.read(work)

    async def copied(self, ids: Sequence[str]) -> set[str]:
        """The images among `ids` whose bytes are stored in the library."""
        return await self.read(lambda: copied_images(self, ids)) if ids else set()

    async def upsert(self, images: Sequence[NewImage], encoder: EmbedderIdentity) -> None:
        """Write complete rows, and copies of images given with their bytes. Ids must be unique.

        Takes `files_lock`.

        Args:
            encoder: what the vectors were made with.

        Raises:
            EmbeddingMismatchError: the library was migrated to another encoder meanwhile.
        """

        def work() -> None:
            self._check_encoder(encoder)
            self._copy_data(images)
            rows = with_caption_vectors(self.lance, arrow_tables.to_table(images, self.lance.schema))
            merge_rows(self.lance, rows, insert=True)

        async with self.files_lock():
            await self._prepare_rows([image.row for image in images])
            await self.write(work)

    async def append(self, images: Sequence[NewImage], encoder: EmbedderIdentity) -> None:
        """Append rows of images that are certainly new (checked under `files_lock`). Ids must be unique.

        It takes a tenth of the time of `upsert`, which compares with every row. Args, Raises: as there.
        """
        again = False

        def work() -> None:
            nonlocal again
            self._check_encoder(encoder)
            self._copy_data(images)
            rows = arrow_tables.to_table(images, self.lance.schema)
            if again:  # an earlier try may have committed before it failed
                merge_rows(self.lance, rows, insert=True)
            else:
                again = True
                self.lance.add(rows)

        await self._prepare_rows([image.row for image in images])
        await self.write(work)

    def _check_encoder(self, encoder: EmbedderIdentity) -> None:
        # Checked while `writing` is held: a migration switches the vectors while it holds that lock exclusively.
        library_metadata_of(self.lance, self.name).check(self.name, encoder)

    def _copy_data(self, images: Sequence[NewImage]) -> None:
        for image in images:
            if image.data is not None:
                self.images.write(image.row.id, image.data)

    async def copy_files(self, files: Mapping[str, Callable[[], bytes]]) -> None:
        """Store copies of images, given id → reader; an image that changed meanwhile is skipped."""

        def work() -> None:
            for sha256, read_file in files.items():
                data = b""
                if not self.images.path(sha256).exists():
                    with suppress(OSError, ValueError):  # the next scan finds the change
                        data = read_file()
                    if hashlib.sha256(data).hexdigest() == sha256:
                        self.images.write(sha256, data)

        if files:
            await self.write(work)

    async def copy(self, rows: Any, source: "LibraryTable") -> None:
        """Copy complete rows of another library with the same encoder, with its copies of images."""

        def work() -> None:
            for at, sha256 in enumerate(rows["id"].to_pylist()):
                data = source.images.read(sha256)
                if data is None and form.IMAGE_COLUMN in rows.column_names:
                    data = rows[form.IMAGE_COLUMN][at].as_py()
                if data is not None:
                    self.images.write(sha256, data)
            have = set(self.lance.schema.names) - {
                form.IMAGE_COLUMN, form.OTHER_VECTOR, OTHER_REGIONS, CAPTION_VECTOR,
            }  # fmt: skip
            common_columns = rows.select([name for name in rows.column_names if name in have])
            merge_rows(self.lance, copied_caption_vectors(self.lance, source.lance, rows, common_columns), insert=True)

        async with self.files_lock():
            metadata = [form.metadata_of(record) for record in rows.select(["metadata"]).to_pylist()]
            have = set(rows.column_names)
            ocr, described = (set(columns) <= have for columns in (form.OCR_COLUMNS, DESCRIPTION_COLUMNS))
            await self.prepare(metadata, ocr=ocr, described=described, regions=has_regions(source.lance))
            await self.read(lambda: copy_caption_encoder(source.lance, self))
            await self.write(work)

    async def update(self, rows: Sequence[ImageRecord], fields: Set[str] | None = None) -> None:
        """Update columns of existing rows that do not affect the vector. Ids must be unique.

        Args:
            fields: the fields of `ImageRecord` that are written; None is all. The indexes of other columns stay.
        """
        await self._prepare_rows(rows)

        def work() -> None:
            texts = arrow_tables.to_text_table(rows, self.lance.schema, fields)
            merge_rows(self.lance, with_caption_vectors(self.lance, texts))

        await self.write(work)

    async def update_files(self, files: Mapping[str, Sequence[FileEntry]]) -> None:
        """Write the files of images, for existing rows."""
        await self.prepare()
        await self.write(lambda: merge_rows(self.lance, arrow_tables.to_files_table(files, self.lance.schema)))

    async def update_ocr(self, readings: Mapping[str, tuple[str, float]]) -> None:
        """Write the words in images and their confidence, for existing rows; nothing else of them."""
        await self.prepare(ocr=True)
        await self.write(lambda: merge_rows(self.lance, arrow_tables.to_ocr_table(readings, self.lance.schema)))

    async def update_descriptions(self, rows: Sequence[ImageRecord]) -> None:
        """Write the descriptions of existing rows; nothing else of them."""
        await self.prepare(described=True)

        def work() -> None:
            merge_rows(self.lance, with_caption_vectors(self.lance, to_description_table(rows, self.lance.schema)))

        await self.write(work)

    async def update_regions(self, regions: Mapping[str, EncodedRegions], encoder: EmbedderIdentity) -> None:
        """Write the regions of images, for existing rows; nothing else of them. Args, Raises: as `upsert`."""

        def work() -> None:
            self._check_encoder(encoder)
            merge_rows(self.lance, to_regions_table(regions, self.lance.schema))

        await self.prepare(regions=True)
        await self.write(work)

    async def clear(self, ids: Sequence[str], columns: Sequence[str]) -> None:
        """Set those of these columns that the table has to null, for rows with these ids."""
        have = dict.fromkeys(await self.read(lambda: form.present(self.lance, columns)), "NULL")
        where = form.id_filter("id", ids)
        await self.write(lambda: self.lance.update(where=where, values_sql=have) if ids and have else None)

    async def delete(self, ids: Sequence[str]) -> int:
        """Delete rows; returns their number. The next `optimize` removes copies of their images."""
        result = await self.write(lambda: self.lance.delete(form.id_filter("id", ids)))
        return int(result.num_deleted_rows)

    def remove_strays(self) -> None:
        """Delete copies of images that no version of the table has. Requires that no other process writes."""
        self.images.remove(stray_files(self))

    async def _prepare_rows(self, rows: Sequence[ImageRecord]) -> None:
        ocr = any(row.ocr_confidence is not None for row in rows)
        described = any(row.description_details is not None for row in rows)
        await self.prepare([row.metadata for row in rows], ocr=ocr, described=described)

    async def prepare(self, metadata: Sequence[Mapping[str, Scalar]] = (), **optional: bool) -> None:
        """Add the columns that rows with this metadata need, and those that an earlier version lacks.

        Args:
            optional: which optional columns the rows have, as for `table_columns.optional_fields`.
        """
        refuse_snapshot(self.name)

        def work() -> None:
            columns = TableColumns(self.lance, self.name)
            if columns.are_missing(metadata, **optional):
                with self.writing_alone():
                    columns.add(metadata, **optional)

        await self.read(work)
