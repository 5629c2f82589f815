"""The images that a run's or an answer's record names, by SHA-256; those that are gone are left out."""

from contextlib import suppress
from typing import TYPE_CHECKING

from imagerag.agent.errors import BlobError, ImageRAGError

if TYPE_CHECKING:
    from imagerag.agent.ports import ReferenceLibrary
    from imagerag.agent.qa.qa_record import AnswerRecord
    from imagerag.agent.run_record import RunRecord
    from imagerag.graphs.dependencies import Dependencies


async def run_images(dependencies: "Dependencies", record: "RunRecord") -> dict[str, bytes]:
    """The images of a run: attempts, references, masks, candidates."""
    library = await library_of(dependencies, record)
    candidates = [candidate.image for search in record.searches for candidate in search.candidates]
    references = [reference for attempt in record.attempts for reference in attempt.references]
    sent_images = [image for reference in references for image in (reference.image, reference.mask) if image]
    contents: dict[str, bytes] = {}
    for image in [*(attempt.image for attempt in record.attempts), *sent_images, *candidates]:
        if (data := await run_image(dependencies, library, image.sha256)) is not None:
            contents[image.sha256] = data
    return contents


async def library_of(dependencies: "Dependencies", record: "RunRecord") -> "ReferenceLibrary | None":
    """The library that a run searched; None where there is none, or it was removed since, or its encoder is gone."""
    if record.searches and record.setup and record.setup.library:
        with suppress(ImageRAGError):
            return await dependencies.library(record.setup.library)
    return None


async def run_image(dependencies: "Dependencies", library: "ReferenceLibrary | None", sha256: str) -> bytes | None:
    """An image that a run names, of its own or its library's; None where it is gone."""
    with suppress(BlobError):
        return await dependencies.blobs.get(sha256)
    with suppress(BlobError):
        return await image_or_thumbnail(library, sha256) if library is not None else None
    return None


async def answer_images(dependencies: "Dependencies", record: "AnswerRecord") -> dict[str, bytes]:
    """The images of an answer: those that came with the question, and those of the library."""
    images: dict[str, bytes] = {}
    for own in {*record.shown, *(image.sha256 for image in record.images)}:
        with suppress(ImageRAGError):
            images[own] = await dependencies.blobs.get(own)
    if not record.library:
        return images
    try:
        library = await dependencies.library(record.library)
    except ImageRAGError:  # removed since: the sheet shows empty frames
        return images
    for one in record.retrieved:
        with suppress(ImageRAGError):
            try:
                images[one.id] = await dependencies.blobs.get(one.id)  # shown to a model then
            except BlobError:
                images[one.id] = await image_or_thumbnail(library, one.id)
    return images


async def image_or_thumbnail(library: "ReferenceLibrary", sha256: str) -> bytes:
    """A library's image, or where its file is missing the small one that the library keeps.

    Raises:
        BlobError: neither is there.
    """
    try:
        return await library.image_bytes(sha256)
    except BlobError:
        small = getattr(library, "thumbnail", None)
        if small is None:
            raise
        return bytes(await small(sha256))
