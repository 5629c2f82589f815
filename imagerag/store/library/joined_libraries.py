"""Several libraries searched as one, for instance the same images with two encoders, or two folders.

Similarities of different encoders are not comparable, so the result lists are merged by rank, and each image keeps the
threshold of the library that found it. Own code instead of LanceDB's `RRFReranker`: that merges the two lists of one
table, and a custom library need not use LanceDB.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final, TypeVar

from imagerag.agent.errors import BlobError, FilterError, LibraryError
from imagerag.agent.ports import Filter, Hit, ReferenceLibrary, SearchTerm
from imagerag.agent.retrieval.search_queries import (
    SEPARATOR,
    check_filter,
    explain_filter,
    search_batch,
    search_captions,
    search_terms,
    search_words,
)

Got = TypeVar("Got")

RRF: Final = 60
"""Constant of reciprocal rank fusion: how little the first ranks differ."""


class JoinedLibraries:
    """Several libraries, searched as one. Implements `ReferenceLibrary`."""

    def __init__(self, libraries: Sequence[ReferenceLibrary]) -> None:
        self.libraries = tuple(libraries)
        self.name = SEPARATOR.join(library.name for library in self.libraries)
        self.context_length = min(library.context_length for library in self.libraries)

    @property
    def threshold(self) -> float:
        """Not available: each image comes with the threshold of its own library.

        Raises:
            LibraryError: always.
        """
        raise LibraryError(f"{self.name} are several libraries, each with a threshold of its own")

    @property
    def caption_language(self) -> str:
        """The language of the captions of all that have one; "" where these have several."""
        languages = {getattr(library, "caption_language", "") for library in self.libraries} - {""}
        return languages.pop() if len(languages) == 1 else ""

    def count_tokens(self, text: str) -> int:
        """Tokens of `text` for the encoder that truncates first, scaled to the common `context_length`."""
        over = max(library.count_tokens(text) - library.context_length for library in self.libraries)
        return max(0, self.context_length + over)

    async def search(self, text: str, *, k: int, filter: Filter, hybrid: bool = False) -> Sequence[Hit]:
        """The `k` best images: the first of every library's list, then the second of every list; images found by
        several come first.

        Args:
            hybrid: rank each library by captions and words too.

        Raises:
            UsageError: the text is empty, or one of them cannot be searched by words.
        """
        lists = await asyncio.gather(
            *(search_words(library, text, k=k, filter=filter, hybrid=hybrid) for library in self.libraries)
        )
        return self._of_each(lists)[:k]

    async def search_batch(self, texts: Sequence[str], *, k: int, filter: Filter) -> Sequence[Sequence[Hit]]:
        """The results of `search` for each text; each library gets all texts in one call if it supports that."""
        lists = await asyncio.gather(*(search_batch(library, texts, k=k, filter=filter) for library in self.libraries))
        return [self._of_each(hit_lists)[:k] for hit_lists in zip(*lists, strict=True)]

    async def search_by_image(self, image: bytes, *, k: int, filter: Filter) -> Sequence[Hit]:
        """The same for an image, with the thresholds between images of libraries that have one."""
        lists = await asyncio.gather(
            *(library.search_by_image(image, k=k, filter=filter) for library in self.libraries)
        )
        limits: list[float | None] = [getattr(library, "image_threshold", None) for library in self.libraries]
        return self._joined(lists, limits)[:k]

    async def search_captions(self, text: str, *, k: int, filter: Filter) -> Sequence[Hit]:
        """The same by captions, with the thresholds between captions of libraries that have one.

        Raises:
            UsageError, LibraryError: one of the libraries cannot be searched by captions.
        """
        terms = [SearchTerm(text=text)]
        lists = await asyncio.gather(
            *(search_captions(library, terms, k=k, filter=filter) for library in self.libraries)
        )
        limits: list[float | None] = [getattr(library, "caption_threshold", None) for library in self.libraries]
        return self._joined(lists, limits)[:k]

    async def search_terms(
        self, terms: Sequence[SearchTerm], *, k: int, filter: Filter, hybrid: bool = False
    ) -> Sequence[Hit]:
        """The same for several terms together, without thresholds.

        Raises:
            UsageError: one of the libraries cannot be searched so.
        """
        lists = await asyncio.gather(
            *(search_terms(library, terms, k=k, filter=filter, hybrid=hybrid) for library in self.libraries)
        )
        return self._joined(lists, [None] * len(lists))[:k]

    async def listed(self, *, filter: Filter, limit: int) -> tuple[list[Any], int]:
        """At most `limit` images of the libraries that can list them, sorted by id, and the total number."""
        able = [library for library in self.libraries if hasattr(library, "listed")]
        listings = [await library.listed(filter=filter, limit=limit) for library in able]
        rows = {row.image.sha256: row for listed, _ in reversed(listings) for row in listed}
        several = len(rows) if all(len(listed) == total for listed, total in listings) else sum(t for _, t in listings)
        return [rows[sha256] for sha256 in sorted(rows)][:limit], several

    async def check_filter(self, filter: Filter) -> None:
        """Check that the filter is valid for at least one library; the others return no images for it.

        Raises:
            FilterError: it is valid for none.
        """
        problems = []
        for library in self.libraries:
            try:
                await check_filter(library, filter)
            except FilterError as error:
                problems.append(error)
        if len(problems) == len(self.libraries):
            raise problems[0]

    async def explain_filter(self, filter: Filter) -> str:
        """Explain why a filter matches no image; empty where one of the libraries has a match."""
        parts = [(library.name, await explain_filter(library, filter)) for library in self.libraries]
        return "; ".join(f"{name}: {why}" for name, why in parts) if all(why for _, why in parts) else ""

    async def image_bytes(self, sha256: str) -> bytes:
        """The bytes of an image, from any of the libraries, verified against the hash.

        Raises:
            BlobError: missing in all, or damaged.
        """
        return await self._from_its_library(lambda library: library.image_bytes(sha256))

    async def encode_for_model(self, sha256: str) -> tuple[bytes, str]:
        """An image in a form that every model accepts: upright PNG, JPEG or WebP, with its media type.

        Raises:
            BlobError: missing in all, or damaged.
        """
        return await self._from_its_library(lambda library: library.encode_for_model(sha256))

    async def thumbnail(self, sha256: str) -> bytes:
        """The thumbnail of an image (WebP), from any of the libraries.

        Raises:
            BlobError: no library has one.
        """

        async def get(library: ReferenceLibrary) -> bytes:
            small = getattr(library, "thumbnail", None)
            if small is None:
                raise BlobError(f"library {library.name!r} keeps no small images")
            return bytes(await small(sha256))

        return await self._from_its_library(get)

    async def _from_its_library(self, get: Callable[[ReferenceLibrary], Awaitable[Got]]) -> Got:
        *others, last = self.libraries
        for library in others:
            with suppress(BlobError):
                return await get(library)
        return await get(last)

    def _of_each(self, lists: Sequence[Sequence[Hit]]) -> list[Hit]:
        limits = [library.threshold if hits else None for library, hits in zip(self.libraries, lists, strict=True)]
        return self._joined(lists, limits)

    def _joined(self, lists: Sequence[Sequence[Hit]], limits: Sequence[float | None]) -> list[Hit]:
        score: dict[str, float] = {}
        best: dict[str, Hit] = {}
        for library, hits, limit in zip(self.libraries, lists, limits, strict=True):
            for place, hit in enumerate(hits, start=1):
                sha256, needed = hit.image.sha256, limit if hit.threshold is None else hit.threshold
                own = replace(hit, library=library.name, threshold=needed)
                score[sha256] = score.get(sha256, 0.0) + 1 / (RRF + place)
                # For an image in several libraries, keep the result with the largest margin over its own threshold.
                if sha256 not in best or own.margin > best[sha256].margin:
                    best[sha256] = own
        return sorted(best.values(), key=lambda hit: (-score[hit.image.sha256], -hit.margin, hit.image.sha256))
