"""The images among the terms of a query: files, addresses, and images of the library by their ids."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from imagerag.agent.images.decoding import MAX_BYTES
from imagerag.agent.ports import ReferenceLibrary, SearchTerm
from imagerag.agent.threads import in_thread
from imagerag.files.inputs import read_image

_ID: Final = re.compile(r"image://([0-9a-f]{64})", re.IGNORECASE)
_ADDRESS: Final = re.compile(r"https?://", re.IGNORECASE)


async def with_images(terms: Sequence[SearchTerm], library: ReferenceLibrary) -> tuple[SearchTerm, ...]:
    """The terms, with the bytes of those that are images.

    Raises:
        UsageError: no such file, or an address that is not fetched: private ones never are.
        BlobError: the library has no image of that id.
    """
    return tuple([await _loaded(term, library) for term in terms])


async def _loaded(term: SearchTerm, library: ReferenceLibrary) -> SearchTerm:
    source = term.image
    if source is None or isinstance(source, bytes):
        return term
    if isinstance(source, Path):
        data = await in_thread(read_image, source)
    elif image_id := _ID.fullmatch(source):
        data = await library.image_bytes(image_id[1].lower())
    elif _ADDRESS.match(source):
        from imagerag.tools.url_fetcher import Fetcher

        data = await Fetcher(max_bytes=MAX_BYTES).fetch(source)
    else:
        data = await in_thread(read_image, source)
    return replace(term, image=data)
