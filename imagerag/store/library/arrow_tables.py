"""Arrow tables of the rows to write in a library."""

import json
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

from imagerag.agent.types import Scalar
from imagerag.store.library.description_columns import WORDS, description_values
from imagerag.store.library.metadata_columns import KEY, columns_of, values_of
from imagerag.store.library.schema import (
    IMAGE_COLUMN,
    OCR_COLUMNS,
    TEXT_COLUMNS,
    TEXTS,
    VALUES,
    WRITTEN_LATER,
    FileEntry,
    ImageRecord,
    NewImage,
    as_text,
    label,
)

_DERIVED = {"labels": ("tags", "metadata"), WORDS: ("description", "description_confidence", "description_details")}
"""Columns that are made of several fields of `ImageRecord`."""


def to_table(images: Sequence[NewImage], table_schema: Any) -> Any:
    """Arrow table of complete rows for a table with this schema. Ids must be unique."""
    records = [
        {
            "id": image.row.id,
            "vector": image.vector,
            "thumbnail": image.thumbnail,
            "media_type": image.row.image.media_type,
            "width": image.row.image.width,
            "height": image.row.image.height,
            "created": image.row.created,
            "files": [vars(file) for file in image.row.files],
            "size_bytes": image.row.size_bytes or None,
        }
        for image in images
    ]
    elsewhere = (IMAGE_COLUMN, *TEXT_COLUMNS, *WRITTEN_LATER)
    fields = [field for field in table_schema if field.name not in elsewhere and not _is_key(field)]
    return _with_texts(records, [image.row for image in images], fields, table_schema)


def to_text_table(rows: Sequence[ImageRecord], table_schema: Any, written_fields: Set[str] | None = None) -> Any:
    """Arrow table of ids and the columns that do not affect the vector. Ids must be unique.

    Args:
        written_fields: the fields of `ImageRecord` whose columns it has; None is all.
    """
    fields = [table_schema.field(name) for name in ("id", "created") if name == "id" or written_fields is None]
    records = [{"id": row.id, "created": row.created} for row in rows]
    return _with_texts(records, rows, fields, table_schema, written_fields)


def to_files_table(files: Mapping[str, Sequence[FileEntry]], table_schema: Any) -> Any:
    """Arrow table of ids and the files of each image."""
    import pyarrow as pa

    records = [{"id": sha256, "files": [vars(file) for file in entries]} for sha256, entries in files.items()]
    return pa.Table.from_pylist(records, schema=pa.schema([table_schema.field("id"), table_schema.field("files")]))


def to_ocr_table(readings: Mapping[str, tuple[str, float]], table_schema: Any) -> Any:
    """Arrow table of ids, the words in each image, and their confidence."""
    import pyarrow as pa

    names = ("id", *OCR_COLUMNS)
    records = [dict(zip(names, (sha256, *reading), strict=True)) for sha256, reading in readings.items()]
    return pa.Table.from_pylist(records, schema=pa.schema([table_schema.field(name) for name in names]))


def _with_texts(
    records: list[dict[str, Any]],
    rows: Sequence[ImageRecord],
    fields: list[Any],
    whole: Any,
    written_fields: Set[str] | None = None,
) -> Any:
    import pyarrow as pa

    keys = columns_of(whole)
    for record, row in zip(records, rows, strict=True):
        record.update(_texts(row), **values_of(row.metadata, keys))
    texts = [field for field in whole if field.name in TEXT_COLUMNS or _is_key(field)]
    if written_fields is not None:
        texts = [field for field in texts if not written_fields.isdisjoint(_sources(field))]
    fields = [*fields, *texts]
    return pa.Table.from_pylist(records, schema=pa.schema(fields))


def _sources(field: Any) -> tuple[str, ...]:
    """The fields of `ImageRecord` that a column is made of."""
    return ("metadata",) if _is_key(field) else _DERIVED.get(field.name, (field.name,))


def _is_key(field: Any) -> bool:
    """Whether a column belongs to a metadata key."""
    return KEY in (field.metadata or {})


def _texts(row: ImageRecord) -> dict[str, Any]:
    return {
        "tags": list(row.tags),
        "metadata": json.dumps(dict(row.metadata), ensure_ascii=False, sort_keys=True),
        "labels": labels_of(row.tags, row.metadata),
        **{name: getattr(row, name) for name in (*TEXTS, *VALUES, *OCR_COLUMNS)},
        **description_values(row),
    }


def labels_of(tags: Iterable[str], metadata: Mapping[str, Scalar]) -> str:
    """Tags and metadata entries, one line each, so that a filter is a plain substring search.

    JSON escapes line ends and non-ASCII characters, so no value can imitate another label.
    """
    lines = [label("tag", tag) for tag in tags]
    lines += [label("is", key, as_text(value)) for key, value in metadata.items()]
    return "\n".join(["", *lines, ""])
