"""Creation of a library by indexing: a new library that stays empty is removed, also with concurrent indexing."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from imagerag.agent.errors import ImageRAGError
from imagerag.store.data_dir import DataDir
from imagerag.store.file_lock import alone_now, waiting_lock
from imagerag.store.library.database import LANCE_ERRORS, list_libraries, open_table, remove
from imagerag.store.library.names import valid_name


@asynccontextmanager
async def creating_library(home: DataDir, name: str) -> AsyncIterator[bool]:
    """Hold the lock of a library while it is filled. If filling fails, a new library that is still empty is removed.

    Yields whether the library is new. Other processes that fill it protect it: they share the lock, and removing needs
    it exclusively.

    Raises:
        UsageError: the name is invalid.
    """
    lock = await asyncio.to_thread(waiting_lock, home.filling / valid_name(name), alone=False)
    try:
        fresh = name not in await asyncio.to_thread(list_libraries, home)
        try:
            yield fresh
        except BaseException:
            if fresh:
                await asyncio.to_thread(_remove_if_empty, home, name, lock)
            raise
    finally:
        if lock is not None:
            os.close(lock)


def _remove_if_empty(home: DataDir, name: str, lock: int | None) -> None:
    if lock is not None and not alone_now(lock):
        return  # another process fills it
    try:
        if name in list_libraries(home) and not open_table(home, name).count_rows():
            remove(home, name)
    except (ImageRAGError, *LANCE_ERRORS):
        return  # the earlier error is raised and matters more
