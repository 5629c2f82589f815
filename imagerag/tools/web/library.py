"""Library that searches the web: `web:SERVICE[?OPTIONS][@URL]`. It holds nothing; what it fetches is kept as blobs."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from imagerag.agent import clock
from imagerag.agent.errors import ImageRAGError, LibraryError, UsageError
from imagerag.agent.ports import (
    FREE,
    BlobStore,
    Capabilities,
    Embedder,
    Filter,
    Hit,
    PriceEstimator,
    WebImage,
    WebImages,
    embed_images,
    embed_texts,
)
from imagerag.agent.ports.web import MAX_RUN_BYTES
from imagerag.agent.threads import in_thread
from imagerag.agent.types import RejectedImage, WebProvenance
from imagerag.agent.visible_text import is_blank
from imagerag.tools.url_fetcher import Fetcher, FetchError
from imagerag.tools.web.downloads import MAX_IMAGE, Allowance, bare_image
from imagerag.tools.web.search import AllowedResult, ServiceSearch, headers_of_images, rejected_all

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

AT_ONCE: Final = 3
"""Images that are downloaded at the same time, by all searches of a library together."""
IMAGE_TIMEOUT_S: Final = 20.0


class WebSearchLibrary:
    """Searches one service, and ranks what it finds with the encoder of a library. Implements `WebLibrary`.

    Args:
        name: its spec.
        search: asks the service.
        embedder: of the library that it stands beside.
        blobs: where images are kept.
        threshold: returns the cosine that a candidate must reach; None where none is known.
        own_host: host and port that images may come from though they are not public: the service that a user named.
        tariff: what a search costs.
    """

    def __init__(
        self,
        name: str,
        search: ServiceSearch,
        embedder: Embedder,
        blobs: BlobStore,
        *,
        threshold: Callable[[], float] | None = None,
        own_host: tuple[str, int] = ("", 0),
        tariff: PriceEstimator = FREE,
    ) -> None:
        self.name = name
        self.embedder = embedder
        self._search, self._blobs, self._threshold = search, blobs, threshold
        self._fetcher = Fetcher(
            max_bytes=MAX_IMAGE, timeout_s=IMAGE_TIMEOUT_S, own_host=own_host[0], own_port=own_host[1]
        )
        self._tariff = tariff
        self._slots: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()

    @property
    def identity(self) -> str:
        """The spec, without secrets."""
        return self.name

    @property
    def capabilities(self) -> Capabilities:
        """Capabilities: the price of a search."""
        return Capabilities(tariff=self._tariff)

    @property
    def threshold(self) -> float:
        """The cosine that a candidate must reach.

        Raises:
            UsageError: none is known: it stands alone, and its spec names none.
        """
        if self._threshold is None:
            raise UsageError(
                f"{self.name} has no threshold of its own: name a library of yours before it ('NAME,{self.name}'), "
                "write ?threshold=COSINE, or `threshold=COSINE`"
            )
        return self._threshold()

    @property
    def context_length(self) -> int:
        """Number of tokens of a text that the encoder reads."""
        return self.embedder.context_length

    def count_tokens(self, text: str) -> int:
        """Tokens of `text`, start and end markers included."""
        return self.embedder.count_tokens(text)

    async def search(self, text: str, *, k: int, filter: Filter) -> Sequence[Hit]:
        """The images that the service finds, by their similarity to the text, best first.

        Raises:
            UsageError: the text is empty.
            LibraryError: the service gave no results.
        """
        if is_blank(text):
            raise UsageError("a search needs some text")
        if filter.only:
            return []  # it holds nothing, and asks for nothing that is known already
        images = await self.fetch(text, max_bytes=MAX_RUN_BYTES)
        if images.error:
            raise LibraryError(f"{self.name} found nothing: {images.error}")
        return await self.hits_of(images, text, k=k, filter=filter)

    async def search_by_image(self, image: bytes, *, k: int, filter: Filter) -> Sequence[Hit]:
        """Not possible: services are asked in words.

        Raises:
            UsageError: always.
        """
        raise UsageError(f"{self.name} is searched with words: no image is sent to a search service")

    async def image_bytes(self, sha256: str) -> bytes:
        """The bytes of an image that was fetched, verified against the hash.

        Raises:
            BlobError: missing or damaged.
        """
        return await self._blobs.get(sha256)

    async def encode_for_model(self, sha256: str) -> tuple[bytes, str]:
        """An image that was fetched in a form that every model accepts, with its media type.

        Raises:
            BlobError: missing or damaged.
        """
        return await self._blobs.encode_for_model(sha256)

    async def fetch(self, words: str, *, max_bytes: int) -> WebImages:
        """Search the service, and fetch, check and keep what it found: see `WebLibrary.fetch`."""
        try:
            results, rejected = await self._search.results(words)
        except ImageRAGError as error:
            return WebImages(error=str(error), cost_usd=0.0)
        allowed = Allowance(max_bytes)
        fetched = await asyncio.gather(*(self._fetched(one, allowed) for one in results))
        images = [one for one in fetched if isinstance(one, WebImage)]
        rejected += [one for one in fetched if isinstance(one, RejectedImage)]
        return WebImages(
            images=tuple({one.image.sha256: one for one in reversed(images)}.values())[::-1],
            rejected=tuple(rejected),
            downloaded_bytes=allowed.used,
            cost_usd=self._tariff.most(0, 0, None),
        )

    async def hits_of(self, web_images: WebImages, text: str, *, k: int, filter: Filter) -> Sequence[Hit]:
        """The fetched images by their similarity to a text, best first: see `WebLibrary.hits_of`."""
        if not web_images.images:
            return []

        data = [await self._blobs.get(one.image.sha256) for one in web_images.images]
        query = (await embed_texts(self.embedder, [text]))[0]
        vectors = await embed_images(self.embedder, data)
        limit = None if self._threshold is None else self._threshold()
        hits = [
            self._hit(one, vector, float(vector @ query), limit)
            for one, vector in zip(web_images.images, vectors, strict=True)
        ]
        passing = [hit for hit in hits if filter.matches(hit)]
        return sorted(passing, key=lambda hit: (-hit.similarity, hit.image.sha256))[:k]

    def _hit(self, image: WebImage, vector: "Vectors", similarity: float, threshold: float | None) -> Hit:
        metadata = {"title": image.title, "author": image.author, "licence": image.licence, **image.web.model_dump()}
        return Hit(
            image=image.image,
            similarity=max(-1.0, min(1.0, similarity)),
            vector=vector,
            title=image.title,
            source=image.web.page,
            author=image.author,
            licence=image.licence,
            metadata=metadata,
            library=self.name,
            threshold=threshold,
            web=image.web,
        )

    async def _fetched(self, result: AllowedResult, allowed: Allowance) -> WebImage | RejectedImage:
        """An image, kept; or why it is not let in."""
        async with self._slot():
            if not (most := allowed.reserve(MAX_IMAGE)):
                return rejected_all([result], "the run has downloaded all that it may")[0]
            try:
                data = await replace(self._fetcher, max_bytes=most).fetch(result.image, headers=headers_of_images())
            except FetchError as error:
                allowed.settle(most, most if error.status is None else 0)  # what was read of it is not known
                return rejected_all([result], f"it {error.why}")[0]
            allowed.settle(most, len(data))
        try:
            image = await self._blobs.put(await in_thread(bare_image, data))
        except UsageError as error:
            return rejected_all([result], str(error)[:200])[0]
        web = WebProvenance(
            service=self._search.name,
            page=result.page,
            url=result.image,
            licence_url=result.licence_url,
            fetched_at=clock.now(),
        )
        return WebImage(image=image, web=web, title=result.title, author=result.author, licence=result.licence)

    def _slot(self) -> asyncio.Semaphore:
        loop = asyncio.get_running_loop()
        return self._slots.setdefault(loop, asyncio.Semaphore(AT_ONCE))
