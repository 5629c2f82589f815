"""A library image as the one that is edited."""

import re

from imagerag.agent.errors import BlobError, UsageError
from imagerag.agent.ports import BlobStore, Filter, ReferenceLibrary
from imagerag.agent.retrieval.candidate_selection import edited_from
from imagerag.agent.retrieval.search_queries import search_words
from imagerag.agent.types import Subject
from imagerag.formatting.interface_terms import QUERY, python_call

_ID = re.compile(r"[0-9a-f]{64}")


async def edited_of_library(name: str, library: ReferenceLibrary | None, blobs: BlobStore) -> Subject:
    """An image of a library, kept among the run's own, to be edited.

    Args:
        name: its SHA-256, as a search says it.

    Raises:
        UsageError: no library, or no such image in it.
    """
    if library is None:
        raise UsageError("an image of a library is to be edited, and there is none: name it with `library=NAME`")
    sha = sha256_of(name)
    try:
        data = await library.image_bytes(sha)
    except BlobError as error:
        message = f"no image {sha[:12]} in library {library.name} can be read: {error}"
        ids = python_call("libraries.search", QUERY, library=library.name, field="image.sha256")
        raise UsageError(f"{message}; {ids} names one that is there") from error
    hits = await search_words(library, "the picture to edit", k=1, filter=Filter(only=frozenset({sha})))
    image = await blobs.put(data)
    return edited_from(hits[0], image) if hits else Subject(image=image, intent="edit")


def sha256_of(name: str) -> str:
    """The SHA-256 that an id of an image holds.

    Raises:
        UsageError: it is none.
    """
    sha = str(name).strip().lower().removeprefix("image://")
    if not _ID.fullmatch(sha):
        ids = python_call("libraries.search", QUERY, field="image.sha256")
        raise UsageError(f"{str(name)[:80]!r} is no id of an image, which has 64 digits: {ids}")
    return sha
