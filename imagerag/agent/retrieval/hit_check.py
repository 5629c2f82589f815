"""Check of what a library returned, before it is compared or stored: one of somebody's own may return anything."""

import re
from collections.abc import Awaitable, Sequence
from math import isfinite
from numbers import Real
from typing import Any, Final

from imagerag.agent.calls.backend_errors import named_errors
from imagerag.agent.errors import LibraryError
from imagerag.agent.ports import Hit, ReferenceLibrary
from imagerag.agent.types import MAX_COSINE

_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_COSINES: Final = ("similarity", "threshold", "caption_similarity", "caption_threshold")


async def checked_hits(library: ReferenceLibrary, search: Awaitable[Sequence[Hit]]) -> Sequence[Hit]:
    """The hits of a search.

    Raises:
        LibraryError: one cannot be used; the message names the library, the field and its value.
    """
    hits: Sequence[Hit] = await _found(library, search)
    check_hits(library, hits)
    return hits


async def checked_lists(
    library: ReferenceLibrary, search: Awaitable[Sequence[Sequence[Hit]]]
) -> Sequence[Sequence[Hit]]:
    """The hits of several searches that are one call.

    Raises:
        LibraryError: as `checked_hits`.
    """
    lists = await _found(library, search)
    if not isinstance(lists, Sequence):
        raise _unusable(library, f"{type(lists).__name__}, and not a list for each text")
    for hits in lists:
        check_hits(library, hits)
    return lists


def check_hits(library: ReferenceLibrary, hits: object) -> None:
    """See that hits can be compared and stored.

    Raises:
        LibraryError: one cannot be.
    """
    if not isinstance(hits, Sequence):
        raise _unusable(library, f"{type(hits).__name__}, and not a list of hits")
    sizes: dict[str, int] = {}
    for hit in hits:
        if not isinstance(hit, Hit):
            raise _unusable(library, f"{type(hit).__name__}, and not a Hit")
        if problem := _problem(hit):
            raise _unusable(library, f"a hit that cannot be used: {problem}")
        size = sizes.setdefault(hit.library, len(hit.vector))
        if len(hit.vector) != size:
            raise _unusable(library, f"hits with vectors of {size} and {len(hit.vector)} numbers")


def checked_threshold(library: ReferenceLibrary) -> float:
    """The library's calibrated cosine.

    Raises:
        LibraryError: it is none.
    """
    threshold: Any = library.threshold
    if not _is_cosine(threshold):
        problem = f"has a threshold that is no cosine from -1 to 1: {threshold!r:.80}"
        raise LibraryError(f"{_named(library)} {problem}")
    return float(threshold)


async def _found(library: ReferenceLibrary, search: Awaitable[Any]) -> Any:
    with named_errors(_named(library), LibraryError):  # of a value that it made itself: an `ImageRef` with its own id
        return await search


def _problem(hit: Hit) -> str:
    import numpy as np

    for name in _COSINES:
        value = getattr(hit, name)
        if (value is not None or name == "similarity") and not _is_cosine(value):
            return f"{name}: it has to be a cosine from -1 to 1, not {value!r:.80}"
    sha256 = getattr(hit.image, "sha256", None)
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        return f"image: it has to be an ImageRef with the SHA-256 of the bytes, not {sha256 or hit.image!r:.80}"
    vector: Any = hit.vector
    if not isinstance(vector, np.ndarray) or vector.ndim != 1 or vector.dtype.kind not in "fiu":
        shape = getattr(vector, "shape", None)
        return f"vector: it has to be an array of numbers [dimension], not {type(vector).__name__}{shape or ''}"
    return "" if np.isfinite(vector).all() else "vector: it has numbers that are not finite"


def _is_cosine(value: object) -> bool:
    number = isinstance(value, Real) and not isinstance(value, bool)
    return number and isfinite(value) and abs(value) <= MAX_COSINE  # type: ignore[arg-type]


def _unusable(library: ReferenceLibrary, what: str) -> LibraryError:
    return LibraryError(f"{_named(library)} returned {what}")


def _named(library: ReferenceLibrary) -> str:
    return f"library {library.name!r} ({type(library).__name__})"
