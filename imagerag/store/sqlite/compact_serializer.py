"""Compressing serializer for checkpoints, in which shared values of a thread are replaced by their ids."""

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

LEVEL: Final = 1
"""Of the compression: on checkpoints, level 3 makes 0.4 % less of it in twice the time."""


WRITTEN: Final = "written"
"""The version of a value that a task has just written: the next checkpoint gives it to its channel."""

Version = str | int | float


class ValueId(bytes):
    """The id of a value in its thread: the hash of its type and bytes."""

    @classmethod
    def of(cls, kind: str, data: bytes) -> "ValueId":
        """The id of a serialized value."""
        return cls(blake2b(data, digest_size=16, person=kind.encode()[:16]).digest())


class StoredValue(NamedTuple):
    """A value with its serialized form.

    Attributes:
        version: its channel's version, or `WRITTEN`; None where it has none.
        id: the id of the value; None for a short value, which stays in its row.
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
        """Whether it is the same object in the same version: a list that was appended to has another version."""
        return value is self.value and (self.version == WRITTEN or self.version == version is not None)

    @property
    def row(self) -> tuple[str, bytes]:
        """The type and bytes that represent it in a row: the data, or the id."""
        return (VALUE, self.id) if self.id else (self.kind, self.data)


class CompactSerializer(JsonPlusSerializer):
    """LangGraph's serializer with compression; it also reads uncompressed data."""

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        """Serialize and compress a value; a `StoredValue` is serialized already."""
        return obj.row if isinstance(obj, StoredValue) else compressed(*self.plain(obj))

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """Deserialize a value, compressed or not; returns the `ValueId` for a value in the separate table."""
        kind, packed = data
        return ValueId(packed) if kind == VALUE else super().loads_typed(decompressed(kind, packed))

    def plain(self, obj: Any) -> tuple[str, bytes]:
        """Serialize a value without compressing it."""
        return super().dumps_typed(obj)


def stored_values(
    values: Mapping[str, Any],
    versions: Mapping[str, Version],
    previous: Mapping[str, StoredValue],
    serde: CompactSerializer,
) -> dict[str, StoredValue]:
    """The values of a checkpoint's channels; values unchanged since the previous checkpoint are not serialized again.

    Args:
        versions: of the channels.
        previous: the values of the checkpoint before, by channel.
    """
    result: dict[str, StoredValue] = {}
    for name, value in values.items():
        version, before = versions.get(name), previous.get(name)
        if before is None or not before.holds(value, version):
            result[name] = StoredValue.of(value, serde, version)
        else:  # most channels, at every step
            result[name] = before if before.version == version else before._replace(version=version)
    return result


def written_values(writes: Sequence[tuple[str, Any]], serde: CompactSerializer) -> list[tuple[str, StoredValue]]:
    """The values that a task wrote, by channel."""
    return [(channel, StoredValue.of(value, serde, WRITTEN)) for channel, value in writes]


def packed_rows(values: Mapping[bytes, StoredValue]) -> list[tuple[bytes, str, bytes]]:
    """The id, type and compressed bytes of each value."""
    return [(key, *compressed(one.kind, one.data)) for key, one in values.items()]


def compressed(kind: str, data: bytes) -> tuple[str, bytes]:
    """A serialized value and its type, compressed where that makes it smaller."""
    packed = zlib.compress(data, LEVEL) if len(data) > INLINE_BYTES else data
    return (kind + COMPRESSED, packed) if len(packed) < len(data) else (kind, data)


def decompressed(kind: str, packed: bytes) -> tuple[str, bytes]:
    """Undo `compressed`: the original type and bytes of a serialized value."""
    return (kind.removesuffix(COMPRESSED), zlib.decompress(packed)) if kind.endswith(COMPRESSED) else (kind, packed)
