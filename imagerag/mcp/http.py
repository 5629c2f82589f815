"""MCP over HTTP: the application, and noticing that a client is gone."""

import asyncio
import logging
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from imagerag.http_server.access import BearerAuth, CloseOnUnreadBody, HttpOptions, accepted_hosts, accepted_origins
from imagerag.http_server.connection_limits import RequestLimit
from imagerag.http_server.listening import address_of, bind, listener
from imagerag.mcp.session_limits import SessionLimit

if TYPE_CHECKING:
    from mcp.server import MCPServer
    from mcp.server.transport_security import TransportSecuritySettings
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

PATH: Final = "/mcp"
GONE: Final = "imagerag.gone"
"""Key of the event in a request's scope that is set when the client is gone."""

SESSION_IDLE_S: Final = 600.0
MAX_SESSIONS: Final = 1_000

log = logging.getLogger(__name__)


def guard_of(options: HttpOptions) -> "TransportSecuritySettings":
    """Accepted Host and Origin headers, as the SDK takes them."""
    from mcp.server.transport_security import TransportSecuritySettings

    return TransportSecuritySettings(
        enable_dns_rebinding_protection=True,
        allowed_hosts=accepted_hosts(options),
        allowed_origins=accepted_origins(options),
    )


def make_app(server: "MCPServer[None]", options: HttpOptions, on_session_end: Callable[[str], None]) -> "ASGIApp":
    """The whole ASGI application.

    Args:
        server: the tools.
        options: who may connect.
        on_session_end: called with a session's id when its client has ended it.
    """
    app = server.streamable_http_app(
        streamable_http_path=PATH,
        transport_security=guard_of(options),
        session_idle_timeout=SESSION_IDLE_S,
        max_sessions=MAX_SESSIONS,
    )
    # A session that is ended for want of room is left by its client as one that it ended itself.
    limited = RequestLimit(
        SessionLimit(DisconnectMonitor(app, on_session_end), options.sessions), options.connections.per_client
    )
    return CloseOnUnreadBody(BearerAuth(limited, options.token) if options.token else limited)


class DisconnectMonitor:
    """Marks every request whose answer nobody can read any more.

    Up to protocol 2025-11-25 a dropped connection does not cancel the call that came over it; the answer then has
    nowhere to go, since nothing here keeps it for a later connection, and the call may as well end.
    """

    def __init__(self, app: "ASGIApp", on_session_end: Callable[[str], None]) -> None:
        self._app = app
        self._left = on_session_end

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        disconnect, over = asyncio.Event(), False
        scope[GONE] = disconnect

        async def sending(message: "Message") -> None:
            nonlocal over
            over = over or (message["type"] == "http.response.body" and not message.get("more_body"))
            await send(message)

        try:
            return await self._app(scope, receive, sending)
        except Exception:
            # A notification is answered before it is handed on. Where its session ended in between, the SDK fails and
            # answers a second time; the client has its answer and nothing is lost.
            if not over:
                raise
            log.debug("a request failed after it was answered", exc_info=True)
        finally:
            disconnect.set()
            session = next((value for name, value in scope["headers"] if name == b"mcp-session-id"), None)
            if scope["method"] == "DELETE" and session is not None:
                self._left(session.decode("latin-1"))


async def serve(app: "ASGIApp", options: HttpOptions) -> None:
    """Listen until the process is told to stop (SIGINT, SIGTERM), saying on stderr where.

    Raises:
        UsageError: the address cannot be bound.
    """
    listening = bind(options)
    asks = "a token" if options.token else "no token, this machine only"
    print(f"imagerag: MCP on {address_of(listening, PATH)} ({asks}); Ctrl-C stops it", file=sys.stderr, flush=True)
    await listener(app, options.connections).serve(sockets=[listening])
