"""The locks of a library's table, which any number of processes hold.

Two order the writers of one library. `writing` is shared by all who write rows, and held alone by whoever changes the
columns or removes files that no version names. `files` is held alone while rows are compared with what a scan found
and written: without it, two scans could each overwrite the paths that the other one added to a row. A third,
`calibrating`, is held by whoever writes thresholds.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager

from imagerag.store.data_dir import DataDir
from imagerag.store.file_lock import held_alone, shared_or_alone, waiting_lock
from imagerag.store.library.names import refuse_snapshot


class TableLocks:
    """The locks of one library; each raises UsageError where it is a snapshot, which nobody writes.

    Attributes:
        name: of the library.
        home: where it is kept.
    """

    home: DataDir
    name: str

    @contextmanager
    def writing(self, *, alone: bool = False) -> Iterator[bool]:
        """Hold the lock of those who write. Gives whether it is held alone, which is tried and not waited for."""
        refuse_snapshot(self.name)
        with shared_or_alone(self.home.filling / f"{self.name}.writing", alone=alone) as held:
            yield held

    def writing_alone(self) -> AbstractContextManager[None]:
        """Hold the lock of those who write, alone; waits for them."""
        return self._alone("writing")

    def calibrating(self) -> AbstractContextManager[None]:
        """Hold the lock of those who write thresholds, alone."""
        return self._alone("calibrating")

    @asynccontextmanager
    async def files_lock(self) -> AsyncIterator[None]:
        """Hold the lock of those who write which files an image has, alone."""
        refuse_snapshot(self.name)
        lock = await asyncio.to_thread(waiting_lock, self.home.filling / f"{self.name}.files", alone=True)
        try:
            yield
        finally:
            if lock is not None:
                os.close(lock)

    def _alone(self, lock: str) -> AbstractContextManager[None]:
        refuse_snapshot(self.name)
        return held_alone(self.home.filling / f"{self.name}.{lock}")
