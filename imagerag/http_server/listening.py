"""Listening: a socket, and the HTTP server on it."""

import socket
from typing import TYPE_CHECKING, Final

from imagerag.agent.errors import UsageError
from imagerag.http_server.access import HttpOptions, host_text
from imagerag.http_server.connection_limits import ACCEPTED_AT_ONCE, ConnectionLimits, protocol_within

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp

SHUTDOWN_S: Final = 5


def listener(app: "ASGIApp", limits: ConnectionLimits | None = None) -> "uvicorn.Server":
    """The HTTP server: quiet, within limits, and stopped within seconds even with open connections."""
    import uvicorn

    return uvicorn.Server(
        uvicorn.Config(
            app,
            http=protocol_within((limits or ConnectionLimits()).fitting()),
            backlog=ACCEPTED_AT_ONCE,
            log_level="error",
            access_log=False,
            lifespan="on",
            timeout_graceful_shutdown=SHUTDOWN_S,
            ws="none",
        )
    )


def address_of(listening: socket.socket, path: str = "/") -> str:
    """The server's URL for clients."""
    host, port = listening.getsockname()[:2]
    return f"http://{host_text(str(host))}:{port}{path}"


def bind(options: HttpOptions) -> socket.socket:
    """A socket at the address that is asked for."""
    host = options.host.strip("[]")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, options.port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise UsageError(f"cannot listen on {options.host}:{options.port}: {error}") from error
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(256)
        listening.setblocking(False)
    except OSError as error:
        listening.close()
        raise UsageError(f"cannot listen on {options.host}:{options.port}: {error}") from error
    return listening
