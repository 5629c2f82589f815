"""The port of encoders."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

from imagerag.agent.errors import LibraryError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    Vectors = NDArray[np.float32]


CLIP_SCALE: Final = 100.0
"""The factor of cosines in the loss that CLIP was trained with."""

UNIT: Final = 1e-2
"""How far a vector's norm may be from 1."""


@dataclass(frozen=True, kw_only=True)
class EmbedderIdentity:
    """Identity of an encoder. Two libraries can share vectors only when all of it is equal.

    Attributes:
        spec: loads the same encoder again, `provider:model`. Not compared: a model that was moved is the same.
        model: architecture name.
        weights: pretrained tag, or `sha256:…` of a weight file.
        preprocess: image size, interpolation, mean and standard deviation, in one line.
        dimension: length of a vector.
    """

    spec: str = field(compare=False)
    model: str
    weights: str
    preprocess: str
    dimension: int

    def __str__(self) -> str:
        return f"{self.spec} ({self.model}, {self.weights}, {self.dimension}-d, {self.preprocess})"


class Embedder(Protocol):
    """Text and images into one space of unit vectors. What it may have besides: `OptionalEmbedderMethods`."""

    @property
    def identity(self) -> EmbedderIdentity: ...
    @property
    def context_length(self) -> int:
        """Number of tokens of a text that are read, start and end markers included."""
        ...

    def count_tokens(self, text: str) -> int:
        """Tokens of `text`, start and end markers included; more than `context_length` would be cut."""
        ...

    async def embed_texts(self, texts: Sequence[str]) -> "Vectors":
        """float32 [len(texts), dimension], rows of norm 1."""
        ...

    async def embed_images(self, images: Sequence[bytes]) -> "Vectors":
        """Encoded images (PNG, JPEG, WebP, …) to float32 [len(images), dimension], rows of norm 1."""
        ...


class OptionalEmbedderMethods(Protocol):
    """Methods that an encoder may have; those it has are checked when it is registered."""

    def queries(self, text: str) -> tuple[str, ...]:
        """The texts that a person's query is searched with instead; none is the query."""
        ...

    def logit_scale(self) -> float:
        """The factor of cosines in its training's loss: differences of cosines mean more, the larger it is."""
        ...

    async def embed_passages(self, texts: Sequence[str]) -> "Vectors":
        """As `embed_texts`, for texts that are searched (captions) by an encoder that encodes queries otherwise."""
        ...


@runtime_checkable
class PreparingEmbedder(Embedder, Protocol):
    """An encoder that takes images which somebody decoded already, so that indexing decodes each file once.

    `embed_images` and `embed_prepared` with `prepare` give the same vectors. An encoder may have `embed_images` only.
    """

    @property
    def image_side(self) -> int:
        """The shorter side that an image is decoded for, in pixels; a larger image is fine, too."""
        ...

    def prepare(self, image: "Image") -> Any:
        """An RGB image as the model sees it: small, and made in any thread."""
        ...

    async def embed_prepared(self, images: Sequence[Any]) -> "Vectors":
        """Encode prepared images to float32 [len(images), dimension], rows of norm 1."""
        ...


def logit_scale_of(embedder: object) -> float:
    """The factor by which an encoder's cosines are scaled where they are compared; that of CLIP if it names none."""
    own = getattr(embedder, "logit_scale", None)
    return CLIP_SCALE if own is None else float(own())


async def embed_passages(embedder: Embedder, texts: Sequence[str]) -> "Vectors":
    """Vectors of texts that are searched, such as captions; `embed_texts` gives those of the queries."""
    own = getattr(embedder, "embed_passages", None)
    return row_for_each(await (embedder.embed_texts if own is None else own)(texts), len(texts), embedder.identity.spec)


async def embed_texts(embedder: Embedder, texts: Sequence[str]) -> "Vectors":
    """`Embedder.embed_texts`, checked: the encoder may be anybody's.

    Raises:
        LibraryError: as `unit_rows`.
    """
    return unit_rows(await embedder.embed_texts(texts), len(texts), embedder.identity)


async def embed_images(embedder: Embedder, images: Sequence[bytes]) -> "Vectors":
    """`Embedder.embed_images`, checked as `embed_texts` is."""
    return unit_rows(await embedder.embed_images(images), len(images), embedder.identity)


async def embed_prepared(embedder: PreparingEmbedder, images: Sequence[Any]) -> "Vectors":
    """`PreparingEmbedder.embed_prepared`, checked as `embed_texts` is."""
    return unit_rows(await embedder.embed_prepared(images), len(images), embedder.identity)


def unit_rows(vectors: object, count: int, encoder: EmbedderIdentity) -> "Vectors":
    """The vectors of an encoder, checked to be what its port promises.

    Raises:
        LibraryError: as `row_for_each`, or one is no unit vector of the encoder's dimension.
    """
    import numpy as np

    rows = row_for_each(vectors, count, encoder.spec)
    norms = np.linalg.norm(rows.astype(np.float64), axis=1)
    if rows.shape[1] != encoder.dimension or not (np.abs(norms - 1) < UNIT).all():  # false for NaN
        raise LibraryError(
            f"the encoder {encoder.spec} gave vectors that are no unit vectors of length {encoder.dimension}"
        )
    return rows


def row_for_each(vectors: object, count: int, encoder: str) -> "Vectors":
    """The vectors of an encoder as a float32 array with `count` rows: one row too many or too few would give texts and
    images the vectors of others.

    Args:
        encoder: its spec, for the message.

    Raises:
        LibraryError: they are no array of numbers, or there are more or fewer.
    """
    import numpy as np

    try:
        rows = np.asarray(vectors, dtype=np.float32)
    except (TypeError, ValueError, RuntimeError) as error:  # RuntimeError: a tensor with a gradient
        raise LibraryError(f"the encoder {encoder} gave no array of numbers: {error}") from error
    if rows.ndim != 2 or len(rows) != count:
        raise LibraryError(f"the encoder {encoder} gave an array of shape {rows.shape} where {count} vectors belong")
    return rows


def queries_of(searched: object, text: str) -> tuple[str, ...]:
    """The texts that an encoder, or a library through its own, is best searched with for a query; none is the query."""
    own = getattr(searched, "queries", None)
    return tuple(own(text)) if own is not None else ()
