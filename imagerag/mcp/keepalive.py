"""Waiting on behalf of a client: for as long as it is there, and with signs of life."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from imagerag.agent.errors import UsageError
from imagerag.mcp.http import GONE

if TYPE_CHECKING:
    from mcp.server.mcpserver import Context

Done = TypeVar("Done")


async def cancel_on_disconnect(ctx: "Context[Any, Any]", work: Coroutine[Any, Any, Done]) -> Done:
    """Await something for as long as the client can still be told of it; then it is cancelled.

    Over HTTP up to protocol 2025-11-25 nobody else notices that the connection of a call is gone (see `Noticing`).

    Raises:
        UsageError: the client is gone; nobody reads it.
    """
    request = ctx.request_context.request
    disconnect = request.scope.get(GONE) if request is not None and hasattr(request, "scope") else None
    task = asyncio.ensure_future(work)
    watch = asyncio.ensure_future(disconnect.wait()) if disconnect is not None else None
    try:
        await asyncio.wait({task, watch} if watch else {task}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise UsageError("the client has gone")
        return task.result()
    finally:
        for each in (task, watch):
            if each is not None:
                each.cancel()


async def send_keepalive(
    work: Coroutine[Any, Any, Done], heard: Callable[[str], Awaitable[None]], what: str, *, beat_s: float
) -> Done:
    """Await something, and say every `beat_s` seconds that it goes on."""
    task = asyncio.ensure_future(work)
    try:
        while not (await asyncio.wait({task}, timeout=beat_s))[0]:
            await heard(f"{what} …")
        return task.result()
    finally:
        task.cancel()
