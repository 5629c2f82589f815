"""Images that a page sends one by one, and that go into a library in batches, while more are coming."""

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from imagerag.agent.errors import UsageError
from imagerag.store.library.indexing.uploads import UploadedImage
from imagerag.ui.library_tasks import LibraryTask

if TYPE_CHECKING:
    from imagerag.client.client import ImageRAG

BATCH: Final = 32
"""Images that are encoded and written together."""

WAITING_BYTES: Final = 96 * 2**20
"""Bytes that wait at most: a request with more is answered once there is room."""

IDLE_S: Final = 60.0
"""Seconds without a further image after which the page is taken to be gone."""


@dataclass(eq=False, kw_only=True)
class UploadTask(LibraryTask):
    """Takes images for one library.

    Attributes:
        added: how many are new to it.
    """

    added: int = 0
    idle_s: float = IDLE_S
    _waiting: list[UploadedImage] = field(default_factory=list, repr=False)
    _room: asyncio.Condition = field(default_factory=asyncio.Condition, repr=False)
    _all_sent: bool = False

    async def put(self, image: UploadedImage) -> None:
        """Take an image; waits while there is no room.

        Raises:
            UsageError: it was stopped, or has ended.
        """
        async with self._room:
            await self._room.wait_for(lambda: self._has_room() or self._is_over())
            if self._is_over():
                raise UsageError("adding was stopped")
            self._waiting.append(image)
            self._room.notify_all()

    async def end(self) -> None:
        """No further image comes."""
        async with self._room:
            self._all_sent = True
            self._room.notify_all()

    def stop(self) -> None:
        """Take no further images; the batch that is being written is written."""
        self.stopped = True
        self._waiting.clear()
        self._loop.create_task(self.end())

    async def add_all(self, rag: "ImageRAG") -> int:
        """Add what comes until all was sent, then measure the threshold; returns how many were new."""
        while batch := await self._next():
            uploads = await rag.libraries.add_images(batch, library=self.library, settle=False)
            self.added += uploads.new
            for name, reason in uploads.skipped:
                self.skip(name, reason)
            self.advance(self.done + len(batch), self.of)
        await rag.libraries.add_images([], library=self.library)
        return self.added

    async def _next(self) -> list[UploadedImage]:
        """The next batch; empty at the end."""
        async with self._room:
            try:
                await asyncio.wait_for(self._room.wait_for(lambda: self._waiting or self._all_sent), self.idle_s)
            except TimeoutError:
                self._all_sent = True
                self.stopped = True
            batch = self._waiting[:BATCH]
            del self._waiting[:BATCH]
            self._room.notify_all()
        return batch

    def _has_room(self) -> bool:
        return sum(len(one.data) for one in self._waiting) < WAITING_BYTES

    def _is_over(self) -> bool:
        return self.stopped or self.ended or self._all_sent
