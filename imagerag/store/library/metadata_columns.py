"""Columns of metadata keys, so that filters over them are typed expressions that indexes serve.

The JSON column `metadata` is what is shown; these columns are what is filtered. A value goes into the column of its own
kind, and a key whose values are of several kinds has one column of each: "unknown" among prices changes no number, and
nothing is ever converted. Text is kept as text in any case; text that reads as a number or as a date is kept as that,
too, because tables and sidecars write both as text.

Which column belongs to which key is written in the column's own Arrow metadata, and its name is derived from the key:
there is no list beside the schema that could differ from it, and two processes that meet a key make the same column.
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
    found: dict[str, dict[Kind, str]] = {}
    for field in schema:
        said = field.metadata or {}
        if KEY in said and said.get(KIND, b"").decode() in tuple(Kind):
            found.setdefault(said[KEY].decode(), {})[Kind(said[KIND].decode())] = field.name
    return found


def values_of(metadata: Mapping[str, Scalar], columns: Columns) -> dict[str, Any]:
    """Column → value of one image; null in the columns of what it does not say."""
    record: dict[str, Any] = {name: None for by_kind in columns.values() for name in by_kind.values()}
    for key in metadata.keys() & columns.keys():
        for kind, value in kinds_of(metadata[key]).items():
            if kind in columns[key]:
                record[columns[key][kind]] = value
    return record


def missing_fields(found: Iterable[Mapping[str, Scalar]], schema: Any) -> list[Any]:
    """Arrow fields of the columns that these images' metadata needs and the table lacks, the most used first."""
    have = columns_of(schema)
    wanted = Counter(
        (key, kind)
        for metadata in found
        for key, value in metadata.items()
        for kind in kinds_of(value)
        if kind not in have.get(key, {})
    )
    left = MAX_COLUMNS - sum(len(by_kind) for by_kind in have.values())
    ordered = sorted(wanted, key=lambda one: (-wanted[one], *one))
    return [_field(key, kind) for key, kind in ordered[: max(0, left)]]


def _field(key: str, kind: Kind) -> Any:
    import pyarrow as pa

    types = {
        Kind.TEXT: pa.string(), Kind.NUMBER: pa.float64(), Kind.FLAG: pa.bool_(), Kind.TIME: pa.timestamp("us", "UTC"),
    }  # fmt: skip
    # Lance splits names at dots and compares them without case: a key that could be misread is named by its hash.
    name = key if _PLAIN.fullmatch(key) else "_" + sha256(key.encode()).hexdigest()[:24]
    return pa.field(f"m_{name}_{kind}", types[kind], metadata={KEY: key.encode(), KIND: kind.encode()})
