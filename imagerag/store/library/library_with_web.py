"""Libraries of the user's own, and the web for what they lack."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from imagerag.agent.errors import BlobError, LibraryError
from imagerag.agent.ports import Filter, Hit, ReferenceLibrary, WebLibrary
from imagerag.agent.ports.hits import SearchHits
from imagerag.agent.retrieval.search_queries import SEPARATOR, read_images, search_batch, search_query
from imagerag.agent.threads import in_thread
from imagerag.store.images.image_info import image_info


class LibraryWithWeb:
    """Libraries of the user's own, searched first, and services that are asked where nothing there reaches its
    threshold. Implements `ReferenceLibrary`; every other method is that of the own libraries.

    Runs do not search the web through `search`: their searches are calls, which are counted and journalled
    (`agent/retrieval/web_search.py`).

    Attributes:
        own: the user's libraries.
        web: what searches the web, in the order in which they are asked.
    """

    def __init__(self, own: ReferenceLibrary, web: Sequence[WebLibrary]) -> None:
        self.own, self.web = own, tuple(web)
        self.name = SEPARATOR.join([own.name, *(one.name for one in self.web)])

    def __getattr__(self, name: str) -> Any:
        if name in ("own", "web"):  # not set yet
            raise AttributeError(name)
        return getattr(self.own, name)

    @property
    def libraries(self) -> tuple[ReferenceLibrary, ...]:
        """The user's libraries, each of which has a threshold of its own."""
        several: tuple[ReferenceLibrary, ...] = getattr(self.own, "libraries", (self.own,))
        return several

    @property
    def threshold(self) -> float:
        """That of the own library."""
        return self.own.threshold

    @property
    def context_length(self) -> int:
        """That of the own library's encoder."""
        return self.own.context_length

    def count_tokens(self, text: str) -> int:
        """Tokens of `text` for the own library's encoder."""
        return self.own.count_tokens(text)

    async def search(self, text: str, *, k: int, filter: Filter, hybrid: bool = False) -> Sequence[Hit]:
        """The `k` images of the own libraries; where none of them reaches its threshold, those of the web too.

        A service that fails is left out: `service_errors` of the hits says why.

        Raises:
            UsageError: the text is empty.
        """
        hits = await search_query(self.own, text, k=k, filter=filter, hybrid=hybrid)
        return await self._with_web(hits, text, k, filter)

    def queries(self, text: str) -> tuple[str, ...]:
        """None: `search` asks the own libraries in their own words, and the web in those of the query."""
        return ()

    async def search_batch(self, texts: Sequence[str], *, k: int, filter: Filter) -> Sequence[Sequence[Hit]]:
        """The results of `search` for each text."""
        own_hits = await search_batch(self.own, texts, k=k, filter=filter)
        return [await self._with_web(hits, text, k, filter) for hits, text in zip(own_hits, texts, strict=True)]

    async def search_by_image(self, image: bytes, *, k: int, filter: Filter) -> Sequence[Hit]:
        """The `k` images of the own libraries most similar to an image: no image is sent to a search service."""
        return await self.own.search_by_image(image, k=k, filter=filter)

    async def image_bytes(self, sha256: str) -> bytes:
        """The bytes of an image, verified against the hash.

        Raises:
            BlobError: missing, or damaged.
        """
        with suppress(BlobError):
            return await self.own.image_bytes(sha256)
        return await self.web[0].image_bytes(sha256)

    async def encode_for_model(self, sha256: str) -> tuple[bytes, str]:
        """An image in a form that every model accepts, with its media type.

        Raises:
            BlobError: missing, or damaged.
        """
        with suppress(BlobError):
            return await self.own.encode_for_model(sha256)
        return await self.web[0].encode_for_model(sha256)

    async def thumbnail(self, sha256: str) -> bytes:
        """A small WebP of an image.

        Raises:
            BlobError: missing, or damaged.
        """
        small: Any = getattr(self.own, "thumbnail", None)
        if small is not None:
            with suppress(BlobError):
                return bytes(await small(sha256))
        return (await in_thread(image_info, await self.image_bytes(sha256))).thumbnail

    async def read_images(self, ids: Sequence[str]) -> "dict[str, bytes | BlobError]":
        """The bytes of several images, or why one is not to be had."""
        images = await read_images(self.own, ids)
        missing = [sha256 for sha256, content in images.items() if isinstance(content, BlobError)]
        return images | await read_images(self.web[0], missing)

    async def _with_web(self, hits: Sequence[Hit], text: str, k: int, filter: Filter) -> Sequence[Hit]:
        results, errors = [self._of_own(hit) for hit in hits], list[str]()
        for web in self.web if not filter.only else ():  # images that are named are known already
            if any(hit.reaches(None) for hit in results):
                break
            try:
                more = await web.search(text, k=k, filter=filter)
            except LibraryError as error:
                errors.append(str(error))
                continue
            passing = [hit for hit in more if hit.reaches(None)]
            results = [*passing, *_nearest_first([*results, *more], besides=passing)]
        return SearchHits(results[:k], service_errors=errors)

    def _of_own(self, hit: Hit) -> Hit:
        """A hit with its library and that library's threshold, as those of several libraries have them."""
        if hit.threshold is not None:
            return hit
        return replace(hit, library=hit.library or self.own.name, threshold=self.own.threshold)


def _nearest_first(hits: Sequence[Hit], *, besides: Sequence[Hit]) -> Sequence[Hit]:
    """Hits none of which passes, each image once: the web finds again what was kept of an earlier run.

    Those of a hybrid search have an order of their own, which is left.
    """
    once = {hit.image.sha256: hit for hit in reversed(hits)}
    for hit in besides:
        once.pop(hit.image.sha256, None)
    left = [*once.values()][::-1]
    return left if any(hit.found_by for hit in left) else sorted(left, key=lambda hit: -hit.margin)
