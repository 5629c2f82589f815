"""LangGraph's checkpoints in SQLite, with a strict list of what may be revived from them."""

import inspect as reflection
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from imagerag.agent import types
from imagerag.store.sqlite import BUSY_S, patiently

if TYPE_CHECKING:
    from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver


def state_types(extra: Iterable[type] = ()) -> list[tuple[str, str]]:
    """(module, name) of every value and enum in `imagerag.agent.types`, and of `extra`."""
    ours = [
        kind
        for kind in vars(types).values()
        if reflection.isclass(kind) and kind.__module__ == types.__name__ and issubclass(kind, types.Value | Enum)
    ]
    return sorted({(kind.__module__, kind.__qualname__) for kind in [*ours, *extra]})


def serializer(extra: Iterable[type] = ()) -> "JsonPlusSerializer":
    """The serializer for checkpoints, and for caches and stores that hold the same values.

    A type that is not listed is never constructed from stored bytes: it comes back as plain data.
    """
    from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

    return JsonPlusSerializer(allowed_msgpack_modules=state_types(extra))


@asynccontextmanager
async def open_checkpointer(path: Path, extra: Iterable[type] = ()) -> AsyncIterator["AsyncSqliteSaver"]:
    """Open the checkpoints at `path`, creating the file when there is none.

    Several processes may have it open: readers never wait (WAL), writers wait for each other for up to 30 s.

    Args:
        path: the SQLite file.
        extra: further types that the state may hold.
    """
    import aiosqlite
    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

    path.parent.mkdir(parents=True, exist_ok=True)
    async with aiosqlite.connect(path, timeout=BUSY_S) as connection:
        # FULL: a step costs seconds and money, the extra flush a fraction of a millisecond; with NORMAL a power
        # cut could take back steps that were already acknowledged.
        await patiently(lambda: connection.execute("PRAGMA journal_mode=WAL"))
        await connection.execute("PRAGMA synchronous=FULL")
        saver = AsyncSqliteSaver(connection, serde=serializer(extra))
        await patiently(saver.setup)
        yield saver
