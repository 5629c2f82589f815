"""Verification of what rows say: fields that cannot be read, and columns for filters that say something else."""

import json
import re
from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any, Final

from imagerag.agent.types import Scalar
from imagerag.store.library.arrow_tables import labels_of
from imagerag.store.library.metadata_columns import Columns, columns_of, values_of
from imagerag.store.library.schema import FileEntry, ImageRecord, from_record, row_columns

_UNKNOWN: Final = {"media_type": "image/png", "width": 1, "height": 1}
"""What stands for the fields that repair reads from the image itself."""

_FILE: Final = {field.name: field.type for field in fields(FileEntry)}


def readable(record: Mapping[str, Any], columns: Columns) -> tuple[dict[str, Any], list[str]]:
    """A record with what can be read of it, and the names of the fields that cannot be read.

    Args:
        record: with `schema.ROW_COLUMNS`, and the columns of metadata keys.
    """
    whole: dict[str, Any] = {}
    if not record["media_type"]:
        whole["media_type"] = _UNKNOWN["media_type"]
    whole |= {name: _UNKNOWN[name] for name in ("width", "height") if (record[name] or 0) < 1}
    if record["created"] is None:
        whole["created"] = datetime.now(UTC)
    if None in (record["tags"] or ()):
        whole["tags"] = [tag for tag in record["tags"] if tag is not None]
    files = record.get("files") or ()
    if any(_is_broken(file) for file in files):
        whole["files"] = [file for file in files if not _is_broken(file)]
    if not _is_metadata(record["metadata"]):
        whole["metadata"] = json.dumps(_metadata_from_columns(record, columns))
    return {**record, **whole}, sorted(whole)


def row_problem(record: Mapping[str, Any], columns: Columns | None) -> str:
    """What is wrong with the fields of a row; "" where nothing is.

    Args:
        columns: those of metadata keys; None where a library of an earlier version may lack some.
    """
    if not is_hash(record["id"]):
        return "its id is no SHA-256"
    _, unreadable = readable(record, columns or {})
    if unreadable:
        return f"what it says cannot be read: {', '.join(unreadable)}"
    if columns is None:
        return ""
    metadata: dict[str, Scalar] = json.loads(record["metadata"] or "{}")
    labels = labels_of(record["tags"] or (), metadata)
    same = sorted((record["labels"] or "").split("\n")) == sorted(labels.split("\n")) and all(
        record[name] == value or value != value  # NaN is as it is
        for name, value in values_of(metadata, columns).items()
    )
    return "" if same else "filters are answered with other tags or metadata than it has"


def is_hash(text: str) -> bool:
    """Whether a text is a SHA-256, as the id of a row has to be."""
    return re.fullmatch(r"[0-9a-f]{64}", text) is not None


async def readable_rows(table: Any, ids: list[str]) -> dict[str, ImageRecord]:
    """Rows of which some fields may not be readable, by id, with what can be read.

    Args:
        table: the library's `LibraryTable`.
    """
    if not ids:
        return {}
    columns = await table.read(lambda: columns_of(table.lance.schema))
    names = await table.read(lambda: [*row_columns(table.lance), *values_of({}, columns)])
    records = [readable(record, columns)[0] for record in await table.records(names, ids)]
    return {record["id"]: from_record(record) for record in records}


def _is_broken(file: Mapping[str, Any] | None) -> bool:
    return file is None or any(file[name] is None for name in _FILE)


def _is_metadata(text: str | None) -> bool:
    try:
        metadata = json.loads(text or "{}")
    except ValueError:
        return False
    scalars = str | int | float | bool | None
    return isinstance(metadata, dict) and all(isinstance(value, scalars) for value in metadata.values())


def _metadata_from_columns(record: Mapping[str, Any], columns: Columns) -> dict[str, Scalar]:
    """The metadata as its columns have it: text before the number or the date that it reads as."""
    metadata: dict[str, Scalar] = {}
    for key, by_kind in columns.items():
        for _, name in sorted(by_kind.items(), key=lambda one: one[0] != "text"):
            value = record.get(name)
            if value is not None and key not in metadata:
                metadata[key] = value.isoformat() if isinstance(value, datetime) else value
    return metadata
