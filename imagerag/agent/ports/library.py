"""The ports of reference libraries, rerankers and the blob store."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from imagerag.agent.ports.generator import ImagePart
from imagerag.agent.ports.hits import Filter, Hit, SearchTerm
from imagerag.agent.ports.responses import Ranking
from imagerag.agent.types import ImageRef

if TYPE_CHECKING:
    from imagerag.agent.errors import BlobError


class ReferenceLibrary(Protocol):
    """The user's own images, searchable.

    One whose `search` takes `hybrid: bool` too can be searched by captions and words. What else it
    may have: `OptionalLibraryMethods`.
    """

    @property
    def name(self) -> str: ...
    @property
    def threshold(self) -> float:
        """The calibrated cosine that a candidate must reach."""
        ...

    @property
    def context_length(self) -> int: ...
    def count_tokens(self, text: str) -> int: ...

    async def search(self, text: str, *, k: int, filter: Filter) -> Sequence[Hit]:
        """The `k` images most similar to a text, best first."""
        ...

    async def search_by_image(self, image: bytes, *, k: int, filter: Filter) -> Sequence[Hit]:
        """The `k` images most similar to an image, best first."""
        ...

    async def image_bytes(self, sha256: str) -> bytes:
        """The bytes of one of its images, verified against the hash.

        Raises:
            BlobError: missing or damaged.
        """
        ...

    async def encode_for_model(self, sha256: str) -> tuple[bytes, str]:
        """Encode one of its images for models: upright PNG, JPEG or WebP, and the media type.

        Raises:
            BlobError: missing or damaged.
        """
        ...


class OptionalLibraryMethods(Protocol):
    """Methods that a library may have; those it has are checked when it is registered.

    A library without them is asked one text and one image at a time, has no threshold between images, and its filters
    are not checked before a run.
    """

    @property
    def image_threshold(self) -> float | None:
        """The calibrated cosine that a candidate must reach in a search by image; None where none is known."""
        ...

    @property
    def caption_language(self) -> str:
        """The language of its captions, a BCP 47 tag, in which a judge writes those to search with; "" where it does
        not show, or its encoder does not read it."""
        ...

    def queries(self, text: str) -> tuple[str, ...]:
        """The texts that a person's query is searched with instead; none is the query."""
        ...

    async def search_batch(self, texts: Sequence[str], *, k: int, filter: Filter) -> Sequence[Sequence[Hit]]:
        """The hits of `search` for each of several texts, in one call."""
        ...

    async def search_terms(
        self, terms: Sequence[SearchTerm], *, k: int, filter: Filter, hybrid: bool = False
    ) -> Sequence[Hit]:
        """The `k` images most similar to several terms together, best first; images of terms are bytes."""
        ...

    @property
    def caption_threshold(self) -> float | None:
        """The calibrated cosine that a caption must reach in a search by captions; None where none is known."""
        ...

    async def search_captions(self, text: str, *, k: int, filter: Filter) -> Sequence[Hit]:
        """The `k` images whose captions are most similar to a text, best first, each with its `caption_similarity`.

        Raises:
            LibraryError: it has no vectors of its captions.
        """
        ...

    async def read_images(self, ids: Sequence[str]) -> "dict[str, bytes | BlobError]":
        """The bytes of several images, or why one is not to be had, in one call."""
        ...

    async def thumbnail(self, sha256: str) -> bytes:
        """A small WebP of one of its images, which is there when the image's own file is not.

        Raises:
            BlobError: it keeps none.
        """
        ...

    async def check_filter(self, filter: Filter) -> None:
        """See that it can be asked what a filter asks.

        Raises:
            FilterError: it knows no such key, or holds values of another kind under it.
        """
        ...

    async def explain_filter(self, filter: Filter) -> str:
        """The reason why a filter lets none of its images through; empty where it lets some."""
        ...


class Reranker(Protocol):
    """Puts what a search found into a better order. Off by default: it changed little (ImageRAG, section 5).

    Its `capabilities` are optional (see `Capabilities`); one that is to see pixels says `needs_images`.

    Attributes:
        identity: `provider` or `provider:model`.
    """

    @property
    def identity(self) -> str: ...

    async def rerank(self, query: str, hits: Sequence[Hit], images: Sequence[ImagePart]) -> Ranking:
        """Rank `hits` for `query`.

        Args:
            images: the pixels of `hits`, in the same order; empty for a reranker that needs none.

        Raises:
            RefusalError: content policy.
            BackendError: the model that was asked did not answer.
            JudgeReplyError: its answer could not be read.
        """
        ...


class BlobStore(Protocol):
    """Image bytes, kept once under their SHA-256."""

    async def keep(self, data: bytes) -> str:
        """Keep bytes that are no image we can read, and say where: an answer that was paid for is not lost."""
        ...

    async def put(self, data: bytes) -> ImageRef:
        """Keep `data` and say what it is.

        Raises:
            UsageError: not an image we can read, or a gigantic one.
        """
        ...

    async def put_viewable(self, data: bytes) -> tuple[ImageRef, ImageRef]:
        """Keep `data`, and where not every browser shows it as it is meant, a converted copy.

        Returns:
            What came, and what is to be shown: the same where any browser shows it.

        Raises:
            UsageError: as `put`.
        """
        ...

    async def get(self, sha256: str) -> bytes:
        """The bytes, verified against the hash.

        Raises:
            BlobError: missing or damaged.
        """
        ...

    async def encode_for_model(self, sha256: str) -> tuple[bytes, str]:
        """The image as every model takes it: upright PNG, JPEG or WebP, and the media type.

        Raises:
            BlobError: missing or damaged.
        """
        ...
