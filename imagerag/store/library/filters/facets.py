"""Facets of a library: tags, licences and metadata values with their counts. The encoder is not needed."""

from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

from imagerag.agent.types.filters.literals import Kind
from imagerag.store.data_dir import DataDir
from imagerag.store.library.database import LANCE_ERRORS, damaged, open_table
from imagerag.store.library.description_columns import count_described
from imagerag.store.library.library_metadata import WITHOUT_OPTIONAL_COLUMNS, Threshold, library_metadata_of
from imagerag.store.library.metadata_columns import MAX_COLUMNS, Columns, columns_of
from imagerag.store.library.schema import as_text, metadata_of
from imagerag.store.library.thresholds.content import parts

VALUES: Final = 1_000
"""Distinct values counted of one metadata key: a key with more is a name and no category."""

_UNTYPED: Final = r"null|NaN|Infinity|\.0[,}]"
"""What in the metadata of an image has to be read as it is written."""


@dataclass(frozen=True, kw_only=True)
class Facets:
    """Values of a library's metadata.

    Attributes:
        images: number of images; `captioned`: number of those with a caption; `described`: of those that a
            model described.
        tags: tag → images with it, most frequent first; licences likewise, "" is unknown.
        metadata: key → value → images with it, most frequent first.
        threshold: None until the library has been calibrated.
    """

    images: int
    captioned: int
    described: int
    tags: dict[str, int]
    licences: dict[str, int]
    metadata: dict[str, dict[str, int]]
    threshold: Threshold | None


def facets(home: DataDir, name: str) -> Facets:
    """Values of a library's metadata.

    Raises:
        UnknownLibraryError: there is none of that name.
        LibraryDamagedError: its files cannot be read.
    """
    table = open_table(home, name)
    counted = _ValueCounts(typed_keys(table, name))
    typed = [column for kinds in counted.typed.values() for column in kinds.values()]
    try:
        for columns in parts(table, ["caption", "tags", "licence", "metadata", *typed]):
            counted.add(columns)
    except LANCE_ERRORS as error:
        raise damaged(name, error) from error
    keys = counted.keys
    return Facets(
        images=counted.images,
        captioned=counted.captioned,
        described=count_described(table),
        tags=by_frequency(counted.tags),
        licences=by_frequency(counted.licences),
        metadata={key: by_frequency(keys[key]) for key in sorted(keys)},
        threshold=library_metadata_of(table, name).threshold,
    )


def typed_keys(table: Any, name: str) -> Columns:
    """The columns of metadata keys, if every key has one; with the maximum number of columns some keys may have
    none."""
    columns = columns_of(table.schema)
    is_earlier = library_metadata_of(table, name).version < WITHOUT_OPTIONAL_COLUMNS
    return {} if is_earlier or sum(map(len, columns.values())) >= MAX_COLUMNS else columns


class _ValueCounts:
    """Counts of tags, licences and values of typed columns, by Arrow, some thousands of rows at a time.

    Values that columns cannot distinguish are read from the JSON metadata: `null`, and 3.0 from 3.
    """

    def __init__(self, typed: Columns) -> None:
        self.typed = typed
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
        text = pc.fill_null(columns["metadata"], "")
        by_text = pc.match_substring_regex(text, _UNTYPED if self.typed else "")
        for text_value, count in _counts(text.filter(by_text)).items():
            for key, value in metadata_of({"metadata": text_value}).items():
                self._count(key, as_text(value), count)
        self._add_typed(columns.filter(pc.invert(by_text)))

    def _add_typed(self, columns: Any) -> None:
        for key, kinds in self.typed.items():
            for kind, name in kinds.items():
                values = columns[name]
                if kind is not Kind.TEXT and Kind.TEXT in kinds:  # for text that reads as a number, count the text
                    values = values.filter(columns[kinds[Kind.TEXT]].is_null())
                for value, count in _counts(values.drop_null()).items():
                    self._count(key, text_of(value), count)

    def _count(self, key: str, value: str, count: int) -> None:
        counter = self.keys.setdefault(key, Counter())
        if value in counter or len(counter) < VALUES:
            counter[value] += count


def text_of(value: Any) -> str:
    """A value of a typed column in its JSON spelling."""
    return as_text(int(value)) if isinstance(value, float) and value.is_integer() else as_text(value)


def _counts(values: Any) -> dict[Any, int]:
    import pyarrow.compute as pc

    counts = pc.value_counts(values)
    return dict(zip(counts.field("values").to_pylist(), counts.field("counts").to_pylist(), strict=True))


def by_frequency(counter: Counter[str]) -> dict[str, int]:
    """Values with their counts, most frequent first."""
    return dict(sorted(counter.items(), key=lambda one: (-one[1], one[0])))
