"""Read access to a reference library: search, images and metadata."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from imagerag.agent.errors import LibraryDamagedError, LibraryError, UsageError
from imagerag.agent.ports import Embedder, Filter, Hit, SearchTerm, queries_of
from imagerag.agent.ports.embedder import row_for_each
from imagerag.agent.threads import in_thread
from imagerag.agent.visible_text import is_blank
from imagerag.formatting.interface_terms import PATH, python_call
from imagerag.store.data_dir import DataDir
from imagerag.store.library import hybrid_search
from imagerag.store.library import schema as form
from imagerag.store.library import search as searching
from imagerag.store.library.caption_embedding import caption_embedder_of, caption_query, unit_vector
from imagerag.store.library.caption_search import by_captions
from imagerag.store.library.caption_threshold_update import caption_threshold_is_stale
from imagerag.store.library.combined_queries import combine
from imagerag.store.library.database import LANCE_ERRORS
from imagerag.store.library.filters import filter_checks
from imagerag.store.library.hybrid_search import HybridQuery
from imagerag.store.library.library_images import LibraryImages
from imagerag.store.library.library_metadata import LibraryMetadata, library_metadata_of, stale
from imagerag.store.library.region_search import QueryVectors
from imagerag.store.library.schema import ImageRecord, array_of
from imagerag.store.library.table import LibraryTable
from imagerag.store.library.thresholds.caption_phrases import things_of
from imagerag.store.library.thresholds.content import content_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

T = TypeVar("T")

EVERYTHING = Filter()

EncoderOf = Callable[[str], Embedder]
"""Returns the encoder of a spec."""


class LibraryReader(LibraryImages):
    """A library, open for reading. Implements `ReferenceLibrary`.

    Attributes:
        embedder: the encoder of its vectors.
        table: its rows and locks.
    """

    def __init__(
        self,
        home: DataDir,
        name: str,
        table: Any,
        metadata: LibraryMetadata,
        embedder: Embedder,
        encoder_of: EncoderOf | None = None,
    ) -> None:
        self.embedder = embedder
        self.table = LibraryTable(home, name, table)
        self._metadata, self._encoder_of = metadata, encoder_of

    @property
    def name(self) -> str:
        """The name of the library."""
        return self.table.name

    @property
    def folder(self) -> Path:
        """The folder of the library."""
        return self.table.folder

    @property
    def _table(self) -> Any:
        """The table's newest version, for reading; the table is opened again after the library was renamed."""
        return self.table.view

    @property
    def metadata(self) -> LibraryMetadata:
        """Encoder and thresholds, as of the last search or calibration."""
        return self._metadata

    @property
    def threshold(self) -> float:
        """The calibrated cosine that a candidate must reach.

        Raises:
            LibraryError: the library has not been calibrated: it is empty, or indexing was stopped before its end.
        """
        if self._metadata.threshold is None:
            raise LibraryError(
                f"library {self.name!r} has no threshold yet: it is empty, or indexing did not finish. "
                f"Run again: {python_call('libraries.index', PATH, library=self.name, embedder=self._metadata.spec)}"
            )
        return self._metadata.threshold.cosine

    @property
    def image_threshold(self) -> float | None:
        """The calibrated cosine from which two images count as the same thing; None without one."""
        measured = self._metadata.image_threshold
        return measured.cosine if measured else None

    @property
    def caption_threshold(self) -> float | None:
        """The calibrated cosine from which a caption says what a text says; None without one."""
        measured = self._metadata.caption_threshold
        return measured.cosine if measured else None

    def caption_embedder(self) -> Embedder:
        """The encoder of the caption vectors. Loads it where it is not the library's own.

        Raises:
            LibraryError: the library has no caption vectors.
            EmbeddingMismatchError: they were made with another version of the encoder.
        """
        return caption_embedder_of(self.name, self._metadata, self.embedder, self._encoder_of)

    @property
    def context_length(self) -> int:
        """Number of tokens of a text that the encoder reads."""
        return self.embedder.context_length

    @property
    def caption_language(self) -> str:
        """The language of its captions, a BCP 47 tag; "" where it does not show, or where the encoder does not connect
        captions with their images: nothing is gained then by searching in their language."""
        measured = self._metadata.threshold
        return measured.caption_language if measured and measured.method == "captions" else ""

    def count_tokens(self, text: str) -> int:
        """Tokens of `text`, start and end markers included."""
        return self.embedder.count_tokens(text)

    def queries(self, text: str) -> tuple[str, ...]:
        """Alternative texts for a person's query that suit the encoder better; empty means the query itself."""
        return queries_of(self.embedder, text)

    async def search(self, text: str, *, k: int, filter: Filter = EVERYTHING, hybrid: bool = False) -> Sequence[Hit]:
        """The `k` images most similar to a text, best first.

        Args:
            hybrid: rank by the vectors of captions, where there are some, and by the words of captions, titles, tags
                and OCR too (`hybrid_search`); the similarities are then no longer in descending order.

        Raises:
            UsageError: the text is empty.
            LibraryDamagedError: the files cannot be read.
        """
        if is_blank(text):
            raise UsageError("a search needs some text")
        if k < 1:
            return []
        query = (await self._queries([text]))[0]
        if hybrid:
            fused = await HybridQuery.of(self, query, text)
            return await self._search(lambda: hybrid_search.hybrid(self._table, fused, k, filter, self.table.recent))
        return (await self._nearest([query], k, filter))[0]

    async def search_batch(
        self, texts: Sequence[str], *, k: int, filter: Filter = EVERYTHING
    ) -> Sequence[Sequence[Hit]]:
        """The results of `search` for each text; the texts are encoded together and searched in one query."""
        if any(map(is_blank, texts)):
            raise UsageError("a search needs some text")
        if k < 1 or not texts:
            return [[] for _ in texts]
        return await self._nearest(await self._queries(texts), k, filter)

    async def search_words(self, text: str, *, k: int, filter: Filter = EVERYTHING) -> Sequence[Hit]:
        """The `k` images whose caption, title, tags or OCR match the words of a text best (BM25), best first."""
        query = (await self._queries([text]))[0]
        return await self._search(
            lambda: hybrid_search.search_words(self._table, query, text, k, filter, self.table.recent)
        )

    async def search_captions(self, text: str, *, k: int, filter: Filter = EVERYTHING) -> Sequence[Hit]:
        """The `k` images whose captions are most similar to a text, best first, each with its `caption_similarity`.

        Raises:
            UsageError: the text is empty.
            LibraryError, EmbeddingMismatchError: as `caption_embedder`.
        """
        vector, caption_vector = await caption_query(self, text)
        return await self._search(
            lambda: by_captions(self._table, vector, caption_vector, k, filter, self.table.recent)
        )

    async def search_by_image(self, image: bytes, *, k: int, filter: Filter = EVERYTHING) -> Sequence[Hit]:
        """The `k` images most similar to an image, best first.

        Raises:
            UsageError: `image` is not a readable image.
            LibraryDamagedError: the files cannot be read.
        """
        from imagerag.store.images.image_info import inspect

        if k < 1:
            return []
        await in_thread(inspect, image)
        vector = self._unit_vector(await self.embedder.embed_images([image]), "the image")
        return await self._search(lambda: searching.nearest(self._table, vector, k, filter, self.table.recent))

    async def search_terms(
        self, terms: Sequence[SearchTerm], *, k: int, filter: Filter = EVERYTHING, hybrid: bool = False
    ) -> Sequence[Hit]:
        """The `k` images most similar to several terms together, best first: see `combine`."""
        if k < 1:
            return []
        query = await combine(terms, self.embedder, self._unit_vector, rewrite=not hybrid)
        image = QueryVectors(query.vector, regions=False)
        fused = await HybridQuery.of(self, image, query.words) if hybrid else None
        return await self._search(lambda: query.nearest(self.table, k, filter, fused))

    async def count(self) -> int:
        """Number of images."""
        return int(await self.table.read(lambda: self._table.count_rows()))

    async def rows(self, ids: Sequence[str] | None = None) -> list[ImageRecord]:
        """The records of its images (only those in `ids`, if given), sorted by id."""
        return sorted(await self.table.rows(ids), key=lambda row: row.id)

    async def listed(self, *, filter: Filter, limit: int) -> tuple[list[ImageRecord], int]:
        """At most `limit` of the rows that match a filter, sorted by id, and the total number of matches."""
        return await self.table.read(lambda: searching.listed(self._table, filter, limit))

    async def check_filter(self, filter: Filter) -> None:
        """Check that a filter is valid for the library.

        Raises:
            FilterError: an unknown key, or a key with values of another kind.
        """
        await self.table.read(lambda: filter_checks.check_filter(self._table, filter))

    async def explain_filter(self, filter: Filter) -> str:
        """Explain why a filter matches nothing, with the most similar existing values; empty where it matches some."""
        return await self.table.read(lambda: filter_checks.explain_filter(self._table, filter))

    async def get(self, id: str) -> ImageRecord | None:
        """The record of one image; None when the library does not hold it."""
        return next(iter(await self.rows([id])), None)

    async def source_or_id(self, id: str) -> str:
        """The source of an image for a message; its id without one."""
        row = await self.get(id)
        return (row and row.source) or id

    async def captioned_vectors(self) -> tuple[list[ImageRecord], "Vectors"]:
        """All rows, sorted by id, and their vectors: float32 [rows, dimension]."""
        return await self.table.read(self._captioned_vectors)

    async def is_stale(self) -> bool:
        """Whether one of its thresholds was measured on other content than the current one, or never."""

        return await self.table.read(lambda: self._content_is_stale() or caption_threshold_is_stale(self._table))

    def _content_is_stale(self) -> bool:
        return stale(library_metadata_of(self._table, self.name), content_of(self._table))

    async def _queries(self, texts: Sequence[str]) -> list[QueryVectors]:
        """The vectors of texts, encoded together; in a library with regions also those of the things they name."""
        things_per_text = [things_of(text) if self._metadata.regions else () for text in texts]
        phrases = [part for text, things in zip(texts, things_per_text, strict=True) for part in (text, *things)]
        vectors = row_for_each(await self.embedder.embed_texts(phrases), len(phrases), self.embedder.identity.spec)
        units = iter([
            self._unit_vector(vectors[at : at + 1], f"the text {text[:60]!r}") for at, text in enumerate(phrases)
        ])  # fmt: skip
        limits = self._metadata.things_thresholds
        return [
            QueryVectors(next(units), tuple(next(units) for _ in things), thresholds=limits if things else None)
            for things in things_per_text
        ]

    async def _nearest(self, queries: Sequence[QueryVectors], k: int, filter: Filter) -> list[list[Hit]]:
        return await self._search(lambda: searching.nearest_of_each(self._table, queries, k, filter, self.table.recent))

    async def _search(self, find: Callable[[], T]) -> T:
        def work() -> T:
            try:
                hits = find()
            except LANCE_ERRORS:  # such as vectors of another length, if the library was migrated meanwhile
                with suppress(LibraryDamagedError, *LANCE_ERRORS):
                    self._read_metadata()
                raise
            self._read_metadata()
            return hits

        return await self.table.read(work)

    async def read_metadata(self) -> LibraryMetadata:
        """Read the metadata again: another process, or another object, may have changed it.

        Raises:
            EmbeddingMismatchError: the library was migrated to another encoder.
        """
        await self.table.read(self._read_metadata)
        return self._metadata

    def _read_metadata(self) -> None:
        """Read the metadata again: another process may have calibrated, or migrated to another encoder, since."""
        metadata = library_metadata_of(self._table, self.name)
        metadata.check(self.name, self.embedder.identity)
        self._metadata = metadata

    def _captioned_vectors(self) -> tuple[list[ImageRecord], "Vectors"]:
        rows_with_vectors = (
            self._table.search().select([*form.row_columns(self._table), "vector"]).to_arrow().sort_by("id")
        )
        rows = [form.from_record(record) for record in rows_with_vectors.drop_columns(["vector"]).to_pylist()]
        return rows, array_of(rows_with_vectors["vector"])

    def _unit_vector(self, vectors: "Vectors", of: str) -> "NDArray[np.float32]":
        """The only row of `vectors`, scaled to length 1."""
        return unit_vector(vectors, self._metadata.embedder, of)
