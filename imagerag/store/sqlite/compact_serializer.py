"""A serializer for checkpoints that compresses, and that leaves out what is kept once for all steps of a thread."""

import zlib
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

COMPRESSED: Final = "+zlib"
"""Ends the type of what is compressed; rows of earlier versions have types without it."""

VALUE: Final = "value"
"""The type of a row that holds a `ValueId`."""

INLINE_BYTES: Final = 64
"""A serialized value that is no longer stays in its row: naming or compressing it would save nothing."""

LEVEL: Final = 3
"""Of the compression: on checkpoints, the levels above make 2 % less of it in half as much time again."""


WRITTEN: Final = "written"
"""The version of a value that a task has just written: the next checkpoint gives it to its channel."""

Version = str | int | float


class ValueId(bytes):
    """Names a value among those of its thread, by the hash of its type and bytes."""

    @classmethod
    def of(cls, kind: str, data: bytes) -> "ValueId":
        """The id of a serialized value."""
        return cls(blake2b(data, digest_size=16, person=kind.encode()[:16]).digest())


class StoredValue(NamedTuple):
    """A value and how it is stored.

    Attributes:
        version: its channel's version, or `WRITTEN`; None where it has none.
        id: what names it; None where it is so short that it stays in its row.
        kind: the type of its serialized `data`.
    """

    value: Any
    version: Version | None
    id: ValueId | None
    kind: str
    data: bytes

    @classmethod
    def of(cls, value: Any, serde: "CompactSerializer", version: Version | None) -> "StoredValue":
        """Serialize a value."""
        kind, data = serde.plain(value)
        return cls(value, version, ValueId.of(kind, data) if len(data) > INLINE_BYTES else None, kind, data)

    def holds(self, value: Any, version: Version | None) -> bool:
        """Whether it is this very object, and has not changed: a list that was added to has another version."""
        return value is self.value and (self.version == WRITTEN or self.version == version is not None)

    def at(self, version: Version | None) -> "StoredValue":
        """The same value as its channel holds it in a version."""
        return self._replace(version=version)

    @property
    def row(self) -> tuple[str, bytes]:
        """The type and bytes that stand for it where it is used."""
        return (VALUE, self.id) if self.id else (self.kind, self.data)


class CompactSerializer(JsonPlusSerializer):
    """LangGraph's serializer with compression. It reads what was written without."""

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        """Serialize and compress a value; a `StoredValue` has been serialized."""
        return obj.row if isinstance(obj, StoredValue) else compressed(*self.plain(obj))

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """The value of what was serialized, compressed or not; the `ValueId` of what is kept elsewhere."""
        kind, packed = data
        return ValueId(packed) if kind == VALUE else super().loads_typed(decompressed(kind, packed))

    def plain(self, obj: Any) -> tuple[str, bytes]:
        """Serialize a value without compressing it."""
        return super().dumps_typed(obj)


def stored_values(
    values: Mapping[str, Any],
    versions: Mapping[str, Version],
    known: Mapping[str, StoredValue],
    serde: CompactSerializer,
) -> dict[str, StoredValue]:
    """The values of a checkpoint's channels; what is as in the checkpoint before is not serialized again.

    Args:
        versions: of the channels.
        known: the values of the checkpoint before, by channel.
    """
    kept: dict[str, StoredValue] = {}
    for name, value in values.items():
        version, before = versions.get(name), known.get(name)
        same = before is not None and before.holds(value, version)
        kept[name] = before.at(version) if before and same else StoredValue.of(value, serde, version)
    return kept


def written_values(writes: Sequence[tuple[str, Any]], serde: CompactSerializer) -> list[tuple[str, StoredValue]]:
    """What a task wrote, by channel."""
    return [(channel, StoredValue.of(value, serde, WRITTEN)) for channel, value in writes]


def packed_rows(values: Mapping[bytes, StoredValue]) -> list[tuple[bytes, str, bytes]]:
    """The id, type and compressed bytes of each value."""
    return [(key, *compressed(one.kind, one.data)) for key, one in values.items()]


def compressed(kind: str, data: bytes) -> tuple[str, bytes]:
    """A serialized value and its type, compressed where that makes it smaller."""
    packed = zlib.compress(data, LEVEL) if len(data) > INLINE_BYTES else data
    return (kind + COMPRESSED, packed) if len(packed) < len(data) else (kind, data)


def decompressed(kind: str, packed: bytes) -> tuple[str, bytes]:
    """The type and bytes of a serialized value as they were before `compressed`."""
    return (kind.removesuffix(COMPRESSED), zlib.decompress(packed)) if kind.endswith(COMPRESSED) else (kind, packed)
