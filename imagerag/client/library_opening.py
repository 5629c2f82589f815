"""The part of `ImageRAG.libraries` that opens libraries."""

import asyncio
from typing import TYPE_CHECKING

from imagerag.agent.errors import UnknownLibraryError, UsageError
from imagerag.agent.types import BUILT_IN_LIBRARY
from imagerag.client.argument_checks import check_arguments
from imagerag.client.context import ClientContext
from imagerag.client.synchronous import synchronous

if TYPE_CHECKING:
    from imagerag.agent.ports import Embedder
    from imagerag.store.library.library import Library


@check_arguments
class LibraryOpening:
    """Opens libraries. Where none is named, it is the one that `ImageRAG` was made with."""

    def __init__(self, context: ClientContext) -> None:
        self._context = context

    async def open(self, name: str | None = None, *, embedder: str | None = None, create: bool = False) -> "Library":
        """Open a library, with the encoder it was made with unless another is named.

        Args:
            name: which one, when not the one this object was made with.
            embedder: insist on this encoder.
            create: make an empty one when there is none.

        Raises:
            UnknownLibraryError: there is none of that name, and none was to be made.
            EmbeddingMismatchError: it was made with another encoder than `embedder`.
        """
        from imagerag.store.library.library import Library

        name, dependencies = self.name(name), self._context.dependencies
        dependencies.name(embedder)
        try:
            opened = await dependencies.open_library(name)
        except UnknownLibraryError:
            if not create:
                raise
            encoder = dependencies.embedder(embedder or self._context.settings.embedder)
            await asyncio.to_thread(note_encoder, encoder)
            return await Library.create_or_open(dependencies.home, name, encoder, dependencies.encoder_of(name))
        if embedder is None or embedder == opened.metadata.spec:
            return opened
        encoder = dependencies.embedder(embedder)
        return await Library.open(dependencies.home, name, encoder, dependencies.encoder_of(name))

    def name(self, library: str | None = None) -> str:
        """The library that is meant.

        Raises:
            UsageError: none is named, here or where this object was made.
        """
        if name := library or self._context.settings.library:
            return name
        raise UsageError("say which library: `library=NAME`")

    async def _made(self, library: str | None) -> str:
        """The name of a library; the built-in one is made when it is first looked at."""
        name = self.name(library)
        if name == BUILT_IN_LIBRARY:
            await self.open(name)
        return name

    def check_changeable(self, library: str | None = None) -> None:
        """Refuse the built-in catalogue and snapshots where a library is to be changed.

        Args:
            library: which one, when not the one this object was made with; it need not exist.

        Raises:
            UsageError: it is one of them that is meant.
        """
        from imagerag.store.library.names import refuse_snapshot

        name = self.name(library)
        if name == BUILT_IN_LIBRARY:
            raise UsageError(f"{BUILT_IN_LIBRARY!r} is the built-in catalogue, redrawn when it has to be: name another")
        refuse_snapshot(name)

    async def _open_to_change(self, library: str | None) -> "Library":
        """A library that may be changed."""
        self.check_changeable(library)
        return await self.open(library)

    open_sync = synchronous(open)  # noqa: A003


def note_encoder(encoder: "Embedder") -> None:
    """Remember that this user made a library with this encoder, so that the library may name it."""
    from imagerag.graphs.configuration.trust_policy import is_plain
    from imagerag.store.trust_store import note_named

    spec = encoder.identity.spec
    if not is_plain(spec, services=False):
        note_named(spec)
