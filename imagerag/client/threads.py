"""`ImageRAG.questions.threads`: the conversations of a data directory."""

from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import TYPE_CHECKING

from imagerag.client.argument_checks import check_arguments
from imagerag.client.argument_types import NaturalNumber, PositiveNumber
from imagerag.client.context import ClientContext
from imagerag.client.synchronous import synchronous

if TYPE_CHECKING:
    from imagerag.graphs.runs.thread_documents import ThreadDocument, ThreadEntry, ThreadsRemoved
    from imagerag.graphs.runs.threads import Threads

    Entries = list[ThreadEntry]
    """Named here because inside the class `list` is the method."""


@check_arguments
class ThreadsAPI:
    """The threads of questions. A thread is named by its id, or by the start of it."""

    def __init__(self, context: ClientContext) -> None:
        self._context = context

    @property
    def _threads(self) -> "Threads":
        from imagerag.graphs.runs.threads import Threads

        return Threads(self._context.dependencies)

    async def list(
        self,
        limit: PositiveNumber | None = 20,
        *,
        text: str | None = None,
        library: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> "Entries":
        """List threads, the one with the newest question first.

        Args:
            limit: at most so many; None for all.
            text: only those with this text in one of their questions, ignoring case.
            library: only those whose last question was asked of it.
            since: only those with a question at this time or later.
            until: only those whose last question is older.
        """
        return await self._threads.list(limit, text=text, library=library, since=since, until=until)

    async def get(self, thread: str) -> "ThreadDocument":
        """Read a thread: its questions and answers, oldest first.

        Raises:
            UnknownThreadError: there is no such thread.
        """
        return await self._threads.get(thread)

    async def remove(self, *threads: str, dry_run: bool = False) -> "ThreadsRemoved":
        """Delete threads for good: questions, answers, recorded calls, and images that nothing else refers to.

        Args:
            threads: ids, or starts of them.
            dry_run: only say what would go.

        Raises:
            UnknownThreadError: there is no such thread; nothing was removed.
            RunStateError: a question of one is being answered; nothing was removed.
        """
        with self._room(dry_run):
            entries = await self._threads.find(*threads)
            return await (self._threads.preview if dry_run else self._threads.remove)(entries)

    async def prune(
        self, *, older_than: datetime | None = None, keep: NaturalNumber | None = None, dry_run: bool = False
    ) -> "ThreadsRemoved":
        """Delete old threads for good; without a limit, none. Those with a question that is being answered stay.

        Args:
            older_than: threads whose last question was before this moment.
            keep: the newest threads, which stay in any case; alone, all others go.
            dry_run: only say what would go.
        """
        with self._room(dry_run):
            entries = (
                [] if older_than is None and keep is None else await self._threads.list(until=older_than, skip=keep)
            )
            return await (self._threads.preview(entries) if dry_run else self._threads.remove(entries, pass_over=True))

    def _room(self, dry_run: bool) -> AbstractContextManager[None]:
        from imagerag.store.room_reserve import room_for_removal

        return nullcontext() if dry_run else room_for_removal(self._context.dependencies.home)

    list_sync = synchronous(list)  # noqa: A003
    get_sync = synchronous(get)
    remove_sync = synchronous(remove)
    prune_sync = synchronous(prune)
