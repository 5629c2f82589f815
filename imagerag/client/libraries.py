"""`ImageRAG.libraries`: indexing, searching, calibrating and maintaining libraries of images."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from imagerag.agent.errors import UsageError
from imagerag.agent.types.filters import FilterInput
from imagerag.client.argument_checks import check_arguments
from imagerag.client.argument_types import ResultCount, TextList
from imagerag.client.library_browsing import LibraryBrowsing
from imagerag.client.library_indexing import LibraryIndexing
from imagerag.client.library_maintenance import LibraryMaintenance
from imagerag.client.library_uploads import LibraryUploads
from imagerag.client.similarity import measure_similarities
from imagerag.client.synchronous import synchronous
from imagerag.client.web_references import WebReferences
from imagerag.files.inputs import Image
from imagerag.formatting.messages import unknown
from imagerag.store.text_files import listed

if TYPE_CHECKING:
    from imagerag.agent.ports import SearchTerm
    from imagerag.client.search_results import Hits
    from imagerag.store.library.library_metadata import Threshold

    LibraryNames = list[str]
    """Named here because inside the class `list` is the method."""


@check_arguments
class LibrariesAPI(LibraryIndexing, LibraryMaintenance, LibraryBrowsing, LibraryUploads, WebReferences):
    """The libraries of a data directory. Where no library is named, it is the one that `ImageRAG` was made with."""

    async def search(
        self,
        query: "str | Sequence[SearchTerm] | None" = None,
        *,
        image: Image | Sequence[Image] | None = None,
        library: str | None = None,
        k: ResultCount = 8,
        filter: FilterInput | None = None,
        tags: TextList = (),
        licences: TextList = (),
        hybrid: bool = False,
        by: Literal["images", "captions"] = "images",
    ) -> "Hits":
        """The `k` library images most similar to a text, to images, or to both, best first, whatever the threshold.

        It is a list of `Hit`, and shows its images in a notebook. Several terms (`a sofa + 2:velvet - leather`, or an
        image and a text) are one query: the sum of their vectors by their weights. Its cosine has no calibrated
        threshold; the `terms` of a hit say what each contributed.

        The sketch world's encoder is asked in its own words where it understands a query's ("something round and red"
        is searched as "a red circle"): `open().queries(text)` says which.

        Args:
            query: a text, which may hold several terms (`+` or `-` with spaces around it, in front of a term a weight
                as in `2:velvet`; paths in it are text); or `SearchTerm`s, of which some may be images.
            image: one or several, with or without a query.
            library: which one, when not the one this object was made with; several with commas between them are
                searched as one, and each hit then brings its library's `threshold`.
            filter: what must hold of a hit, in the filter language, or a mapping of keys to the values that they must
                equal; tags and licences likewise.
            hybrid: rank by captions and words too; `found_by` of a hit names the lists that have it.
            by: "captions" compares the text with the captions instead of the images, by the vectors that
                `index(caption_embedder=...)` made; each hit has its `caption_similarity`.

        Raises:
            UsageError: neither a text nor an image, a query that cannot be read, terms that cancel each other out, an
                image that cannot be read, `hybrid` without a text, or captions with anything but one text or with
                `hybrid`.
            UnknownLibraryError: there is none of that name.
            LibraryError: the library has no vectors of its captions.
        """
        from imagerag.agent.ports import Filter, queries_of
        from imagerag.agent.ports.hits import service_errors_of
        from imagerag.agent.retrieval.query_terms import query_terms
        from imagerag.agent.retrieval.search_queries import check_filter, explain_filter, search_captions, search_terms
        from imagerag.client.query_images import with_images
        from imagerag.client.search_results import Hits

        if by not in ("images", "captions"):
            raise UsageError(unknown("way to search (by)", str(by), ("images", "captions")))
        images = () if image is None else (image,) if isinstance(image, str | bytes | Path) else tuple(image)
        terms = query_terms(query, images)
        opened = await self._context.dependencies.library(self.name(library))
        where = self._context.settings.where(filter)
        search_filter = Filter(where=where, tags=tuple(listed(tags)), licences=tuple(listed(licences)))
        await check_filter(opened, search_filter)
        loaded = await with_images(terms, opened)
        if by == "captions":
            if hybrid:
                raise UsageError("a hybrid search asks the captions too: leave `hybrid=True` or `by=captions` out")
            hits = await search_captions(opened, loaded, k=k, filter=search_filter)
        else:
            hits = await search_terms(opened, loaded, k=k, filter=search_filter, hybrid=hybrid)
        why = "" if hits else await explain_filter(opened, search_filter)
        if by == "captions" and not hits and not why:
            why = "no image here has a caption"
        texts = () if hybrid or by == "captions" else [term.text for term in terms if term.text]
        queries = [other for text in texts for other in queries_of(opened, text)]
        return Hits(hits, library=opened.name, home=self._context.dependencies.home, terms=terms, searched_with=queries,
                    by=by, no_match=why, service_errors=service_errors_of(hits))  # fmt: skip

    async def similarity(
        self, image: Image, text: str, *, library: str | None = None, embedder: str | None = None
    ) -> float:
        """The cosine between an image and a text in [-1, 1], to a library's encoder or to another.

        Args:
            library: whose encoder, when not that of the one this object was made with.
            embedder: an encoder, instead of a library's.

        Raises:
            UsageError: no image that can be read, an empty text, or one that is longer than the encoder reads.
            UnknownLibraryError: there is no such library.
        """
        if embedder is None:
            encoder = (await self.open(library)).embedder
        else:
            self._context.dependencies.name(embedder)
            encoder = self._context.dependencies.embedder(embedder)
        return (await measure_similarities(encoder, image, [text]))[0]

    async def list(self) -> "LibraryNames":
        """List the names of all libraries, sorted."""
        from imagerag.store.library.database import list_libraries

        return await asyncio.to_thread(list_libraries, self._context.dependencies.home)

    async def calibrate(self, name: str | None = None) -> "Threshold":
        """Measure a library's threshold anew.

        Raises:
            UnknownLibraryError: there is none of that name.
            LibraryError: the library is empty.
        """
        return await (await self.open(name)).calibrate()

    search_sync = synchronous(search)
    similarity_sync = synchronous(similarity)
    list_sync = synchronous(list)  # noqa: A003
    calibrate_sync = synchronous(calibrate)
