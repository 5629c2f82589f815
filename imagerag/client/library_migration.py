"""The part of `ImageRAG.libraries` that gives a library another encoder."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from imagerag.client.argument_checks import check_arguments
from imagerag.client.library_checks import LibraryChecks
from imagerag.client.library_opening import note_encoder
from imagerag.client.synchronous import synchronous

if TYPE_CHECKING:
    from imagerag.store.library.maintenance.migration import Migration


@check_arguments
class LibraryMigration(LibraryChecks):
    """Migration of libraries. Where none is named, it is the one that `ImageRAG` was made with."""

    async def migrate(
        self,
        library: str | None = None,
        *,
        embedder: str,
        switch: bool = True,
        progress: Callable[[int, int], None] | None = None,
    ) -> "Migration":
        """Encode a library with another encoder, compare both on its own captions, and use the new one from now on.

        Searches go on with the present encoder until the end, and what was encoded stays if it is stopped. The vectors
        of the encoder before stay until `drop_other_vectors`, so that going back encodes nothing.

        Args:
            embedder: spec of the encoder.
            switch: False only encodes and compares; `switch_encoder` does the rest.
            progress: called with images done and images in all.

        Raises:
            UsageError: the library has this encoder, or the vectors of a third one.
            LibraryError: the library is empty, or the encoder fails on some images; it stays as it was.
            BackendError: the encoder failed.
        """
        from imagerag.store.library.maintenance import migration

        opened, dependencies = await self._open_to_change(library), self._context.dependencies
        encoder = dependencies.embedder(embedder)
        await asyncio.to_thread(note_encoder, encoder)
        report = await migration.migrate(opened, encoder, progress=progress)
        if switch:
            await self.switch_encoder(library, embedder=embedder)
        return report.model_copy(update={"switched": switch})

    async def switch_encoder(self, library: str | None = None, *, embedder: str) -> None:
        """Use the encoder that `migrate(..., switch=False)` has encoded a library with.

        It also measures the confidences of descriptions, and encodes captions that the library's own encoder encoded.

        Raises:
            UsageError: the library has no vectors of it.
            LibraryError: the encoder fails on images that were added since; the library stays as it was.
        """
        from imagerag.store.library.description_check import check_descriptions_again
        from imagerag.store.library.indexing.caption_encoding import encode_captions
        from imagerag.store.library.library import Library
        from imagerag.store.library.maintenance import migration

        opened, dependencies = await self._open_to_change(library), self._context.dependencies
        encoder = dependencies.embedder(embedder)
        await migration.switch_encoder(opened, encoder)
        opened = await Library.open(dependencies.home, opened.name, encoder, dependencies.encoder_of(opened.name))
        await check_descriptions_again(opened)  # before captions: a description that fits is encoded as one
        if opened.metadata.caption_encoder is not None and opened.metadata.caption_encoder.embedder == encoder.identity:
            await encode_captions(opened, encoder)
        await opened.optimize()
        if await opened.is_stale():
            await opened.calibrate(anew=False)

    async def drop_other_vectors(self, library: str | None = None) -> str | None:
        """Delete the vectors of the encoder that a library had before `migrate`, or of a migration that was stopped.

        Returns:
            Spec of that encoder; None where there are no such vectors.

        Raises:
            UnknownLibraryError: there is none of that name.
        """
        from imagerag.store.library.maintenance.migration import drop_other_vectors

        dropped = await drop_other_vectors(await self._open_to_change(library))
        return dropped.spec if dropped else None

    migrate_sync = synchronous(migrate)
    switch_encoder_sync = synchronous(switch_encoder)
    drop_other_vectors_sync = synchronous(drop_other_vectors)
