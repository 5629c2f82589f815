"""The libraries that a run can take references from, each with what it holds. No encoder is made for it."""

import asyncio
from dataclasses import dataclass

from imagerag.agent.errors import ImageRAGError
from imagerag.agent.types import BUILT_IN_LIBRARY
from imagerag.client.client import ImageRAG
from imagerag.store.data_dir import DataDir


@dataclass(frozen=True, kw_only=True)
class LibraryChoice:
    """One library.

    Attributes:
        images: how many it holds; None where it is not known before it is used.
        encoder: spec of its encoder.
        threshold: cosine that its references must reach; None until it has been calibrated.
        accept_rate: share of matches that reach it, in [0, 1]; None where it was not measured.
        error: why it cannot be read.
    """

    name: str
    images: int | None = None
    encoder: str = ""
    threshold: float | None = None
    accept_rate: float | None = None
    error: str = ""


async def library_choices(rag: ImageRAG) -> list[LibraryChoice]:
    """All libraries, by name; one that cannot be read does not hide the others."""
    home, own = rag.dependencies.home, rag.dependencies.own_libraries
    listed = await rag.libraries.list()
    built_in = [BUILT_IN_LIBRARY] if rag.settings.library == BUILT_IN_LIBRARY else []

    def read() -> list[LibraryChoice]:
        names = sorted({*listed, *own, *built_in})
        return [LibraryChoice(name=name) if name not in listed else _choice(home, name) for name in names]

    return await asyncio.to_thread(read)


def _choice(home: DataDir, name: str) -> LibraryChoice:
    from imagerag.store.library.database import open_table
    from imagerag.store.library.library_metadata import library_metadata_of

    try:
        table = open_table(home, name)
        metadata, images = library_metadata_of(table, name), int(table.count_rows())
    except ImageRAGError as error:
        return LibraryChoice(name=name, error=str(error))
    threshold = metadata.threshold
    return LibraryChoice(
        name=name,
        images=images,
        encoder=metadata.spec,
        threshold=threshold.cosine if threshold else None,
        accept_rate=threshold.accept_rate if threshold else None,
    )
