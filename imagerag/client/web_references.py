"""The part of `ImageRAG.libraries` that takes images from the web into a library."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from imagerag.agent.errors import RunStateError, UsageError
from imagerag.client.argument_checks import check_arguments
from imagerag.client.library_opening import LibraryOpening
from imagerag.client.synchronous import synchronous

if TYPE_CHECKING:
    from imagerag.agent.run_record import RunRecord
    from imagerag.agent.types import UsedReference
    from imagerag.store.library.library import Library
    from imagerag.store.library.schema import ImageRecord

FOLDER = "web-images"
"""Of the home: the files of images from the web that are in libraries."""


@check_arguments
class WebReferences(LibraryOpening):
    """Takes images from the web into a library."""

    async def keep_web(self, run: "RunRecord | str", *, library: str | None = None) -> "list[ImageRecord]":
        """Take the images from the web that a run's image was drawn with into a library, with their provenance.

        Title, author, licence and page are the image's own fields; the metadata has `licence_url`, `image_url`,
        `service` and `fetched_at`.

        Args:
            run: its record, or its id.
            library: which one, when not the first of those that the run searched.

        Returns:
            What the library knows of the images now; empty where the run's image was drawn with none from the web.

        Raises:
            UnknownRunError: no such run.
            RunStateError: the run has not ended.
            UsageError: the run searched no library of the user's own, or one that cannot be changed.
        """
        record = await self._record(run)
        if record.outcome is None:
            raise RunStateError(f"run {record.run_id} has not ended: what helped is not known yet")
        name = library or first_own_library(record.setup.library if record.setup else None)
        self.check_changeable(name)
        references = {one.image.sha256: one for one in record.references if one.web}
        if not references:
            return []
        opened = await self.open(name)
        return [await self._kept(opened, one) for one in references.values()]

    async def _record(self, run: "RunRecord | str") -> "RunRecord":
        from imagerag.graphs.runs.records import read_record

        return await read_record(self._context.dependencies, run) if isinstance(run, str) else run

    async def _kept(self, library: "Library", reference: "UsedReference") -> "ImageRecord":
        """One image, as a file of the home and a row of the library."""
        from imagerag.agent.images.formats import RESULT_SUFFIXES
        from imagerag.store.images.blob_store import write_atomically
        from imagerag.store.library.indexing.adding import add_files
        from imagerag.store.library.maintenance.changes import ImageChanges
        from imagerag.store.library.metadata.metadata_values import MAX_VALUE

        web, sha256 = reference.web, reference.image.sha256
        assert web is not None, "only images from the web come here"
        data = await self._context.dependencies.blobs.get(sha256)
        folder = self._context.dependencies.home.root / FOLDER
        file: Path = folder / f"{sha256}{RESULT_SUFFIXES.get(reference.image.media_type, '.png')}"
        await asyncio.to_thread(write_atomically, file, data)
        fields = {
            "licence_url": web.licence_url,
            "image_url": web.url,
            "service": web.service,
            "fetched_at": web.fetched_at,
        }
        changes = ImageChanges(
            title=reference.title, author=reference.author, licence=reference.licence, source=web.page,
            set={name: value for name, value in fields.items() if value and len(value) <= MAX_VALUE},
        )  # fmt: skip
        return (await add_files(library, [file], changes))[0]

    keep_web_sync = synchronous(keep_web)


def first_own_library(library: str | None) -> str:
    """The first library of the user's own among those that are searched together.

    Raises:
        UsageError: there is none.
    """
    from imagerag.agent.retrieval.search_queries import WEB, names_of

    for name in names_of(library) if library else ():
        if not name.startswith(WEB):
            return name
    raise UsageError("there is no library of yours to take them into: name one before web:SERVICE, or `library=NAME`")
