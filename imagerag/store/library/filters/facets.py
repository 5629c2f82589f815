"""What a library's images can be told apart by: tags, licences, metadata. Its encoder is not needed."""

from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

from imagerag.store.data_dir import DataDir
from imagerag.store.library.database import LANCE_ERRORS, damaged, open_table
from imagerag.store.library.library_metadata import Threshold, library_metadata_of
from imagerag.store.library.schema import as_text, metadata_of
from imagerag.store.library.thresholds.content import parts

VALUES: Final = 1_000
"""Distinct values counted of one metadata key: a key with more is a name and no category."""


@dataclass(frozen=True, kw_only=True)
class Facets:
    """What a library holds.

    Attributes:
        images: how many, and captioned: how many of them with a caption.
        tags: tag → images with it, most frequent first; licences likewise, "" is unknown.
        metadata: key → value → images with it, most frequent first.
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
    counted = _Counted()
    try:
        for columns in parts(table, ["caption", "tags", "licence", "metadata"]):
            counted.add(columns)
    except LANCE_ERRORS as error:
        raise damaged(name, error) from error
    keys = counted.keys
    return Facets(
        images=counted.images,
        captioned=counted.captioned,
        tags=by_frequency(counted.tags),
        licences=by_frequency(counted.licences),
        metadata={key: by_frequency(keys[key]) for key in sorted(keys)},
        threshold=library_metadata_of(table, name).threshold,
    )


class _Counted:
    """What is counted, some thousands of rows at a time: of tags and licences Arrow counts the values, and a metadata
    text that many images have is read once for all of them."""

    def __init__(self) -> None:
        self.images = self.captioned = 0
        self.tags: Counter[str] = Counter()
        self.licences: Counter[str] = Counter()
        self.keys: dict[str, Counter[str]] = {}

    def add(self, columns: Any) -> None:
        """Take in some rows."""
        import pyarrow.compute as pc

        self.images += columns.num_rows
        self.captioned += pc.sum(pc.greater(pc.binary_length(columns["caption"]), 0)).as_py() or 0
        self.tags.update(_counts(pc.list_flatten(columns["tags"])))
        self.licences.update(_counts(pc.fill_null(columns["licence"], "")))
        for text, count in _counts(columns["metadata"]).items():
            for key, value in metadata_of({"metadata": text}).items():
                counter, told = self.keys.setdefault(key, Counter()), as_text(value)
                if told in counter or len(counter) < VALUES:
                    counter[told] += count


def _counts(values: Any) -> dict[str, int]:
    import pyarrow.compute as pc

    return {one["values"]: one["counts"] for one in pc.value_counts(values).to_pylist()}


def by_frequency(counter: Counter[str]) -> dict[str, int]:
    """Values with their counts, most frequent first."""
    return dict(sorted(counter.items(), key=lambda one: (-one[1], one[0])))
