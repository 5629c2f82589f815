"""The journal in a LangGraph store, which is a SQLite file of the home."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from imagerag.agent.calls.journal import CallRequest, FailedCall, JournalEntry, distance
from imagerag.store.disk_space import check_space
from imagerag.store.images.blob_store import FileBlobStore, sha256s_in
from imagerag.store.sqlite.connection import BUSY_S
from imagerag.store.sqlite.pool import PerLoopResource
from imagerag.store.sqlite.write_batcher import open_grouped

if TYPE_CHECKING:
    from langgraph.store.base import BaseStore, SearchItem

RUNS: Final = "journal"
"""Namespace of a run's own entries: (RUNS, run id)."""

ANSWERS: Final = ("answers",)
"""Namespace of the newest entry under each key, whichever run paid for it."""

LOST: Final = "lost"
"""Namespace of a run's calls that have no answer: (LOST, run id). A call is in it from before it is made."""

_PAGE: Final = 1000

_NEAREST: Final = 200
"""How many entries are looked at to say what differs."""


class StoreJournal:
    """Implements `Journal` on any LangGraph store.

    Args:
        store: holds the entries.
        folder: folder of the entries, if they are on this machine.
    """

    def __init__(self, store: "BaseStore", folder: Path | None = None) -> None:
        self._store = store
        self._folder = folder

    async def find(self, key: str, *, run_id: str | None) -> JournalEntry | None:
        """The entry under a key: of that run or used by it, or the newest of any run when `run_id` is None."""
        namespace = ANSWERS if run_id is None else (RUNS, run_id)
        item = await self._store.aget(namespace, key, refresh_ttl=False)
        return JournalEntry.model_validate(item.value) if item else None

    async def keep(self, entry: JournalEntry, *, used_by: str | None = None, answers: str = "") -> None:
        """Store an entry under its key, for its run and for all, or for a run that used it; committed on return."""
        from langgraph.store.base import PutOp

        value, key = entry.model_dump(mode="json"), entry.asked.key
        namespaces = [(RUNS, used_by)] if used_by else [(RUNS, entry.run_id), ANSWERS]
        puts = [PutOp(namespace, key, value) for namespace in namespaces]
        if answers:  # in the same transaction, so that a kill leaves one or the other
            puts.append(PutOp((LOST, entry.run_id), answers, None))
        await self._store.abatch(puts)
        if used_by and self._folder is not None:  # removing the run that paid keeps images that other runs use
            blobs = FileBlobStore(self._folder / "blobs")
            await asyncio.to_thread(blobs.touch, sha256s_in(json.dumps(value).encode()))

    async def keep_lost(self, lost: FailedCall) -> None:
        """Keep a call that has no answer, under its `call_id`; once this returns, no kill takes it back.

        Raises:
            StorageError: it is about to be made, and its answer could not be kept. Of a store that is elsewhere nothing
                is known.
        """
        if lost.under_way and self._folder is not None:
            await asyncio.to_thread(check_space, self._folder)  # a disk may answer slowly, and servers forbid to wait
        key, value = lost.call.call_id, lost.model_dump(mode="json")
        await self._store.aput((LOST, lost.run_id), key, value)

    async def unanswered(self, run_id: str) -> list[FailedCall]:
        """The run's calls that have no answer, in the order of time."""
        lost = [FailedCall.model_validate(value) for value in await self._all((LOST, run_id))]
        return sorted(lost, key=lambda one: one.at)

    async def all_unanswered(self) -> list[FailedCall]:
        """The calls of every run that have no answer."""
        return [FailedCall.model_validate(value) for value in await self._pages((LOST,), None)]

    async def of_run(self, run_id: str) -> tuple[list[JournalEntry], list[FailedCall]]:
        """Everything a run was answered, and what it lost, each in the order of time."""
        entries = [JournalEntry.model_validate(value) for value in await self._all((RUNS, run_id))]
        return sorted(entries, key=lambda entry: entry.at), await self.unanswered(run_id)

    async def hand_over(self, run_id: str, descendants: Iterable[str]) -> None:
        """Give a run's answers to runs that do it again: they look there when the run itself is gone."""
        from langgraph.store.base import PutOp

        heirs = list(descendants)
        items = await self._items((RUNS, run_id)) if heirs else []
        puts = [
            PutOp((RUNS, descendant), item.key, item.value)
            for descendant in heirs
            for item in items
            if await self._store.aget((RUNS, descendant), item.key, refresh_ttl=False) is None
        ]
        if puts:
            await self._store.abatch(puts)

    async def remove(self, run_id: str) -> None:
        """Delete what a run was answered, also where it stands for others to be reused, and its calls without one."""
        from langgraph.store.base import GetOp, Item, PutOp

        items = await self._items((RUNS, run_id))
        puts = [PutOp(item.namespace, item.key, None) for item in [*items, *await self._items((LOST, run_id))]]
        newest = await self._store.abatch([GetOp(ANSWERS, item.key, refresh_ttl=False) for item in items])
        own = [one for one in newest if isinstance(one, Item) and one.value.get("run_id") == run_id]
        puts += [PutOp(ANSWERS, one.key, None) for one in own]
        if puts:
            await self._store.abatch(puts)

    async def _items(self, namespace: tuple[str, str]) -> "list[SearchItem]":
        """The items of exactly this namespace: a store may take it for a prefix of characters."""
        items: list[SearchItem] = []
        while True:
            page = await self._store.asearch(namespace, limit=_PAGE, offset=len(items), refresh_ttl=False)
            items += page
            if len(page) < _PAGE:
                return [item for item in items if item.namespace == namespace]

    async def _all(self, namespace: tuple[str, str]) -> list[dict[str, Any]]:
        # Of a run's entries, not those it used that others paid for. And a store may take a namespace for a prefix of
        # characters, and so give the values of other runs too.
        return await self._pages(namespace, {"run_id": namespace[1]})

    async def _pages(self, namespace: tuple[str, ...], own: dict[str, Any] | None) -> list[dict[str, Any]]:
        values: list[dict[str, Any]] = []
        while True:
            page = await self._store.asearch(namespace, filter=own, limit=_PAGE, offset=len(values), refresh_ttl=False)
            values += [item.value for item in page]
            if len(page) < _PAGE:
                return values

    async def similar(self, request: CallRequest) -> JournalEntry | None:
        """The kept entry of the same role whose request differs least, of the most recent ones."""
        items = await self._store.asearch(ANSWERS, limit=_NEAREST, refresh_ttl=False)
        entries = [JournalEntry.model_validate(item.value) for item in items]
        alike = [entry for entry in entries if entry.asked.role == request.role]
        return min(alike, key=lambda entry: distance(request, entry.asked), default=None)


