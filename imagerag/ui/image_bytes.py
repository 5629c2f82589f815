"""The bytes of an image by its hash, of a run or of a library."""

from imagerag.agent.errors import BlobError
from imagerag.client.client import ImageRAG


async def image_bytes(rag: ImageRAG, sha256: str, library: str = "") -> bytes:
    """Read an image of a run, or of a library.

    Args:
        library: where else to look than among the images of runs.

    Raises:
        BlobError: there is none of that hash.
        UnknownLibraryError: there is no such library.
    """
    try:
        return await rag.runs.image_bytes(sha256)
    except BlobError:
        if not library:
            raise
    if library in await rag.libraries.list():  # without its encoder
        return await rag.libraries.image_bytes(sha256, library)
    return await (await rag.dependencies.library(library)).image_bytes(sha256)
