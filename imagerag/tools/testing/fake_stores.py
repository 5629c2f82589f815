"""Fake stores: a toy embedder, blobs in memory, and a library of scripted images."""

import hashlib
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from imagerag.agent.errors import BlobError
from imagerag.agent.images.decoding import decode, open_rgb
from imagerag.agent.images.encoding import converted
from imagerag.agent.ports import EmbedderIdentity, Filter, Hit
from imagerag.agent.types import ImageRef, Region, Scalar, Size

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class RecordedSearch:
    """One call of a fake: the method and its arguments by name."""

    method: str
    arguments: Mapping[str, Any]

    def __getattr__(self, name: str) -> Any:
        try:
            return self.arguments[name]
        except KeyError:
            raise AttributeError(name) from None


@lru_cache(maxsize=1024)
def sample_image(text: str, size: Size | None = None) -> bytes:
    """A small PNG of one colour that depends only on `text`: equal texts give equal bytes."""
    from PIL import Image

    red, green, blue = hashlib.sha256(text.encode()).digest()[:3]
    buffer = io.BytesIO()
    shape = (size.width, size.height) if size else (16, 16)
    Image.new("RGB", shape, (red, green, blue)).save(buffer, "PNG")
    return buffer.getvalue()


class HashEmbedder:
    """Deterministic toy vectors: hashed words for texts, a coarse colour histogram for images.

    Texts with common words are similar, and so are images with common colours; texts and images are not.
    """

    def __init__(self, *, dimension: int = 64, context_length: int = 77) -> None:
        self.identity = EmbedderIdentity(
            spec="hash", model="bag of words", weights="none", preprocess="4x4x4 colours", dimension=dimension
        )
        self.context_length = context_length

    def count_tokens(self, text: str) -> int:
        """Number of words, plus start and end markers."""
        return len(_words(text)) + 2

    async def embed_texts(self, texts: Sequence[str]) -> "Vectors":
        """float32 [len(texts), dimension], rows of norm 1."""
        return self._rows([_words(text) or [""] for text in texts])

    async def embed_images(self, images: Sequence[bytes]) -> "Vectors":
        """float32 [len(images), dimension], rows of norm 1."""
        return self._rows([_colours(data) for data in images])

    def _rows(self, bags: Sequence[Sequence[str]]) -> "Vectors":
        import numpy as np

        rows = np.zeros((len(bags), self.identity.dimension), np.float32)
        for row, bag in zip(rows, bags, strict=True):
            for token in bag:
                digest = hashlib.sha256(token.encode()).digest()
                row[int.from_bytes(digest[:4]) % len(row)] += 1 + digest[4] / 256
        norms: Vectors = np.linalg.norm(rows, axis=1, keepdims=True)
        return rows / norms


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _colours(data: bytes) -> list[str]:
    pixels = open_rgb(data).resize((8, 8)).tobytes()
    return [bytes(value // 64 for value in pixels[at : at + 3]).hex() for at in range(0, len(pixels), 3)]


class MemoryBlobs:
    """Blob store in a dictionary."""

    def __init__(self) -> None:
        self.data: dict[str, bytes] = {}

    async def keep(self, data: bytes) -> str:
        """Store bytes that are no image, and return their hash."""
        digest = hashlib.sha256(data).hexdigest()
        self.data[digest] = data
        return digest

    async def put(self, data: bytes) -> ImageRef:
        """Store an image and return its `ImageRef`.

        Raises:
            UsageError: not an image.
        """
        reference = describe_image(data)
        self.data[reference.sha256] = data
        return reference

    async def put_viewable(self, data: bytes) -> tuple[ImageRef, ImageRef]:
        """Store an image, and a converted copy where not every browser shows it.

        Raises:
            UsageError: not an image.
        """
        image, decoded = await self.put(data), decode(data)
        return image, image if decoded.for_every_viewer else await self.put(converted(decoded.image)[0])

    async def get(self, sha256: str) -> bytes:
        """Return the bytes.

        Raises:
            BlobError: unknown hash.
        """
        if sha256 not in self.data:
            raise BlobError(f"there is no image {sha256}")
        return self.data[sha256]

    async def encode_for_model(self, sha256: str) -> tuple[bytes, str]:
        """The stored bytes and their media type."""
        data = await self.get(sha256)
        return data, describe_image(data).media_type


@lru_cache(maxsize=256)
def describe_image(data: bytes) -> ImageRef:
    """The `ImageRef` of encoded bytes.

    Raises:
        UsageError: not an image.
    """
    decoded = decode(data)
    digest = hashlib.sha256(data).hexdigest()
    return ImageRef(sha256=digest, media_type=decoded.media_type, width=decoded.width, height=decoded.height)


@dataclass
class _Planted:
    hit: Hit
    similarities: dict[str, float] = field(default_factory=dict)


class ScriptedLibrary:
    """A library of scripted images: each is planted with the texts that find it and their similarities.

    Args:
        elsewhere: similarity of an image to all other texts.
        caption_language: in which judges write captions to search with.
    """

    def __init__(
        self,
        *,
        name: str = "scripted",
        threshold: float = 0.5,
        context_length: int = 77,
        elsewhere: float = 0.0,
        caption_language: str = "",
    ) -> None:
        self.caption_language = caption_language
        self.name, self.threshold, self.context_length, self.elsewhere = name, threshold, context_length, elsewhere
        self.blobs = MemoryBlobs()
        self.calls: list[RecordedSearch] = []
        self._planted: dict[str, _Planted] = {}

    def plant(
        self,
        found_by: str | Mapping[str, float],
        data: bytes | None = None,
        *,
        similarity: float = 0.9,
        tags: tuple[str, ...] = (),
        metadata: Mapping[str, Scalar] | None = None,
        licence: str = "CC0-1.0",
        title: str = "",
        region: Region | None = None,
    ) -> ImageRef:
        """Add an image, with a vector of its own: nothing is a near-duplicate.

        Args:
            found_by: the text that finds it with `similarity`, or texts with a similarity each.
            data: the encoded image; by default one made from the texts.
            region: the box in it that searches find.
        """
        import numpy as np

        similarities = {found_by: similarity} if isinstance(found_by, str) else dict(found_by)
        data = data if data is not None else sample_image(f"planted/{sorted(similarities)}/{len(self._planted)}")
        image = describe_image(data)
        hit = Hit(
            image=image,
            similarity=0.0,
            vector=np.eye(64, dtype=np.float32)[len(self._planted) % 64],
            title=title or next(iter(similarities), ""),
            tags=tags,
            metadata=metadata or {},
            source="planted",
            licence=licence,
            region=region,
        )
        self._planted[image.sha256] = _Planted(hit, similarities)
        self.blobs.data[image.sha256] = data
        return image

    def count_tokens(self, text: str) -> int:
        """Number of words, plus start and end markers."""
        return len(_words(text)) + 2

    async def search(self, text: str, *, k: int, filter: Filter) -> Sequence[Hit]:
        """The planted images, by their similarity to `text`, best first."""
        self.calls.append(RecordedSearch("search", {"text": text, "k": k, "filter": filter}))
        return self._ranked(lambda planted: planted.similarities.get(text, self.elsewhere), k, filter)

    async def search_by_image(self, image: bytes, *, k: int, filter: Filter) -> Sequence[Hit]:
        """The image itself with similarity 1, then the others."""
        self.calls.append(RecordedSearch("search_by_image", {"image": image, "k": k, "filter": filter}))
        own = hashlib.sha256(image).hexdigest()
        return self._ranked(lambda planted: 1.0 if planted.hit.image.sha256 == own else self.elsewhere, k, filter)

    async def listed(self, *, filter: Filter, limit: int) -> tuple[Sequence[Hit], int]:
        """At most `limit` of the planted images that match a filter, by id, and the total number of matches."""
        self.calls.append(RecordedSearch("listed", {"filter": filter, "limit": limit}))
        allowed = sorted((p.hit for p in self._planted.values() if filter.matches(p.hit)), key=lambda h: h.image.sha256)
        return allowed[:limit], len(allowed)

    async def image_bytes(self, sha256: str) -> bytes:
        """Bytes of an image of this library.

        Raises:
            BlobError: the image is not in this library.
        """
        self.calls.append(RecordedSearch("image_bytes", {"sha256": sha256}))
        return await self.blobs.get(sha256)

    async def encode_for_model(self, sha256: str) -> tuple[bytes, str]:
        """The planted bytes and their media type."""
        return await self.blobs.encode_for_model(sha256)

    def _ranked(self, similarity: Callable[[_Planted], float], k: int, filter: Filter) -> list[Hit]:
        allowed = [planted for planted in self._planted.values() if filter.matches(planted.hit)]
        hits = [replace(planted.hit, similarity=similarity(planted)) for planted in allowed]
        return sorted(hits, key=lambda hit: -hit.similarity)[:k]
