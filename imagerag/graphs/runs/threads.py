"""Conversations with libraries: the list of threads, their questions, and their removal.

A thread's checkpoints are its only record: nothing beside them lists threads. So a removal deletes the calls of its
questions first, whose names only the checkpoints know, then the thread; whatever ends the process in between, the
thread is still listed, and the next removal goes on.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from imagerag.agent.errors import DamagedFileError, RunStateError, UnknownThreadError
from imagerag.agent.qa.qa_record import answer_record
from imagerag.agent.qa.state import question_name
from imagerag.agent.qa.types import STATE_TYPES, AnswerOutcome, ConversationTurn
from imagerag.formatting.interface_terms import Placeholder, python_call
from imagerag.formatting.messages import near
from imagerag.graphs.dependencies import Dependencies
from imagerag.graphs.earlier_versions import is_of_this_version
from imagerag.graphs.runs.removal import GRACE_S, collect
from imagerag.graphs.runs.run_sizes import blob_sizes, freed_bytes
from imagerag.graphs.runs.thread_documents import (
    RemovedThread,
    ThreadDocument,
    ThreadEntry,
    ThreadsRemoved,
    ThreadTurn,
)
from imagerag.store.blob_references import RunFootprint, footprints, run_footprints, thread_footprints
from imagerag.store.data_dir import DataDir
from imagerag.store.file_lock import is_held
from imagerag.store.integrity_check import sqlite_files
from imagerag.store.run_removals import RunRemoval
from imagerag.store.sqlite.checkpoint_types import open_checkpointer
from imagerag.store.sqlite.connection import shrink
from imagerag.store.sqlite.stored_threads import StoredThread, short_values, stored_threads
from imagerag.store.thread_lock import being_answered, removal_lock
from imagerag.store.unfinished_files import remove_unfinished

if TYPE_CHECKING:
    from imagerag.store.sqlite.checkpointer import BatchedSqliteSaver


@dataclass(frozen=True)
class Threads:
    """The threads of a home."""

    dependencies: Dependencies

    @property
    def _home(self) -> DataDir:
        return self.dependencies.home

    async def list(
        self,
        limit: int | None = None,
        *,
        text: str | None = None,
        library: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        skip: int | None = None,
    ) -> "_Entries":
        """Threads, the one that was written last first.

        Args:
            skip: of all threads, leave out so many of the newest.
            limit: maximum number; None for all.
            text: only those with this text in a question, ignoring case.
            library: only those whose last question was asked of it.
            since: only those that were written at this time or later; `until`: before this time.
        """
        entries: list[ThreadEntry] = []
        stored = await asyncio.to_thread(stored_threads, self._home.conversations)
        async with aclosing(self._read(stored[skip or 0 :])) as found:
            async for entry, values in found:
                if len(entries) == limit or (since is not None and entry.updated < since):
                    break
                if (
                    (until is None or entry.updated < until)
                    and (library is None or entry.library == library)
                    and (not text or _asks(text, entry, values))
                ):
                    entries.append(entry)
        return entries

    async def get(self, thread: str) -> ThreadDocument:
        """A thread with its questions; one that was stopped is the last.

        Args:
            thread: the id, or the start of it.

        Raises:
            UnknownThreadError: there is no such thread, or several.
        """
        found = [one async for one in self._read(await asyncio.to_thread(self._find, [thread]))]
        if not found:  # it was removed meanwhile
            raise unknown_thread(thread, [])
        ((entry, values),) = found
        turns = [*map(_thread_turn, _turns(values))]
        if entry.question and entry.outcome is AnswerOutcome.CANCELLED:
            images = tuple(values.get("images") or ())
            stopped = ConversationTurn(
                question=entry.question, answer="", outcome=entry.outcome, library=entry.library, images=images
            )
            turns.append(_thread_turn(stopped))
        return ThreadDocument(thread=entry, turns=turns)

    async def find(self, *threads: str) -> "_Entries":
        """The entries of threads, each named by its id or the start of it, without repetition.

        Raises:
            UnknownThreadError: there is no such thread, or several.
        """
        stored = await asyncio.to_thread(self._find, threads)
        return [entry async for entry, _ in self._read(dict.fromkeys(stored))]

    async def preview(self, entries: Sequence[ThreadEntry]) -> ThreadsRemoved:
        """What removing threads would delete."""
        ordered = sorted(entries, key=lambda one: one.updated)
        freed = await asyncio.to_thread(_freed, self._home, [one.thread_id for one in ordered])
        removed = [RemovedThread(**{**dict(one), "bytes": n}) for one, n in zip(ordered, freed, strict=True)]
        stored = await asyncio.to_thread(stored_threads, self._home.conversations)
        return ThreadsRemoved(dry_run=True, threads=removed, freed_bytes=sum(freed), kept=len(stored) - len(removed))

    async def remove(
        self, entries: Sequence[ThreadEntry], *, pass_over: bool = False, grace_s: float = GRACE_S
    ) -> ThreadsRemoved:
        """Remove threads: their steps, the recorded calls of their questions, and images that nothing else refers to.

        Args:
            pass_over: leave threads of which a question is being answered, instead of refusing.
            grace_s: how long an image that nothing refers to stays, unless it is known to be of these threads alone.

        Raises:
            RunStateError: a question of one is being answered; nothing was removed.
        """
        locks = {one.thread_id: self._home.thread_lock(one.thread_id) for one in entries}
        busy = [thread for thread, lock in locks.items() if await asyncio.to_thread(is_held, lock)]
        if busy and not pass_over:
            raise RunStateError(being_answered(busy[0]))
        await asyncio.to_thread(remove_unfinished, self._home)  # first: on a full disk the rest needs some room
        planned = await self.preview([one for one in entries if one.thread_id not in busy])
        removed: list[RemovedThread] = []
        removals: list[RunRemoval] = []
        async with self._saver() as saver:
            for one in planned.threads:
                try:
                    with removal_lock(locks[one.thread_id], one.thread_id):
                        removals.append(await self._remove(saver, one))
                except RunStateError:  # a question was begun since
                    if not pass_over:
                        raise
                    busy.append(one.thread_id)
                else:
                    removed.append(one)
        await collect(self.dependencies, removals, grace_s=grace_s)
        for path in sqlite_files(self._home):
            await asyncio.to_thread(shrink, path)
        return ThreadsRemoved(
            threads=removed,
            freed_bytes=sum(one.bytes for one in removed),
            kept=planned.kept + len(planned.threads) - len(removed),
            in_use=busy,
        )

    async def _remove(self, saver: "BatchedSqliteSaver", one: ThreadEntry) -> RunRemoval:
        thread_id, blobs = one.thread_id, self.dependencies.blobs
        own = await asyncio.to_thread(_footprint, self._home, thread_id)
        if self._home.store.exists():
            async with self.dependencies.journal() as journal:
                for name in await asyncio.to_thread(_journal_names, self._home, thread_id):
                    await journal.remove(name)
        await saver.adelete_thread(thread_id)
        images = tuple(sha for sha in sorted(own.blobs) if blobs.path(sha).exists())
        return RunRemoval(run_id=thread_id, updated=one.updated, blobs=images)

    async def _read(self, threads: Iterable[StoredThread]) -> AsyncGenerator[tuple[ThreadEntry, Mapping[str, Any]]]:
        """The entry and the state of each thread; one that was removed meanwhile is left out."""
        if not (listed := [*threads]):
            return
        async with self._saver() as saver:
            for one in listed:
                if (found := await _entry(saver, one)) is not None:
                    yield found

    def _saver(self) -> "AbstractAsyncContextManager[BatchedSqliteSaver]":
        return open_checkpointer(self._home.conversations, STATE_TYPES)

    def _find(self, threads: Sequence[str]) -> Sequence[StoredThread]:
        stored = stored_threads(self._home.conversations)
        return [_named(thread, stored) for thread in threads]


_Entries = list[ThreadEntry]
"""Named here because inside the class `list` is the method."""


def _named(thread: str, stored: Sequence[StoredThread]) -> StoredThread:
    """The only one of some threads whose id is, or begins with, a text."""
    alike = [one for one in stored if thread and one.thread_id.startswith(thread)]
    exact = [one for one in alike if one.thread_id == thread]
    if len(found := exact or alike) != 1:
        raise unknown_thread(thread, [one.thread_id for one in found or stored], several=bool(found))
    return found[0]


async def _entry(saver: "BatchedSqliteSaver", one: StoredThread) -> tuple[ThreadEntry, Mapping[str, Any]] | None:
    values: Mapping[str, Any] = {}
    with suppress(DamagedFileError):  # a damaged thread can be removed, and hides no other
        newest = await saver.aget_tuple({"configurable": {"thread_id": one.thread_id, "checkpoint_ns": ""}})
        if newest is None:
            return None
        values = newest.checkpoint["channel_values"]
    record = answer_record(one.thread_id, values) if values.get("question") and is_of_this_version(values) else None
    entry = ThreadEntry(
        thread_id=one.thread_id,
        question=record.question if record else "",
        questions=record.turn if record else 0,
        outcome=record.outcome if record else None,
        library=record.library if record else None,
        updated=one.updated,
        bytes=one.bytes,
    )
    return entry, values if record else {}


def _asks(text: str, entry: ThreadEntry, values: Mapping[str, Any]) -> bool:
    questions = [entry.question, *(turn.question for turn in _turns(values))]
    return any(text.casefold() in one.casefold() for one in questions)


def _turns(values: Mapping[str, Any]) -> list[ConversationTurn]:
    return list(values.get("earlier") or [])


def _thread_turn(turn: ConversationTurn) -> ThreadTurn:
    return ThreadTurn(
        question=turn.question,
        answer=turn.answer,
        outcome=turn.outcome,
        library=turn.library,
        images=[image.sha256 for image in turn.images],
        sources=[source.image.sha256 for source in turn.sources],
    )


def unknown_thread(thread: str, known: Sequence[str], *, several: bool = False) -> UnknownThreadError:
    """The error for a thread that there is not, or whose id begins those of several.

    Args:
        known: the threads that there are, or the several.
    """
    if several:
        return UnknownThreadError(f"several threads begin with {thread!r}: {', '.join(known[:6])}")
    if not known:
        ask = python_call("ask", Placeholder("QUESTION"))
        return UnknownThreadError(f"there is no thread {thread[:60]!r}; there are none yet. Begin one: {ask}")
    guess = near(thread, known)
    meant = f"; did you mean {guess!r}?" if guess else ""
    return UnknownThreadError(
        f"there is no thread {thread[:60]!r}{meant}: {python_call('questions.threads.list')} lists all"
    )


def _journal_names(home: DataDir, thread_id: str) -> list[str]:
    """The names of a thread's questions in the journal. Those of an earlier version have the thread's."""
    keys = short_values(home.conversations, thread_id, "run_key")
    return sorted(question_name({"run_key": key}, thread_id) for key in keys or {""})


def _footprint(home: DataDir, thread_id: str) -> RunFootprint:
    """What a thread takes, the calls of its questions included."""
    whole = thread_footprints(home, thread_id).get(thread_id, RunFootprint())
    for name in _journal_names(home, thread_id):
        _add_calls(whole, footprints(home, name).get(name, RunFootprint()))
    return whole


def _add_calls(whole: RunFootprint, calls: RunFootprint) -> None:
    whole.journal += calls.journal
    whole.blobs |= calls.blobs


def _freed(home: DataDir, thread_ids: Sequence[str]) -> list[int]:
    """The bytes that go with each of these threads, when they go in this order. Reads every file that names images."""
    threads, others = thread_footprints(home), run_footprints(home)
    removed = [threads.setdefault(thread_id, RunFootprint()) for thread_id in thread_ids]
    for thread_id, one in zip(thread_ids, removed, strict=True):
        for name in _journal_names(home, thread_id):  # counted with their thread
            _add_calls(one, others.pop(name, RunFootprint()))
    found = {f"thread {name}": one for name, one in threads.items()} | others
    return [*freed_bytes(removed, found, blob_sizes(home))]
