"""The columns of a library's table: add missing columns, upgrade a table of an earlier version."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from imagerag.agent.types import Scalar
from imagerag.store.library import schema as form
from imagerag.store.library.caption_metadata import CAPTION_VECTOR
from imagerag.store.library.database import LANCE_ERRORS
from imagerag.store.library.description_columns import description_fields
from imagerag.store.library.library_metadata import (
    SCHEMA_VERSION,
    WITHOUT_MONTHS,
    WITHOUT_OPTIONAL_COLUMNS,
    library_metadata_of,
    write_library_metadata,
)
from imagerag.store.library.metadata_columns import columns_of, missing_fields, values_of
from imagerag.store.library.region_columns import region_fields

BACKFILL: Final = 20_000
"""Rows that are read and written at a time when a library of an earlier version gets its columns."""

MERGED: Final = 128 * 2**20
"""Bytes that are merged in one commit: LanceDB gives a merge 300 MB of memory, and fails where it needs more."""

FEW: Final = 1 / 5_000
"""Of the rows of a table, so many are updated each by itself: that takes 12 ms, and leaves indexes as they are but for
one row of the columns that change. A merge writes whole columns, 0.4 s for 100,000 rows, and takes them out of their
indexes: to index that many captions again takes 1.5 s."""

_LISTS: Final = ("tags", "files")
"""Columns of lists that an update can write."""

ID_INDEX: Final = "id_idx"

_MONTH: Final = r'"\d{4}-\d{2}"'
"""In the metadata of an image that may have one, as JSON."""


@dataclass(frozen=True)
class TableColumns:
    """The columns of one library.

    Attributes:
        lance: the LanceDB table.
        name: name of the library.
    """

    lance: Any
    name: str

    def are_missing(self, metadata: Sequence[Mapping[str, Scalar]], **optional: bool) -> bool:
        """Whether rows with this metadata need columns that the table lacks, or the table is of an earlier version.

        Args:
            optional: which optional columns the rows have, as for `optional_fields`.
        """
        return self._is_earlier() or bool(self._missing_fields(optional) or missing_fields(metadata, self.lance.schema))

    def add(self, metadata: Sequence[Mapping[str, Scalar]], **optional: bool) -> None:
        """Add those columns, and upgrade a table of an earlier version. Requires that no other process writes."""
        if missing := self._missing_fields(optional):
            self.lance.add_columns(missing)
        if self._is_earlier():
            self._upgrade()
        if missing := missing_fields(metadata, self.lance.schema):
            self.lance.add_columns(missing)

    def _is_earlier(self) -> bool:
        return library_metadata_of(self.lance, self.name).version < SCHEMA_VERSION

    def _missing_fields(self, optional: Mapping[str, bool]) -> list[Any]:
        whole = self.lance.schema
        fields = [*form.schema(1), *optional_fields(whole.field(form.VECTOR).type.list_size, **optional)]
        return [field for field in fields if field.name not in set(whole.names)]

    def _upgrade(self) -> None:
        """Upgrade a table of an earlier version.

        If it is stopped, the next call finishes it: the version is written last.
        """
        version = library_metadata_of(self.lance, self.name).version
        if version < WITHOUT_OPTIONAL_COLUMNS:
            self._fill_key_columns(version)
        metadata = library_metadata_of(self.lance, self.name).model_copy(update={"version": SCHEMA_VERSION})
        write_library_metadata(self.lance, metadata)

    def _fill_key_columns(self, version: int) -> None:
        """Fill the columns of metadata keys, which a table of this version lacks."""
        every = (metadata for part in self._metadata(version) for metadata in part.values())
        if missing := missing_fields(every, self.lance.schema):
            self.lance.add_columns(missing)
        for part in self._metadata(version):
            merge_rows(self.lance, self._key_values(part))

    def _metadata(self, version: int) -> Iterator[Mapping[str, Mapping[str, Scalar]]]:
        """Id → metadata of the images whose metadata may need columns that a table of this version lacks, in parts."""
        import pyarrow.compute as pc

        for rows in self.lance.search().select(["id", "metadata"]).to_batches(BACKFILL):
            if version == WITHOUT_MONTHS:
                rows = rows.filter(pc.match_substring_regex(rows["metadata"], _MONTH))
            if part := {one["id"]: values for one in rows.to_pylist() if (values := form.metadata_of(one))}:
                yield part

    def _key_values(self, metadata: Mapping[str, Mapping[str, Scalar]]) -> Any:
        import pyarrow as pa

        whole = self.lance.schema
        keys = columns_of(whole)
        fields = [whole.field("id"), *(whole.field(name) for kinds in keys.values() for name in kinds.values())]
        records = [{"id": sha256, **values_of(entry, keys)} for sha256, entry in metadata.items()]
        return pa.Table.from_pylist(records, schema=pa.schema(fields))


def merge_rows(lance: Any, rows: Any, *, insert: bool = False) -> None:
    """Write the columns of `rows` into the rows with the same ids; `insert` adds missing rows.

    More than `MERGED` take several commits. LanceDB takes a vector that is missing for a bad one, and captions may have
    none.
    """
    if not insert and rows.num_rows <= FEW * lance.count_rows() and _are_values(rows):
        for record in rows.to_pylist():
            where = form.id_filter("id", [record.pop("id")])
            lance.update(where=where, values_sql={name: _sql(value) for name, value in record.items()})
        return
    at_once = max(1, rows.num_rows * MERGED // max(rows.nbytes, MERGED))
    for start in range(0, rows.num_rows, at_once):
        index_ids(lance)
        merge = lance.merge_insert("id").when_matched_update_all()
        merge = merge.when_not_matched_insert_all() if insert else merge
        part = rows.slice(start, at_once)
        merge.execute(part, on_bad_vectors="null" if CAPTION_VECTOR in rows.column_names else "error")


def _are_values(rows: Any) -> bool:
    """Whether all columns can be written by an update, which no vectors can."""
    import pyarrow as pa

    nested = (field.name for field in rows.schema if pa.types.is_nested(field.type))
    return all(name in _LISTS or rows[name].null_count == rows.num_rows for name in nested)


def _sql(value: Any) -> str:
    """A value in SQL; LanceDB's own function makes a literal of a list, which may neither be empty nor hold structs."""
    from lancedb.util import value_to_sql

    return f"make_array({', '.join(map(value_to_sql, value))})" if isinstance(value, list) else str(value_to_sql(value))


def index_ids(lance: Any) -> None:
    """Index the ids again where most of them are in no index: a merge writes that column anew, too.

    Without the index, a merge reads every column of every row, 7 GB of a million, and writes whole rows, which takes
    them out of all other indexes.
    """
    from lancedb.index import BTree

    statistics = lance.index_stats(ID_INDEX)
    if statistics is not None and statistics.num_unindexed_rows > statistics.num_indexed_rows:
        with suppress(*LANCE_ERRORS):  # another process writes, or indexes them
            lance.create_index("id", config=BTree(), replace=True)


def optional_fields(dimension: int, *, ocr: bool = False, described: bool = False, regions: bool = False) -> list[Any]:
    """The fields of columns that only libraries have which were read by OCR, or described, or have regions.

    Args:
        dimension: length of a vector.
    """
    by_part = ((ocr, form.ocr_fields), (described, description_fields), (regions, partial(region_fields, dimension)))
    return [field for has, fields in by_part if has for field in fields()]
