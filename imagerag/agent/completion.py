"""Work that is finished although its caller is cancelled."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


async def to_completion(work: Awaitable[T]) -> T:
    """Await some work to its end, however often the caller is cancelled meanwhile; that is raised afterwards.

    `asyncio.shield` only leaves the work alone: its caller goes on at once and closes what it works with. Callers
    are cancelled more than once where somebody stops twice, and at every step inside a cancelled scope of anyio.

    Raises:
        asyncio.CancelledError: the caller was cancelled meanwhile; the work has ended.
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
