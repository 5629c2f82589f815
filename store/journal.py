"""The journal in LangGraph's store: SQLite here, Postgres where LangGraph's own is used."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from imagerag.agent.journal import Asked, Entry, distance

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
        item = await self._store.aget(ANSWERS if run_id is None else (RUNS, run_id), key)
        return Entry.model_validate(item.value) if item else None

    async def keep(self, entry: Entry) -> None:
        """Keep an entry under its key, for its run and for all; both are committed when this returns."""
        value, key = entry.model_dump(mode="json"), entry.asked.key
        await self._store.aput((RUNS, entry.run_id), key, value)
        await self._store.aput(ANSWERS, key, value)

    async def similar(self, asked: Asked) -> Entry | None:
        """The kept entry of the same role whose request differs least, of the most recent ones."""
        items = await self._store.asearch(ANSWERS, limit=_NEAREST)
        kept = [Entry.model_validate(item.value) for item in items]
        alike = [entry for entry in kept if entry.asked.role == asked.role]
        return min(alike, key=lambda entry: distance(asked, entry.asked), default=None)


@asynccontextmanager
async def open_journal(path: Path) -> AsyncIterator[StoreJournal]:
    """Open the journal at `path`, creating the file when there is none."""
    import aiosqlite
    from langgraph.store.sqlite.aio import AsyncSqliteStore

    path.parent.mkdir(parents=True, exist_ok=True)
    async with aiosqlite.connect(path, isolation_level=None, timeout=30) as connection:
        await connection.execute("PRAGMA journal_mode=WAL")
        # An answer is money: it must survive a power cut once it is said to be kept.
        await connection.execute("PRAGMA synchronous=FULL")
        async with AsyncSqliteStore(connection) as store:
            await _set_up(store)
            try:
                yield StoreJournal(store)
            finally:
                await _stop(store)


async def _stop(store: "AsyncSqliteStore") -> None:
    """End the store's queue task: closing the store leaves it pending, and a loop that ends then complains of it."""
    task = store._task
    if task is not None:
        task.cancel()
        await asyncio.wait([task])


async def _set_up(store: "AsyncSqliteStore", tries: int = 20) -> None:
    """Make the tables. Two runs that find the file new both try to, and one of them is told it came second."""
    for left in range(tries - 1, -1, -1):
        try:
            await store.setup()
            break
        except sqlite3.Error:
            if not left:
                raise
            await asyncio.sleep(0.05)