class SharedJournal:
    """Implements `Journal` on the one that the runs of an event loop share, whichever loop it is asked in."""

    def __init__(self, shared: PerLoopResource[StoreJournal]) -> None:
        self._shared = shared

    async def find(self, key: str, *, run_id: str | None) -> JournalEntry | None:
        """The entry under a key: of that run or used by it, or the newest of any run when `run_id` is None."""
        async with self._shared.use() as journal:
            return await journal.find(key, run_id=run_id)

    async def keep(self, entry: JournalEntry, *, used_by: str | None = None, answers: str = "") -> None:
        """Keep an entry under its key, for its run and for all, or for a run that used it; durable on return."""
        async with self._shared.use() as journal:
            await journal.keep(entry, used_by=used_by, answers=answers)

    async def keep_lost(self, lost: FailedCall) -> None:
        """Keep a call that has no answer, under its `call_id`; once this returns, no kill takes it back."""
        async with self._shared.use() as journal:
            await journal.keep_lost(lost)

    async def unanswered(self, run_id: str) -> list[FailedCall]:
        """The run's calls that have no answer, in the order of time."""
        async with self._shared.use() as journal:
            return await journal.unanswered(run_id)

    async def of_run(self, run_id: str) -> tuple[list[JournalEntry], list[FailedCall]]:
        """Everything a run was answered, and what it lost, each in the order of time."""
        async with self._shared.use() as journal:
            return await journal.of_run(run_id)

    async def similar(self, request: CallRequest) -> JournalEntry | None:
        """The kept entry of the same role whose request differs least, of the most recent ones."""
        async with self._shared.use() as journal:
            return await journal.similar(request)


@asynccontextmanager
async def open_journal(path: Path) -> AsyncIterator[StoreJournal]:
    """Open the journal at `path`, creating the file when there is none."""
    from langgraph.store.sqlite import SqliteStore

    from imagerag.store.sqlite.langgraph_store import BatchedSqliteStore

    async with open_grouped(path, lambda fresh: SqliteStore(fresh).setup(), patience_s=BUSY_S) as grouped:
        store = BatchedSqliteStore(grouped, unflushed=(LOST,))
        await store.prepare()
        yield StoreJournal(store, path.parent)
