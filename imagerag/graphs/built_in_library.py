"""The built-in library: the catalogue of the sketch world, drawn and indexed when it is first opened."""

import asyncio
from tempfile import TemporaryDirectory

from imagerag.agent.ports import Embedder
from imagerag.agent.types import BUILT_IN_LIBRARY
from imagerag.store.data_dir import DataDir
from imagerag.store.library.library import Library
from imagerag.tools.registry import write_catalogue


async def build_sketch_library(home: DataDir, embedder: Embedder) -> Library:
    """Draw the catalogue and index it; takes some seconds.

    Args:
        embedder: the encoder of the sketch world.
    """
    from imagerag.store.library.indexing.ingest import index

    library = await Library.create_or_open(home, BUILT_IN_LIBRARY, embedder)
    folder = await asyncio.to_thread(TemporaryDirectory)
    try:
        manifest = await asyncio.to_thread(write_catalogue, BUILT_IN_LIBRARY, folder.name)
        await index([folder.name], library, manifest=manifest, copy=True)
    finally:
        await asyncio.to_thread(folder.cleanup)
    return library
