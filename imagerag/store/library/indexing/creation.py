"""Filling a library: one that was made for it and got nothing is not left behind, however many fill it at once."""

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
    """While a library is filled. When that fails, one that was not there before and is still empty is removed.

    Gives whether there was none of that name. Whoever else fills it meanwhile keeps it: the lock is shared by all
    that fill, and removing needs it alone.

    Raises:
        UsageError: the name cannot be a library's.
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
        return  # somebody else fills it
    try:
        if name in list_libraries(home) and not open_table(home, name).count_rows():
            remove(home, name)
    except (ImageRAGError, *LANCE_ERRORS):
        return  # what went wrong before is told, and matters more
