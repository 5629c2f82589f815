"""The journal in LangGraph's store: SQLite here, Postgres where LangGraph's own is used."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from imagerag.agent.journal import Asked, Entry, distance
from imagerag.store.sqlite import BUSY_S, appearing, patiently

if TYPE_CHECKING:
    from langgraph.store.base import BaseStore
    from langgraph.store.sqlite.aio import AsyncSqliteStore

RUNS: Final = "journal"
"""Namespace of a run's own entries: (RUNS, run id)."""

ANSWERS: Final = ("answers",)
"""Namespace of the newest entry under each key, whichever run paid for it."""

_NEAREST: Final = 200
"""How many entries are looked at to say what differs."""


class StoreJournal:
    """Implements `Journal` on any LangGraph store."""

    def __init__(self, store: "BaseStore") -> None:
        self._store = store

    async def find(self, key: str, *, run_id: str | None) -> Entry | None:
        """The entry under a key: of that run, or the newest of any run when `run_id` is None."""
        namespace = ANSWERS if run_id is None else (RUNS, run_id)
        item = await patiently(lambda: self._store.aget(namespace, key))
        return Entry.model_validate(item.value) if item else None

    async def keep(self, entry: Entry) -> None:
        """Keep an entry under its key, for its run and for all; both are committed when this returns."""
        value, key = entry.model_dump(mode="json"), entry.asked.key
        for namespace in ((RUNS, entry.run_id), ANSWERS):
            await patiently(partial(self._store.aput, namespace, key, value))

    async def similar(self, asked: Asked) -> Entry | None:
        """The kept entry of the same role whose request differs least, of the most recent ones."""
        items = await patiently(lambda: self._store.asearch(ANSWERS, limit=_NEAREST))
        kept = [Entry.model_validate(item.value) for item in items]
        alike = [entry for entry in kept if entry.asked.role == asked.role]
        return min(alike, key=lambda entry: distance(asked, entry.asked), default=None)


@asynccontextmanager
async def open_journal(path: Path) -> AsyncIterator[StoreJournal]:
    """Open the journal at `path`, creating the file when there is none."""

    with appearing(path) as fresh:
        if fresh is not None:
            async with _open_store(fresh):
                pass
    async with _open_store(path) as store:
        yield StoreJournal(store)


@asynccontextmanager
async def _open_store(path: Path) -> AsyncIterator["AsyncSqliteStore"]:
    import aiosqlite
    from langgraph.store.sqlite.aio import AsyncSqliteStore

    async with aiosqlite.connect(path, isolation_level=None, timeout=BUSY_S) as connection:
        await patiently(lambda: connection.execute("PRAGMA journal_mode=WAL"))
        # An answer is money: it must survive a power cut once it is said to be kept.
        await connection.execute("PRAGMA synchronous=FULL")
        async with AsyncSqliteStore(connection) as store:
            await patiently(store.setup)
            try:
                yield store
            finally:
                await _stop(store)


async def _stop(store: "AsyncSqliteStore") -> None:
    """End the store's queue task: closing the store leaves it pending, and a loop that ends then complains of it."""
    task = store._task
    if task is not None:
        task.cancel()
        await asyncio.wait([task])
