"""Who may connect to a server of ours: addresses, tokens, and names that it is reached by."""

import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from imagerag.agent.errors import UsageError
from imagerag.http_server.connection_limits import ConnectionLimits
from imagerag.http_server.token_variables import MCP_TOKEN
from imagerag.tools.public_addresses import is_this_machine

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MIN_TOKEN: Final = 16
SESSIONS_PER_CLIENT: Final = 64
_LOCAL_NAMES: Final = ("127.0.0.1", "localhost", "[::1]")


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
        token_variable: the environment variable that a user can put the token into.

    Raises:
        UsageError: reachable from elsewhere without a token or without a name, or a token that is too short.
    """

    host: str = "127.0.0.1"
    port: int = 8765
    token: str | None = None
    names: tuple[str, ...] = ()
    sessions: int = SESSIONS_PER_CLIENT
    connections: ConnectionLimits = field(default_factory=ConnectionLimits)
    token_variable: str = MCP_TOKEN

    def __post_init__(self) -> None:
        if self.token is not None and (len(self.token) < MIN_TOKEN or not self.token.isascii()):
            raise UsageError(f"a token is at least {MIN_TOKEN} ASCII characters: any random text will do")
        if is_this_machine(self.host):
            return
        if not self.token:
            raise UsageError(
                f"--host {self.host} can be reached from elsewhere, so it needs a token: --token-file FILE or "
                f"{self.token_variable}"
            )
        if self.host in ("0.0.0.0", "::", "") and not self.names:
            raise UsageError(
                f"--host {self.host} listens on every address: say by which name clients reach it, --allow-host NAME"
            )


def accepted_hosts(options: HttpOptions) -> list[str]:
    """Accepted Host headers, with ":*" for any port: a page in a browser reaches a server under a name of its own
    (DNS rebinding), and is refused by it.
    """
    own = [] if options.host in ("0.0.0.0", "::", "") else [host_text(options.host)]
    names = [*dict.fromkeys([*_LOCAL_NAMES, *own, *map(host_text, options.names)])]
    return [form for name in names for form in (name, f"{name}:*")]


def accepted_origins(options: HttpOptions) -> list[str]:
    """Accepted Origin headers: those of the accepted hosts."""
    return [f"{scheme}://{host}" for scheme in ("http", "https") for host in accepted_hosts(options)]


def host_text(host: str) -> str:
    """A host as it stands in an address: IPv6 in brackets."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


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
