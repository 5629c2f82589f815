"""The reference library: a LanceDB table of images, their vectors, and what is known of them."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from imagerag.agent.errors import BlobError, EmbeddingMismatchError, LibraryError, UsageError
from imagerag.agent.ports import Embedder, Filter, Hit, queries_of
from imagerag.agent.threads import in_thread
from imagerag.store.data_dir import DataDir
from imagerag.store.library import filter_checks
from imagerag.store.library import schema as form
from imagerag.store.library import search as searching
from imagerag.store.library.content import array_of, content_of, is_unit
from imagerag.store.library.database import (
    create_table,
    current_name,
    list_libraries,
    open_table,
    remove,
    retry_on_conflict,
)
from imagerag.store.library.metadata import (
    METADATA_KEY,
    LibraryMetadata,
    Threshold,
    library_metadata_of,
    stale,
)
from imagerag.store.library.schema import FileEntry, ImageRecord, NewImage
from imagerag.store.library.table import LibraryTable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

T = TypeVar("T")

__all__ = ["Library", "list_libraries", "remove"]

EVERYTHING = Filter()


class Library:
    """A named library, open. Implements `ReferenceLibrary`; any number of processes may have it open and write.

    Attributes:
        embedder: the encoder its vectors were made with.
        table: its rows, with the locks of those who write.
    """

    def __init__(
        self, home: DataDir, name: str, table: Any, library_metadata: LibraryMetadata, embedder: Embedder
    ) -> None:
        self.embedder = embedder
        self.table = LibraryTable(home, name, table)
        self._library_metadata = library_metadata

    @classmethod
    async def open(cls, home: DataDir, name: str, embedder: Embedder) -> "Library":
        """Open a library that exists.

        Raises:
            UnknownLibraryError: there is none of that name; the message lists those there are.
            EmbeddingMismatchError: it was built with another encoder.
            LibraryDamagedError: its files cannot be read.
        """
        return await asyncio.to_thread(cls._open, home, name, embedder)

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
            return cls._open(home, name, embedder)

        return await asyncio.to_thread(create)

    @classmethod
    def _open(cls, home: DataDir, name: str, embedder: Embedder) -> "Library":
        name = current_name(home, name)
        table = open_table(home, name)
        library_metadata = library_metadata_of(table, name)
        if library_metadata.embedder != embedder.identity:
            raise EmbeddingMismatchError(
                f"library {name!r} was built with {library_metadata.embedder}, not with {embedder.identity}. "
                f"Use --embedder {library_metadata.spec}, or remove it (imagerag library remove {name} "
                f"--whole-library) and index its images again: imagerag index PATH --library {name} "
                f"--embedder {embedder.identity.spec}"
            )
        return cls(home, name, table, library_metadata, embedder)

    @property
    def name(self) -> str:
        """What it is called."""
        return self.table.name

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return self.table.folder

    @property
    def _table(self) -> Any:
        """The LanceDB table, which is another one after the library was renamed."""
        return self.table.lance

    @property
    def metadata(self) -> LibraryMetadata:
        """What the vectors were made with, and the calibrated threshold, as of the last search or calibration."""
        return self._library_metadata

    @property
    def threshold(self) -> float:
        """The calibrated cosine that a candidate must reach.

        Raises:
            LibraryError: the library has not been calibrated: it is empty, or indexing was stopped before its end.
        """
        if self._library_metadata.threshold is None:
            raise LibraryError(
                f"library {self.name!r} has no threshold yet: it is empty, or indexing did not finish. "
                f"Run again: imagerag index PATH --library {self.name} --embedder {self._library_metadata.spec}"
            )
        return self._library_metadata.threshold.cosine

    @property
    def image_threshold(self) -> float | None:
        """The calibrated cosine from which on two pictures show the same thing; None where none is claimed."""
        measured = self._library_metadata.image_threshold
        return measured.cosine if measured else None

    @property
    def context_length(self) -> int:
        """How many tokens of a text the encoder reads."""
        return self.embedder.context_length

    def count_tokens(self, text: str) -> int:
        """Tokens of `text`, start and end markers included."""
        return self.embedder.count_tokens(text)

    def queries(self, text: str) -> tuple[str, ...]:
        """The texts that its encoder is best searched with for a person's query; none is the query itself."""
        return queries_of(self.embedder, text)

    async def search(self, text: str, *, k: int, filter: Filter = EVERYTHING, hybrid: bool = False) -> Sequence[Hit]:
        """The `k` images most similar to a text, best first.

        Args:
            hybrid: rank by words in caption and title too (BM25, fused by reciprocal rank); the similarities stay
                cosines, but are then no longer in descending order.

        Raises:
            UsageError: the text is empty.
            LibraryDamagedError: the files cannot be read.
        """
        if not text.strip():
            raise UsageError("a search needs some text")
        if k < 1:
            return []
        vector = self._usable(await self.embedder.embed_texts([text]), f"the text {text[:60]!r}")
        if hybrid:
            return await self._search(lambda: searching.hybrid(self._table, vector, text, k, filter))
        return await self._search(lambda: searching.nearest(self._table, vector, k, filter))

    async def search_batch(
        self, texts: Sequence[str], *, k: int, filter: Filter = EVERYTHING
    ) -> Sequence[Sequence[Hit]]:
        """What `search` gives for each text, encoded together and searched for in one query."""
        if not all(text.strip() for text in texts):
            raise UsageError("a search needs some text")
        if k < 1 or not texts:
            return [[] for _ in texts]
        vectors = await self.embedder.embed_texts(texts)
        usable = [self._usable(vectors[at : at + 1], f"the text {text[:60]!r}") for at, text in enumerate(texts)]
        return await self._search(lambda: searching.nearest_of_each(self._table, usable, k, filter))

    async def search_words(self, text: str, *, k: int, filter: Filter = EVERYTHING) -> Sequence[Hit]:
        """The `k` images whose caption and title have the most of a text's words (BM25), best first."""
        vector = self._usable(await self.embedder.embed_texts([text]), f"the text {text[:60]!r}")
        return await self._search(lambda: searching.by_words(self._table, vector, text, k, filter))

    async def search_by_image(self, image: bytes, *, k: int, filter: Filter = EVERYTHING) -> Sequence[Hit]:
        """The `k` images most similar to an image, best first.

        Raises:
            UsageError: `image` is not an image we can read.
            LibraryDamagedError: the files cannot be read.
        """
        from imagerag.store.images.image_info import inspect

        if k < 1:
            return []
        await in_thread(inspect, image)
        vector = self._usable(await self.embedder.embed_images([image]), "the image")
        return await self._search(lambda: searching.nearest(self._table, vector, k, filter))

    async def image_bytes(self, sha256: str) -> bytes:
        """The bytes of one of its images, from its copy or the file it is linked to, verified against the hash.

        Raises:
            BlobError: missing, changed or damaged; says which file, and what to type.
        """
        return await self.table.read(lambda: self.table.image_bytes(sha256))

    async def encode_for_model(self, sha256: str) -> tuple[bytes, str]:
        """One of its images as every model takes it: upright PNG, JPEG or WebP, and the media type.

        Raises:
            BlobError: missing or damaged.
        """
        from imagerag.agent.images.decoding import encode_for_model

        return await in_thread(encode_for_model, await self.image_bytes(sha256))

    async def encoded(self, sha256: str) -> bytes:
        """One of its images as every model takes it; its thumbnail where its file is not to be had."""
        try:
            return (await self.encode_for_model(sha256))[0]
        except BlobError:
            return await self.thumbnail(sha256)

    async def thumbnail(self, sha256: str) -> bytes:
        """A WebP of one of its images, at most 256 pixels on the longer side.

        Raises:
            BlobError: there is no such image.
        """
        found = await self.table.records(["thumbnail"], [sha256])
        if not found:
            raise BlobError(f"the image {sha256} is not in library {self.name!r}")
        data: bytes = found[0]["thumbnail"]
        return data

    async def count(self) -> int:
        """How many images it holds."""
        return int(await self.table.read(self._table.count_rows))

    async def rows(self, ids: Sequence[str] | None = None) -> list[ImageRecord]:
        """What it knows of its images (of those with `ids`, when given), sorted by id."""
        found = await self.table.records(None, ids)
        return sorted((form.from_record(record) for record in found), key=lambda row: row.id)

    async def listed(self, *, filter: Filter, limit: int) -> tuple[list[ImageRecord], int]:
        """At most `limit` of the rows that a filter lets through, sorted by id, and how many there are in all."""
        return await self.table.read(lambda: searching.listed(self._table, filter, limit))

    async def check_filter(self, filter: Filter) -> None:
        """See that it can be asked what a filter asks.

        Raises:
            FilterError: it knows no such key, or holds values of another kind under it.
        """
        await self.table.read(lambda: filter_checks.check_filter(self._table, filter))

    async def explain_filter(self, filter: Filter) -> str:
        """Why a filter lets nothing through, with the nearest values that there are; empty where it lets some."""
        return await self.table.read(lambda: filter_checks.explain_filter(self._table, filter))

    async def get(self, id: str) -> ImageRecord | None:
        """What it knows of one image; None when it does not hold it."""
        return next(iter(await self.rows([id])), None)

    async def captioned_vectors(self) -> tuple[list[ImageRecord], "Vectors"]:
        """Every row, sorted by id, and its vector: float32 [rows, dimension]."""
        return await self.table.read(self._captioned_vectors)

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
            self._usable(np.asarray([image.vector]), f"the image {image.row.id}")
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
        """Find the default thresholds anew and keep them in the library_metadata, with what they were measured on.

        When the library changes meanwhile they are measured again: a threshold never replaces one that was measured on
        what came later.

        Args:
            anew: False leaves the threshold between pictures as it is while the pictures are the same.

        Raises:
            LibraryError: the library is empty.
        """
        from imagerag.store.library.threshold_update import update_thresholds

        threshold, self._library_metadata = await update_thresholds(self, self.table, anew=anew)
        return threshold

    async def is_stale(self) -> bool:
        """Whether its threshold was measured on something else than what it holds now, or never."""
        return await self.table.read(
            lambda: stale(library_metadata_of(self._table, self.name), content_of(self._table))
        )

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

    async def tidying_pays(self, changed: int) -> bool:
        """Whether `optimize` is worth its time after so many rows were written or taken out."""
        from imagerag.store.library.tidying import tidying_pays

        return await self.table.read(lambda: tidying_pays(self.table, changed))

    async def _search(self, find: Callable[[], T]) -> T:
        def work() -> T:
            hits = find()
            self._library_metadata = library_metadata_of(
                self._table, self.name
            )  # another process may have calibrated since
            return hits

        return await self.table.read(work)

    def _captioned_vectors(self) -> tuple[list[ImageRecord], "Vectors"]:

        found = self._table.search().select([*form.row_columns(self._table), "vector"]).to_arrow().sort_by("id")
        rows = [form.from_record(record) for record in found.drop_columns(["vector"]).to_pylist()]
        return rows, array_of(found["vector"])

    def _usable(self, vectors: "Vectors", what: str) -> "NDArray[np.float32]":
        """The only row of `vectors`, if a cosine with it means something.

        LanceDB answers a zero or NaN query with an empty result, which would read as "nothing similar".
        """
        import numpy as np

        vector = np.asarray(vectors, dtype=np.float32)[0]
        norm = float(np.linalg.norm(vector))
        if vector.shape != (self._library_metadata.dimension,) or not is_unit(norm):
            raise LibraryError(
                f"the encoder {self._library_metadata.spec} gave no unit vector "
                f"of length {self._library_metadata.dimension} for {what}"
            )
        unit: NDArray[np.float32] = vector / np.float32(norm)
        return unit
