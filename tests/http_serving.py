"""HTTP applications served in this process, on a port of their own."""

import asyncio
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from imagerag.http_server.access import HttpOptions
from imagerag.http_server.listening import bind, listener


@asynccontextmanager
async def served_here(app: Any, options: HttpOptions) -> AsyncIterator[socket.socket]:
    """Serve for the block; the socket that listens, on a free port where the options name 0."""
    listening = bind(options)
    server = listener(app, options.connections)
    task = asyncio.create_task(server.serve(sockets=[listening]))
    while not server.started:
        assert not task.done(), task.exception()
        await asyncio.sleep(0.005)
    try:
        yield listening
    finally:
        server.should_exit = True
        await task


def free_port() -> int:
    """A port of this machine that nobody listens on, and that the system gives to no connection meanwhile.

    It gives those from 32768 on, on Linux, and from 49152 on elsewhere.
    """
    while True:
        port = secrets.randbelow(20_000) + 10_000
        with socket.socket() as listening, suppress(OSError):
            listening.bind(("127.0.0.1", port))
            return port
