"""What a library's pictures can be told apart by: tags, licences, metadata. Its encoder is not needed."""

from collections import Counter
from dataclasses import dataclass
from typing import Final

from imagerag.store.data_dir import DataDir
from imagerag.store.library.database import LANCE_ERRORS, damaged, open_table
from imagerag.store.library.metadata import Threshold, library_metadata_of
from imagerag.store.library.schema import as_text, metadata_of

VALUES: Final = 1_000
"""Distinct values counted of one metadata key: a key with more is a name and no category."""


@dataclass(frozen=True, kw_only=True)
class Facets:
    """What a library holds.

    Attributes:
        images: how many, and captioned: how many of them with a caption.
        tags: tag → pictures with it, most frequent first; licences likewise, "" is unknown.
        metadata: key → value → pictures with it, most frequent first.
        threshold: None until the library has been calibrated.
    """

    images: int
    captioned: int
    tags: dict[str, int]
    licences: dict[str, int]
    metadata: dict[str, dict[str, int]]
    threshold: Threshold | None


def facets(home: DataDir, name: str) -> Facets:
    """What a library holds.

    Raises:
        UnknownLibraryError: there is none of that name.
        LibraryDamagedError: its files cannot be read.
    """
    table = open_table(home, name)
    try:
        found = table.search().select(["caption", "tags", "licence", "metadata"]).to_arrow().to_pylist()
    except LANCE_ERRORS as error:
        raise damaged(name, error) from error
    keys: dict[str, Counter[str]] = {}
    for record in found:
        for key, value in metadata_of(record).items():
            counter = keys.setdefault(key, Counter())
            if len(counter) < VALUES:
                counter[as_text(value)] += 1
    return Facets(
        images=len(found),
        captioned=sum(bool(record["caption"]) for record in found),
        tags=by_frequency(Counter(tag for record in found for tag in record["tags"] or ())),
        licences=by_frequency(Counter(record["licence"] or "" for record in found)),
        metadata={key: by_frequency(keys[key]) for key in sorted(keys)},
        threshold=library_metadata_of(table, name).threshold,
    )


def by_frequency(counter: Counter[str]) -> dict[str, int]:
    """Values with their counts, most frequent first."""
    return dict(sorted(counter.items(), key=lambda one: (-one[1], one[0])))
