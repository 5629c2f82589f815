"""Images in the rows of Parquet and Arrow files: a Hugging Face dataset's, or any with a column of images' bytes.

`datasets` is not needed: its files are Arrow's, and what it knows of their columns is in their metadata. Rows are read
in passing, a few at a time, so that the images are copied into the library.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from itertools import islice
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from imagerag.agent.images.decoding import MAX_BYTES
from imagerag.agent.images.formats import format_of
from imagerag.store.library.metadata.field_names import PATH, guessed_caption, with_caption, written_fields
from imagerag.store.library.metadata.image_metadata import read_metadata
from imagerag.store.library.metadata.sidecars import SidecarMetadata
from imagerag.store.library.sources.base64_images import beside_image
from imagerag.store.library.sources.forward_reader import ForwardReader
from imagerag.store.library.sources.members import Member, Problem
from imagerag.store.library.sources.source_suffixes import PARQUET
from imagerag.store.text_files import clean

if TYPE_CHECKING:
    import pyarrow as pa

IMAGES: Final = ("image", "img", "jpg", "jpeg", "png", "webp", "picture", "photo", "image_bytes", "img_bytes", "bytes",
                 "content", "data")  # fmt: skip
"""What columns of images are called, the likeliest first."""

_ROWS: Final = 16
"""Rows that are read at once: each may have an image of some megabytes."""


@dataclass(frozen=True)
class ColumnarFile:
    """A Parquet or Arrow file."""

    path: Path

    @cached_property
    def schema(self) -> "pa.Schema":
        """Its columns.

        Raises:
            ValueError: it is no such file.
        """
        with self._open() as (schema, _, _):
            return schema

    @property
    def rows(self) -> int:
        """Number of rows."""
        with self._open() as (_, rows, batches):
            return rows if rows is not None else sum(batch.num_rows for _, batch in batches(0, None))

    def records(self, start: int = 0, columns: Sequence[str] | None = None) -> Iterator[tuple[int, dict[str, Any]]]:
        """Rows from a number on, with their numbers.

        Raises:
            ValueError: the file is damaged.
        """
        with self._open() as (_, _, batches):
            for first, batch in batches(start, columns):
                for offset in range(max(0, start - first), batch.num_rows, _ROWS):
                    yield from enumerate(batch.slice(offset, _ROWS).to_pylist(), first + offset)

    @contextmanager
    def _open(self) -> "Iterator[tuple[pa.Schema, int | None, Any]]":
        import pyarrow as pa

        try:
            opening = self._parquet() if self.path.suffix.lower() in PARQUET else self._arrow()
            with opening as opened:
                yield opened
        except (pa.ArrowException, OSError, EOFError) as error:
            if isinstance(error, OSError) and error.errno:
                raise
            kind = "Parquet" if self.path.suffix.lower() in PARQUET else "Arrow"
            raise ValueError(f"it is no {kind} file, or a damaged one: {str(error).splitlines()[0][:200]}") from None

    @contextmanager
    def _parquet(self) -> "Iterator[tuple[pa.Schema, int, Any]]":
        import pyarrow.parquet as pq

        with pq.ParquetFile(self.path) as file:

            def batches(start: int, columns: Sequence[str] | None) -> "Iterator[tuple[int, pa.RecordBatch]]":
                first, groups = 0, list(range(file.num_row_groups))
                while groups and first + file.metadata.row_group(groups[0]).num_rows <= start:
                    first += file.metadata.row_group(groups.pop(0)).num_rows
                for batch in file.iter_batches(_ROWS, row_groups=groups, columns=columns):
                    yield first, batch
                    first += batch.num_rows

            yield file.schema_arrow, file.metadata.num_rows, batches

    @contextmanager
    def _arrow(self) -> "Iterator[tuple[pa.Schema, int | None, Any]]":
        import pyarrow as pa

        # Mapped, a batch costs memory only where it is looked at.
        with pa.memory_map(str(self.path)) as mapped:
            whole = mapped.read(6) == b"ARROW1"
            mapped.seek(0)
            reader = pa.ipc.open_file(mapped) if whole else pa.ipc.open_stream(mapped)
            in_turn = (reader.get_batch(at) for at in range(reader.num_record_batches)) if whole else iter(reader)

            def batches(start: int, columns: Sequence[str] | None) -> "Iterator[tuple[int, pa.RecordBatch]]":
                first = 0
                for batch in in_turn:
                    if first + batch.num_rows > start:
                        yield first, batch.select(columns) if columns is not None else batch
                    first += batch.num_rows

            yield reader.schema, None, batches


@dataclass(frozen=True)
class ImageColumn:
    """A column of images.

    Attributes:
        nested: whether its values have `bytes` and `path`, as Hugging Face's have.
    """

    name: str
    nested: bool


class ImageTable:
    """A Parquet or Arrow file with a column of images as a source of images; a member is a row, by its number."""

    linked = False
    whole = True

    def __init__(self, file: ColumnarFile, column: ImageColumn) -> None:
        self.path, self.status = file.path, file.path.stat()
        self.problems: list[Problem] = []
        self._file, self._column = file, column
        self._names = class_names(file.schema)
        self._reader = ForwardReader(self._read)

    @cached_property
    def members(self) -> list[Member]:
        """One for each row."""
        stem = clean(self.path.stem)
        return [Member(self, str(row), f"{stem} {row}", 0, row) for row in range(self._file.rows)]

    @cached_property
    def columns(self) -> Mapping[str, str]:
        """The use of each column, judged by the first rows."""
        columns: dict[str, str] = {self._column.name: "image"}
        for number, record in self._file.records():
            metadata = self._others(record)
            fields = written_fields(metadata) | guessed_caption(metadata)
            for name in metadata:
                if metadata[name] not in (None, "", []) and columns.get(name, "metadata") == "metadata":
                    columns[name] = fields.get(name, "metadata")
            if number == _ROWS - 1:
                break
        return columns

    def read(self, member: Member) -> bytes:
        """The bytes of a row's image. Raises as `Source.read`."""
        data = _bytes_of(self._reader.get(member.position), self._column)
        if data is None:
            raise ValueError("the row has no image in it")
        return data

    def sidecar_metadata(self, member: Member) -> SidecarMetadata:
        """The metadata in the other columns of a row."""
        record = self._reader.get(member.position)
        value = record.get(self._column.name)
        name = (value or {}).get("path") if self._column.nested else None
        beside = beside_image({**self._others(record), self._column.name: {PATH: name}}, self._column.name)
        return SidecarMetadata.of_row(read_metadata(with_caption(beside)))

    def _read(self, start: int) -> Iterator[tuple[int, int, dict[str, Any]]]:
        for number, record in self._file.records(start):
            yield number, len(_bytes_of(record, self._column) or b"") + 1024, record

    def _others(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """The values of a row besides the image."""
        return plain_record({name: one for name, one in record.items() if name != self._column.name}, self._names)


def open_table(path: Path) -> ImageTable | None:
    """A table as a source; None where it has no column of images.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no such file.
    """
    file = ColumnarFile(path)
    columns = [one for one in image_columns(file.schema) if _looks_like_images(file, one)]
    return ImageTable(file, columns[0]) if len(columns) == 1 else None


def why_no_images(path: Path) -> str:
    """Reason why a table is no source of images, with the remedy."""
    file = ColumnarFile(path)
    names = [clean(one.name) for one in image_columns(file.schema) if _looks_like_images(file, one)]
    if not names:
        return "it has no column of images; where it names files, give it as `manifest`"
    return f"it has images in several columns ({', '.join(names)[:300]}): rename the one to index to 'image'"


def _looks_like_images(file: ColumnarFile, column: ImageColumn) -> bool:
    """Whether one of the first values of a column begins as an image does: bytes can be anything."""
    records = (record for _, record in file.records(columns=[column.name]))
    values = (_bytes_of(record, column) for record in islice(records, _ROWS))
    return any(value and format_of(value) for value in values)


def image_columns(schema: "pa.Schema") -> list[ImageColumn]:
    """The column that holds images: Hugging Face's kind, or one called so; else all those of bytes."""
    import pyarrow.types as kinds

    def is_bytes(kind: Any) -> bool:
        return bool(kinds.is_binary(kind) or kinds.is_large_binary(kind) or kinds.is_binary_view(kind))

    features = _features(schema)
    columns: list[ImageColumn] = []
    for one in schema:
        nested = kinds.is_struct(one.type) and one.type.get_field_index("bytes") >= 0
        if (nested and is_bytes(one.type.field("bytes").type)) or is_bytes(one.type):
            kind = (features.get(one.name) or {}).get("_type", "Image")
            columns += [ImageColumn(one.name, bool(nested))] if kind in ("Image", "Value") else []
    rank = {name: at for at, name in enumerate(IMAGES)}
    by_name = sorted((one for one in columns if one.name.lower() in rank), key=lambda one: rank[one.name.lower()])
    hugging = [one for one in columns if (features.get(one.name) or {}).get("_type") == "Image"]
    candidates = hugging or [one for one in columns if one.nested] or by_name
    return candidates[:1] or columns


def is_of_hugging_face(schema: "pa.Schema") -> bool:
    """Whether a table was written by `datasets`, or has images in its form: as `bytes` or a `path`."""
    import pyarrow.types as kinds

    structs = (one.type for one in schema if kinds.is_struct(one.type))
    return bool(_features(schema)) or any({field.name for field in one} == {"bytes", "path"} for one in structs)


def class_names(schema: "pa.Schema") -> dict[str, list[str]]:
    """The names of Hugging Face's classes, of columns that hold their numbers."""
    return {
        name: one["names"]
        for name, one in _features(schema).items()
        if isinstance(one, dict) and one.get("_type") == "ClassLabel" and isinstance(one.get("names"), list)
    }


def plain_record(record: Mapping[str, Any], names: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """The values of a row as JSON has them, without bytes; classes by their names."""

    def value(name: str, one: Any) -> Any:
        classes = names.get(name)
        return classes[one] if classes and isinstance(one, int) and 0 <= one < len(classes) else _plain_value(one)

    return {name: value(name, one) for name, one in record.items() if not isinstance(one, bytes)}


def path_in(value: Any) -> str | None:
    """The path of an image that a Hugging Face dataset names and does not hold, `{"bytes": null, "path": …}`, perhaps
    ""; None of other values."""
    is_image = isinstance(value, dict) and value.keys() == {"bytes", "path"} and value["bytes"] is None
    return value["path"] or "" if is_image and isinstance(value["path"], str | None) else None


def _plain_value(value: Any) -> Any:
    """A value of Arrow's as JSON has it; times as text, NaN as none, and no bytes within: another image is no
    metadata."""
    if isinstance(value, datetime | date):
        return value.isoformat(sep=" ") if isinstance(value, datetime) else value.isoformat()
    if isinstance(value, list):
        return [_plain_value(one) for one in value if not isinstance(one, bytes)]
    if isinstance(value, dict):
        if (path := path_in(value)) is not None:
            return path
        return {name: _plain_value(one) for name, one in value.items() if not isinstance(one, bytes)}
    if isinstance(value, float) and isnan(value):
        return None
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _features(schema: "pa.Schema") -> dict[str, Any]:
    with suppress(ValueError, KeyError, TypeError):
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return features if isinstance(features, dict) else {}
    return {}


def _bytes_of(record: Mapping[str, Any], column: ImageColumn) -> bytes | None:
    value = record.get(column.name)
    data = (value or {}).get("bytes") if column.nested else value
    return data if isinstance(data, bytes) and 0 < len(data) <= MAX_BYTES else None
