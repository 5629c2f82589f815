"""The encoder that a user names for the captions of a library."""

import asyncio
from typing import TYPE_CHECKING, Final

from imagerag.client.library_opening import note_encoder

if TYPE_CHECKING:
    from imagerag.agent.ports import Embedder
    from imagerag.graphs.dependencies import Dependencies
    from imagerag.store.library.library import Library

OWN_ENCODER: Final = "own"
"""The library's own encoder."""

NO_ENCODER: Final = "none"
"""No vectors of captions; those that are there are deleted."""


async def caption_embedder(dependencies: "Dependencies", spec: str | None) -> "Embedder | None":
    """The encoder of a spec; None for the library's own, for none, and where nothing is named.

    Raises:
        SpecError, MissingExtraError: there is no such encoder, or its extra is not installed.
    """
    if spec is None or spec in (OWN_ENCODER, NO_ENCODER):
        return None
    dependencies.name(spec)
    encoder = dependencies.embedder(spec)
    await asyncio.to_thread(note_encoder, encoder)
    return encoder


async def use_caption_embedder(library: "Library", spec: str | None, embedder: "Embedder | None") -> None:
    """Let a library have vectors of its captions as a user wants it; nothing where nothing is named.

    Args:
        embedder: the encoder of the spec, from `caption_embedder`.
    """
    from imagerag.store.library.indexing import caption_encoding

    if spec is not None:
        await caption_encoding.use_caption_embedder(library, library.embedder if spec == OWN_ENCODER else embedder)
