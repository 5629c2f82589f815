"""The kinds of SQLite files in a data directory: the tables of each, and checks of their rows."""

import functools
import json
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

Row = dict[str, Any]
IsWhole = Callable[[Row], bool]


@dataclass(frozen=True)
class FileKind:
    """A kind of SQLite file.

    Attributes:
        make: makes its tables.
        tables: tables to salvage, each with a function that checks whether a row is intact.
        drop: deletes rows that refer to lost rows, and counts them.
    """

    make: Callable[[sqlite3.Connection], object]
    tables: Mapping[str, IsWhole]
    drop: Callable[[sqlite3.Connection], int] = lambda _: 0


def kind_of(name: str) -> FileKind | None:
    """The kind of a file in a home, by its name; None for files that cannot be salvaged this way."""
    return {
        "runs.sqlite": FileKind(_make_checkpoints, _CHECKPOINT_TABLES, _drop_torn),
        "questions.sqlite": FileKind(_make_checkpoints, _CHECKPOINT_TABLES, _drop_torn),
        "store.sqlite": FileKind(_make_store, {"store": _is_entry}),
    }.get(name)


def _make_checkpoints(connection: sqlite3.Connection) -> None:
    from imagerag.store.sqlite.checkpointer import create_checkpoint_tables

    create_checkpoint_tables(connection)


def _make_store(connection: sqlite3.Connection) -> None:
    from langgraph.store.sqlite import SqliteStore

    SqliteStore(connection).setup()


def _is_text(row: Row, *names: str) -> bool:
    return all(isinstance(row[name], str) and row[name].isprintable() for name in names)


def _is_checkpoint(row: Row) -> bool:
    if not _is_text(row, "thread_id", "checkpoint_ns", "checkpoint_id"):
        return False
    loaded = _loaded(row["type"], row["checkpoint"])
    return isinstance(loaded, dict) and "channel_versions" in loaded and _is_json(row["metadata"])


def _is_value(row: Row) -> bool:
    from imagerag.store.sqlite.compact_serializer import ValueId, decompressed

    try:
        return _is_text(row, "thread_id") and ValueId.of(*decompressed(row["type"], row["value"])) == row["id"]
    except Exception:  # of bytes that were overwritten, a decoder says anything
        return False


def _drop_torn(connection: sqlite3.Connection) -> int:
    """Delete the checkpoints and writes that refer to a lost value."""
    from imagerag.store.sqlite.checkpointer import VALUE_IDS
    from imagerag.store.sqlite.compact_serializer import VALUE

    there = set(connection.execute("SELECT thread_id, id FROM checkpoint_values"))
    torn = [
        ("checkpoints", rowid)
        for rowid, thread_id, kind, data in connection.execute(
            "SELECT rowid, thread_id, type, checkpoint FROM checkpoints"
        )
        if not all((thread_id, one) in there for one in _loaded(kind, data).get(VALUE_IDS, {}).values())
    ]
    torn += [
        ("writes", rowid)
        for rowid, thread_id, one in connection.execute(
            "SELECT rowid, thread_id, value FROM writes WHERE type = ?", (VALUE,)
        )
        if (thread_id, one) not in there
    ]
    for table, rowid in torn:
        connection.execute(f"DELETE FROM {table} WHERE rowid = ?", (rowid,))
    return len(torn)


def _is_write(row: Row) -> bool:
    return (
        _is_text(row, "thread_id", "checkpoint_id", "task_id", "channel")
        and _loaded(row["type"], row["value"]) is not _UNREADABLE
    )


def _is_entry(row: Row) -> bool:
    return _is_text(row, "prefix", "key") and _is_json(row["value"])


_CHECKPOINT_TABLES: Final = {"checkpoint_values": _is_value, "checkpoints": _is_checkpoint, "writes": _is_write}

_UNREADABLE: Final = object()


@functools.cache
def _serializer() -> Any:
    from imagerag.store.sqlite.checkpoint_types import state_types
    from imagerag.store.sqlite.compact_serializer import CompactSerializer

    return CompactSerializer(allowed_msgpack_modules=state_types())


def _loaded(kind: Any, value: Any) -> Any:
    try:
        return _serializer().loads_typed((kind, value))
    except Exception:  # of bytes that were overwritten, a decoder says anything
        return _UNREADABLE


def _is_json(value: Any) -> bool:
    try:
        json.loads(value if isinstance(value, bytes) else value.encode())  # what was no UTF-8 cannot be encoded again
    except (ValueError, TypeError, AttributeError, RecursionError):
        return False
    return True
