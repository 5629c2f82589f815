"""Work that is finished although its caller is cancelled."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def to_completion(work: Coroutine[Any, Any, T]) -> T:
    """Await a coroutine to its end, however often the caller is cancelled meanwhile; that is raised afterwards.

    `asyncio.shield` only leaves the coroutine alone: its caller goes on at once and closes what it works with. Callers
    are cancelled more than once where somebody stops twice, and at every step inside a cancelled scope of anyio.

    Raises:
        asyncio.CancelledError: the caller was cancelled meanwhile; the coroutine has ended.
    """
    task, cancelled = asyncio.ensure_future(work), None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled from None if task.cancelled() else task.exception()
    return task.result()
