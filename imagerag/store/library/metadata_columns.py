"""Columns of metadata keys, so that filters over them are typed expressions that can use indexes.

The JSON column `metadata` is shown; these columns are filtered. A value goes into the column of its own kind, and a key
with values of several kinds has one column for each kind: "unknown" among prices changes no number, and nothing is
converted. Text is always stored as text; text that reads as a number or a date is also stored as that, because tables
and sidecars write both as text.

The key of a column is stored in its Arrow metadata, and the column's name is derived from the key. So there is no
second list that could differ from the schema, and two processes that add a key create the same column.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any, Final

from imagerag.agent.types import Scalar
from imagerag.agent.types.filters.literals import Kind, kinds_of

KEY, KIND = b"imagerag.key", b"imagerag.kind"
"""Arrow metadata of a column: the metadata key, and the kind of its values."""

MAX_COLUMNS: Final = 200
"""Of one library. Keys that come later stay in the JSON column: they are shown, and filtered as text."""

_PLAIN: Final = re.compile(r"[a-z][a-z0-9_]{0,40}", re.ASCII)


Columns = Mapping[str, Mapping[Kind, str]]
"""Metadata key → kind → the name of its column."""


def columns_of(schema: Any) -> Columns:
    """The metadata columns of a table's Arrow schema."""
    by_key: dict[str, dict[Kind, str]] = {}
    for field in schema:
        info = field.metadata or {}
        if KEY in info and info.get(KIND, b"").decode() in tuple(Kind):
            by_key.setdefault(info[KEY].decode(), {})[Kind(info[KIND].decode())] = field.name
    return by_key


def values_of(metadata: Mapping[str, Scalar], columns: Columns) -> dict[str, Any]:
    """Column → value of one image; null for absent values."""
    record: dict[str, Any] = {name: None for by_kind in columns.values() for name in by_kind.values()}
    for key in metadata.keys() & columns.keys():
        for kind, value in kinds_of(metadata[key]).items():
            if kind in columns[key]:
                record[columns[key][kind]] = value
    return record


def missing_fields(records: Iterable[Mapping[str, Scalar]], schema: Any) -> list[Any]:
    """Arrow fields for the columns that these images' metadata needs and the table lacks, the most frequent first."""
    have = columns_of(schema)
    counts = Counter(
        (key, kind)
        for metadata in records
        for key, value in metadata.items()
        for kind in kinds_of(value)
        if kind not in have.get(key, {})
    )
    room = MAX_COLUMNS - sum(len(by_kind) for by_kind in have.values())
    ordered = sorted(counts, key=lambda one: (-counts[one], *one))
    return [_field(key, kind) for key, kind in ordered[: max(0, room)]]


def _field(key: str, kind: Kind) -> Any:
    import pyarrow as pa

    types = {
        Kind.TEXT: pa.string(), Kind.NUMBER: pa.float64(), Kind.FLAG: pa.bool_(), Kind.TIME: pa.timestamp("us", "UTC"),
    }  # fmt: skip
    # Lance splits names at dots and ignores case, so the column of an ambiguous key is named by the key's hash.
    name = key if _PLAIN.fullmatch(key) else "_" + sha256(key.encode()).hexdigest()[:24]
    return pa.field(f"m_{name}_{kind}", types[kind], metadata={KEY: key.encode(), KIND: kind.encode()})
