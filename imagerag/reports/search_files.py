"""Getting together what the sheet and the page of a search are made of, and writing them."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagerag.agent.errors import BlobError
from imagerag.agent.threads import in_thread
from imagerag.files.export import write_file

if TYPE_CHECKING:
    from imagerag.graphs.dependencies import Dependencies
    from imagerag.schemas.searches import SearchDocument


async def search_images(dependencies: "Dependencies", document: "SearchDocument") -> dict[str, bytes]:
    """SHA-256 → thumbnail of the images that a search found; those that are not to be had are left out."""
    from imagerag.store.library.thumbnails import thumbnails

    ids = [one.id for one in document.results]
    images = await asyncio.to_thread(thumbnails, dependencies.home, document.library, ids)
    if missing := [sha256 for sha256 in ids if sha256 not in images]:  # of a library of one's own
        library: Any = await dependencies.library(document.library)
        read_image = getattr(library, "thumbnail", library.image_bytes)
        for sha256 in missing:
            with suppress(BlobError):
                images[sha256] = await read_image(sha256)
    return images


async def write_search_sheet(document: "SearchDocument", images: Mapping[str, bytes], file: Path) -> None:
    """Write the sheet of a search (PNG).

    Raises:
        UsageError: the file cannot be written.
    """
    from imagerag.reports.contact_sheet.layout import png
    from imagerag.reports.contact_sheet.search_sheet import search_sheet

    await write_file(file, await in_thread(lambda: png(search_sheet(document, images.__getitem__))))


async def write_search_page(document: "SearchDocument", images: Mapping[str, bytes], file: Path) -> None:
    """Write a search as one page (HTML).

    Raises:
        UsageError: the file cannot be written.
    """
    from imagerag.reports.html.search_page import search_page

    await write_file(file, (await in_thread(search_page, document, images.__getitem__)).encode())
