"""Locks of conversations: shared by the questions that are being answered in one, exclusive for its removal."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

from imagerag.agent.errors import RunStateError
from imagerag.store.file_lock import alone_now, locked, locked_together
from imagerag.store.storage_errors import storage_errors

_PATIENCE_S: Final = 30.0
"""A removal holds the lock of a thread for less than that."""

_PAUSE_S: Final = 0.02


@asynccontextmanager
async def question_lock(path: Path, thread_id: str) -> AsyncIterator[None]:
    """Hold the shared lock of a thread while a question is answered; waits for a removal.

    Raises:
        RunStateError: the removal takes too long.
    """
    if sys.platform == "win32":  # no such locks there
        yield
        return
    waited = 0.0
    with storage_errors(path, "cannot write"):
        while (file := locked_together(path)) is None:
            if waited > _PATIENCE_S:
                raise RunStateError(f"thread {thread_id} is being removed")
            waited += _PAUSE_S
            await asyncio.sleep(_PAUSE_S)
    try:
        yield
    finally:
        if alone_now(file):  # the last one removes the file
            path.unlink(missing_ok=True)
        os.close(file)


@contextmanager
def removal_lock(path: Path, thread_id: str) -> Iterator[None]:
    """Hold the exclusive lock of a thread while it is removed.

    Raises:
        RunStateError: a question of it is being answered.
    """
    with storage_errors(path, "cannot write"):
        file = locked(path)
    if file is None and sys.platform != "win32":
        raise RunStateError(being_answered(thread_id))
    try:
        yield
    finally:
        if file is not None:
            path.unlink(missing_ok=True)
            os.close(file)


def being_answered(thread_id: str) -> str:
    """Sentence about a thread that cannot be removed now."""
    return f"a question of thread {thread_id} is being answered right now: stop it, or wait for its answer"
