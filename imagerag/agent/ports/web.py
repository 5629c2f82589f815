"""The port of libraries that search the web."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeGuard

from imagerag.agent.ports.hits import Filter, Hit
from imagerag.agent.ports.library import ReferenceLibrary
from imagerag.agent.ports.responses import ModelResponse
from imagerag.agent.types import ImageRef, RejectedImage, WebProvenance

MAX_RUN_BYTES: Final = 256 << 20
"""Bytes of images that one run downloads from the web."""


@dataclass(frozen=True, kw_only=True)
class WebImage:
    """An image that was fetched, its bytes in the blob store.

    Attributes:
        licence: an SPDX identifier such as "CC-BY-4.0", "public domain", or "unknown".
    """

    image: ImageRef
    web: WebProvenance
    title: str = ""
    author: str = ""
    licence: str = ""


@dataclass(frozen=True, kw_only=True)
class WebImages(ModelResponse):
    """What one search of a service gave. A search that failed is an answer too: a replay is given the same.

    Attributes:
        rejected: results that were not let in.
        downloaded_bytes: what was read of images, also of those that were not let in.
        error: why the service gave no results; empty when it did.
    """

    images: tuple[WebImage, ...] = ()
    rejected: tuple[RejectedImage, ...] = ()
    downloaded_bytes: int = 0
    error: str = ""


class WebLibrary(ReferenceLibrary, Protocol):
    """A library that asks a search service, for what libraries of the user's own lack.

    A run calls `fetch` and keeps the answer in its journal; `hits_of` needs no network.
    """

    @property
    def identity(self) -> str:
        """The spec, without secrets."""
        ...

    async def fetch(self, words: str, *, max_bytes: int) -> WebImages:
        """Search the service and fetch what it found. Never raises for what comes from the network.

        Args:
            words: what is sent.
            max_bytes: of all images together.
        """
        ...

    async def hits_of(self, web_images: WebImages, text: str, *, k: int, filter: Filter) -> Sequence[Hit]:
        """The fetched images by their similarity to a text, best first.

        Raises:
            BlobError: an image is no longer in the blob store.
        """
        ...


def is_web_library(library: object) -> TypeGuard[WebLibrary]:
    """Whether a library searches the web."""
    return hasattr(library, "fetch") and hasattr(library, "hits_of")


def web_libraries_of(library: ReferenceLibrary | None) -> tuple[WebLibrary, ...]:
    """Those of a library's parts that search the web, in the order in which they are asked."""
    if library is None:
        return ()
    parts: tuple[WebLibrary, ...] = getattr(library, "web", ())
    return (library,) if is_web_library(library) else parts


def own_library_of(library: ReferenceLibrary | None) -> ReferenceLibrary | None:
    """The part of a library that does not search the web; None where there is none."""
    return None if is_web_library(library) else getattr(library, "own", library)
