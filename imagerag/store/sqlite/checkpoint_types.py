"""LangGraph checkpoints in SQLite, with an allow-list of types for deserialization."""

import inspect as reflection
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from imagerag.agent import types
from imagerag.store.sqlite.connection import BUSY_S
from imagerag.store.sqlite.write_batcher import open_grouped

if TYPE_CHECKING:
    from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

    from imagerag.store.sqlite.checkpointer import BatchedSqliteSaver


def state_types(extra: Iterable[type] = ()) -> list[tuple[str, str]]:
    """(module, name) of every value and enum in `imagerag.agent.types`, and of `extra`."""
    ours = [
        kind
        for kind in vars(types).values()
        if reflection.isclass(kind)
        and kind.__module__.startswith(f"{types.__name__}.")
        and issubclass(kind, types.FrozenModel | Enum)
    ]
    return sorted({(kind.__module__, kind.__qualname__) for kind in [*ours, *extra]})


def serializer(extra: Iterable[type] = ()) -> "JsonPlusSerializer":
    """The serializer for checkpoints, caches and stores.

    A type that is not listed is never constructed from stored bytes; its value is returned as plain data.
    """
    from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

    return JsonPlusSerializer(allowed_msgpack_modules=state_types(extra))


@asynccontextmanager
async def open_checkpointer(path: Path, extra: Iterable[type] = ()) -> AsyncIterator["BatchedSqliteSaver"]:
    """Open the checkpoints at `path`, creating the file when there is none.

    Several processes may have it open: readers never wait (WAL), writers wait for each other for up to 30 s.

    Args:
        path: the SQLite file.
        extra: further types that the state may hold.
    """
    from imagerag.store.sqlite.checkpointer import BatchedSqliteSaver, create_checkpoint_tables
    from imagerag.store.sqlite.compact_serializer import CompactSerializer

    async with open_grouped(path, create_checkpoint_tables, patience_s=BUSY_S) as grouped:
        saver = BatchedSqliteSaver(grouped, CompactSerializer(allowed_msgpack_modules=state_types(extra)))
        await saver.prepare()
        yield saver
