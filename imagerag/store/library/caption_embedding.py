"""Encoding of captions and of texts that search them."""

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from imagerag.agent.errors import (
    EmbeddingMismatchError,
    LibraryError,
    MissingExtraError,
    SpecError,
    UntrustedError,
    UsageError,
)
from imagerag.agent.ports import Embedder, EmbedderIdentity
from imagerag.agent.ports.embedder import row_for_each
from imagerag.agent.visible_text import is_blank
from imagerag.formatting.interface_terms import PATH, python_call
from imagerag.store.library.library_metadata import LibraryMetadata
from imagerag.store.library.thresholds.content import is_unit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from imagerag.store.library.library_reader import LibraryReader

    Vectors = NDArray[np.float32]


def caption_embedder_of(
    name: str, metadata: LibraryMetadata, embedder: Embedder, encoder_of: Callable[[str], Embedder] | None
) -> Embedder:
    """The encoder of a library's caption vectors.

    Args:
        embedder: the library's own encoder.
        encoder_of: returns the encoder of a spec; its exceptions are passed on.

    Raises:
        LibraryError: the library has no caption vectors.
        EmbeddingMismatchError: they were made with another version of the encoder.
    """
    if metadata.caption_encoder is None:
        raise LibraryError(
            f"library {name!r} has no vectors of its captions. Make them: "
            f"{python_call('libraries.index', PATH, library=name, caption_embedder='own')}"
        )
    identity = metadata.caption_encoder.embedder
    encoder = embedder if embedder.identity == identity or encoder_of is None else encoder_of(identity.spec)
    if encoder.identity != identity:
        raise EmbeddingMismatchError(
            f"the captions of library {name!r} were encoded with {identity}, not with {encoder.identity}. Encode them "
            f"again: {python_call('libraries.index', PATH, library=name, caption_embedder=encoder.identity.spec)}"
        )
    return encoder


def available_caption_embedder(library: "LibraryReader") -> Embedder | None:
    """The encoder of a library's caption vectors; None where it has none, or their encoder is not available here."""
    with suppress(EmbeddingMismatchError, MissingExtraError, SpecError, UntrustedError):
        return library.caption_embedder() if library.metadata.caption_encoder else None
    return None


async def caption_query(library: "LibraryReader", text: str) -> "tuple[Vectors, Vectors]":
    """The vectors of a text that searches captions: by the library's own encoder, and by that of its captions.

    Both are unit vectors, float32 [dimension].

    Raises:
        UsageError: the text is empty.
        LibraryError, EmbeddingMismatchError: as `caption_embedder_of`.
    """
    if is_blank(text):
        raise UsageError("a search needs some text")
    encoder = library.caption_embedder()
    own = unit_vector(await library.embedder.embed_texts([text]), library.embedder.identity, _quoted_text(text))
    return own, own if encoder is library.embedder else await caption_vector_of(library, text)


async def caption_vector_of(library: "LibraryReader", text: str) -> "Vectors":
    """The vector of a text by the encoder of a library's captions: unit, float32 [its dimension].

    Raises:
        LibraryError, EmbeddingMismatchError: as `caption_embedder_of`.
    """
    encoder = library.caption_embedder()
    return unit_vector(await encoder.embed_texts([text]), encoder.identity, _quoted_text(text))


def _quoted_text(text: str) -> str:
    return f"the text {text[:60]!r}"


def unit_vector(vectors: "Vectors", encoder: EmbedderIdentity, of: str) -> "Vectors":
    """The only row of `vectors`, scaled to length 1.

    LanceDB returns an empty result for a zero or NaN query, which would look like "nothing similar".

    Args:
        encoder: what made it.
        of: what it is the vector of, for the message.

    Raises:
        LibraryError: it is no unit vector of the encoder's dimension.
    """
    import numpy as np

    (vector,) = row_for_each(vectors, 1, encoder.spec)
    norm = float(np.linalg.norm(vector))
    if vector.shape != (encoder.dimension,) or not is_unit(norm):
        raise LibraryError(f"the encoder {encoder.spec} gave no unit vector of length {encoder.dimension} for {of}")
    unit: NDArray[np.float32] = vector / np.float32(norm)
    return unit
