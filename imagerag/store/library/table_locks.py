"""The locks of a library's table, shared between processes.

Two locks order the writers of one library. `writing` is shared by writers of rows, and held exclusively to change the
columns or to remove files without a version. `files` is held exclusively while rows are compared with a scan and
written: without it, two scans could overwrite the paths that the other one added to a row. A third lock, `calibrating`,
is held to write thresholds.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager

from imagerag.store.data_dir import DataDir
from imagerag.store.file_lock import held_alone, shared_or_alone, waiting_lock
from imagerag.store.library.names import refuse_snapshot


class TableLocks:
    """The locks of one library; each raises UsageError for a snapshot, which is read-only.

    Attributes:
        name: name of the library.
        home: data directory of the library.
    """

    home: DataDir
    name: str

    @contextmanager
    def writing(self, *, alone: bool = False) -> Iterator[bool]:
        """Hold the lock `writing`. Yields whether it is exclusive, which is tried without waiting."""
        refuse_snapshot(self.name)
        with shared_or_alone(self.home.filling / f"{self.name}.writing", alone=alone) as is_held:
            yield is_held

    def writing_alone(self) -> AbstractContextManager[None]:
        """Hold the lock `writing` exclusively; waits for other writers."""
        return self._alone("writing")

    def calibrating(self) -> AbstractContextManager[None]:
        """Hold the lock `calibrating` exclusively."""
        return self._alone("calibrating")

    @asynccontextmanager
    async def files_lock(self) -> AsyncIterator[None]:
        """Hold the lock `files` exclusively."""
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
