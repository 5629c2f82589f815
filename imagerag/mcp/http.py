"""Serving over HTTP: who may connect, under which names, and noticing that a client is gone."""

import asyncio
import hmac
import ipaddress
import logging
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from imagerag.agent.errors import UsageError
from imagerag.mcp.connection_limits import ACCEPTED_AT_ONCE, ConnectionLimits, RequestLimit, protocol_within
from imagerag.mcp.session_limits import SessionLimit

if TYPE_CHECKING:
    import uvicorn
    from mcp.server import MCPServer
    from mcp.server.transport_security import TransportSecuritySettings
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

PATH: Final = "/mcp"
GONE: Final = "imagerag.gone"
"""Key of the event in a request's scope that is set when the client is gone."""

SESSION_IDLE_S: Final = 600.0
MAX_SESSIONS: Final = 1_000
SESSIONS_PER_CLIENT: Final = 64
SHUTDOWN_S: Final = 5
_LOCAL_NAMES: Final = ("127.0.0.1", "localhost", "[::1]")
MIN_TOKEN: Final = 16

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class HttpOptions:
    """Options of the HTTP server.

    Attributes:
        host: name or address to bind to.
        port: 0 takes a free one.
        token: what clients must send as `Authorization: Bearer TOKEN`; None asks for nothing, on loopback only.
        names: further names that clients reach this server by.
        sessions: that one client address may have open.
        connections: how many there may be, and how long they may take.

    Raises:
        UsageError: reachable from elsewhere without a token or without a name, or a token that is too short.
    """

    host: str = "127.0.0.1"
    port: int = 8765
    token: str | None = None
    names: tuple[str, ...] = ()
    sessions: int = SESSIONS_PER_CLIENT
    connections: ConnectionLimits = field(default_factory=ConnectionLimits)

    def __post_init__(self) -> None:
        if self.token is not None and (len(self.token) < MIN_TOKEN or not self.token.isascii()):
            raise UsageError(f"a token is at least {MIN_TOKEN} ASCII characters: any random text will do")
        if is_loopback(self.host):
            return
        if not self.token:
            raise UsageError(
                f"--host {self.host} can be reached from elsewhere, so it needs a token: --token-file FILE or "
                "IMAGERAG_MCP_TOKEN"
            )
        if self.host in ("0.0.0.0", "::", "") and not self.names:
            raise UsageError(
                f"--host {self.host} listens on every address: say by which name clients reach it, --allow-host NAME"
            )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what is bound to `host`."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def guard_of(options: HttpOptions) -> "TransportSecuritySettings":
    """Accepted Host and Origin headers: a page in a browser reaches this server under a name of its own
    (DNS rebinding), and is refused by it.
    """
    from mcp.server.transport_security import TransportSecuritySettings

    own = [] if options.host in ("0.0.0.0", "::", "") else [_host_text(options.host)]
    names = [*dict.fromkeys([*_LOCAL_NAMES, *own, *map(_host_text, options.names)])]
    hosts = [form for name in names for form in (name, f"{name}:*")]
    return TransportSecuritySettings(
        enable_dns_rebinding_protection=True,
        allowed_hosts=hosts,
        allowed_origins=[f"{scheme}://{host}" for scheme in ("http", "https") for host in hosts],
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


class CloseOnUnreadBody:
    """Closes the connection of whoever was answered before all was read: too large, or without the token.

    The server would otherwise read on, and a body need not end.
    """

    def __init__(self, app: "ASGIApp") -> None:
        self._app = app

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Pass a request on."""
        headers = dict(scope.get("headers", ()))
        coming = b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0"
        if scope["type"] != "http" or not coming:
            await self._app(scope, receive, send)
            return

        async def receiving() -> "Message":
            nonlocal coming
            message = await receive()
            coming = coming and bool(message.get("more_body"))
            return message

        async def sending(message: "Message") -> None:
            if message["type"] == "http.response.start" and coming:
                message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
            await send(message)

        await self._app(scope, receiving, sending)


class BearerAuth:
    """Answers 401 to whoever does not know the token, before anything else is looked at."""

    def __init__(self, app: "ASGIApp", token: str) -> None:
        self._app = app
        self._wanted = f"Bearer {token}".encode()

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Let a request through, or not."""
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        tokens = [value for name, value in scope.get("headers", ()) if name == b"authorization"]
        if len(tokens) == 1 and hmac.compare_digest(tokens[0], self._wanted):
            return await self._app(scope, receive, send)
        from starlette.responses import JSONResponse

        refusal = JSONResponse(
            {"error": "a token is needed: Authorization: Bearer TOKEN"},
            status_code=401,
            headers={"WWW-Authenticate": 'Bearer realm="imagerag"'},
        )
        return await refusal(scope, receive, send)


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
    listening = bound(options)
    asks = "a token" if options.token else "no token, this machine only"
    print(f"imagerag: MCP on {address_of(listening)} ({asks}); Ctrl-C stops it", file=sys.stderr, flush=True)
    await listener(app, options.connections).serve(sockets=[listening])


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


def address_of(listening: socket.socket) -> str:
    """The server's URL for clients."""
    host, port = listening.getsockname()[:2]
    return f"http://{_host_text(str(host))}:{port}{PATH}"


def bound(options: HttpOptions) -> socket.socket:
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


def _host_text(host: str) -> str:
    """A host as it stands in an address: IPv6 in brackets."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
