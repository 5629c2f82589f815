"""Warnings about a library before it is used. Searches read this too, and load nothing else for it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from imagerag.agent.retrieval.search_queries import split_name
from imagerag.agent.types import BUILT_IN_LIBRARY
from imagerag.formatting.check_labels import WARNINGS
from imagerag.formatting.interface_terms import python_call
from imagerag.formatting.numbers import percent
from imagerag.tools.embedders.default_encoder import DEFAULT_ENCODER

if TYPE_CHECKING:
    from imagerag.store.library.library_metadata import LibraryMetadata

SKETCH: Final = "sketch"
ACCEPTED: Final = 0.5
"""Share of a library's own captions that must reach its threshold: below, a run finds next to nothing."""


def library_warnings(name: str, library_metadata: "LibraryMetadata", *, real: bool = False) -> list[str]:
    """Warnings about a library.

    Args:
        real: it is to serve something that is not of the sketch world.
    """
    threshold, toy = library_metadata.threshold, library_metadata.spec == SKETCH and name != BUILT_IN_LIBRARY
    anew = python_call("libraries.migrate", split_name(name)[0], embedder=DEFAULT_ENCODER)
    if threshold and threshold.accept_rate is not None and threshold.accept_rate < ACCEPTED:
        key, call = ("toy_finds_little", anew) if toy else ("finds_little", python_call("libraries.check", name))
        return [WARNINGS[key].format(share=percent(threshold.accept_rate), name=name, call=call)]
    if toy and real:
        return [WARNINGS["toy"].format(name=name, call=anew)]
    return []


def warnings_of(library: object, *, real: bool = False) -> list[str]:
    """The same of an opened library, or of each of several that are searched together."""
    parts: list[str] = []
    several: Sequence[Any] = getattr(library, "libraries", (library,))
    for one in several:
        library_metadata = getattr(one, "metadata", None)
        parts += library_warnings(one.name, library_metadata, real=real) if library_metadata is not None else []
    return parts
