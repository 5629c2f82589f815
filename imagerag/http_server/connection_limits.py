"""Limits of a server's connections: their number, and the time for a request to arrive.

Without limits a client that connects and says nothing keeps a file descriptor for as long as it likes, and after a
thousand of them the process can open no file any more. So there are at most so many connections; where there is no room
for a new one, the oldest that never asked anything makes room for it, or else the oldest that was answered and waits. A
client that comes back on its open connection would find it closed under its request otherwise, in the moment in which
hundreds of silent ones arrive. Whoever is being answered is never cut off.
"""

import asyncio
import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

FILES_KEPT_FREE: Final = 320
"""File descriptors that connections may not take: libraries, databases, calls to models, and one batch of accepting."""

ACCEPTED_AT_ONCE: Final = 64
"""Connections that are taken in before the limits are looked at."""

_LOG_EVERY_S: Final = 60.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ConnectionLimits:
    """Limits of one server.

    Attributes:
        most: connections at a time.
        per_client: requests of one client address that are answered at a time.
        header_s: seconds until a request's headers have to be there, from the connection or the answer before.
        body_s: seconds until its body has to be there.
        unread_s: seconds for which a client may leave unread what was sent to it.
    """

    most: int = 512
    per_client: int = 128
    header_s: float = 10.0
    body_s: float = 30.0
    unread_s: float = 60.0

    def fitting(self) -> "ConnectionLimits":
        """The same, with fewer connections where this process may open few files. It asks for more files first."""
        files = raise_file_limit(self.most + FILES_KEPT_FREE)
        most = self.most if files is None else min(self.most, max(16, files - FILES_KEPT_FREE))
        return replace(self, most=most)


def raise_file_limit(files: int) -> int | None:
    """The open file limit of this process, after raising it to `files`; None on Windows."""
    try:
        import resource
    except ImportError:
        return None
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= files:
        return None if soft == resource.RLIM_INFINITY else soft
    raised = files if hard == resource.RLIM_INFINITY else min(files, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
    except (OSError, ValueError):
        return soft
    return raised


class Connections:
    """The connections of one server, oldest first."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        self._open: dict[LimitedProtocol, None] = {}
        self._closed, self._logged_at = 0, float("-inf")

    def __len__(self) -> int:
        return len(self._open)

    def add(self, new: "LimitedProtocol") -> bool:
        """Take in a connection, making room for it; False where there is none, as everybody is being answered."""
        if len(self._open) >= self.limits.most:
            waiting = [one for one in self._open if not one.answering]
            oldest = next((one for one in waiting if not one.answered), next(iter(waiting), None))
            self._log_closed(new.loop.time())
            if oldest is None:
                return False
            self.remove(oldest)
            oldest.transport.abort()
        self._open[new] = None
        return True

    def remove(self, connection: "LimitedProtocol") -> None:
        """A connection is closed."""
        self._open.pop(connection, None)

    def _log_closed(self, now: float) -> None:
        self._closed += 1
        if now - self._logged_at >= _LOG_EVERY_S:
            log.warning(
                "%d connections are open, which is as many as there may be: closed %d that said nothing, to make room",
                self.limits.most,
                self._closed,
            )
            self._closed, self._logged_at = 0, now


class LimitedProtocol(H11Protocol):
    """A connection within the limits of its server."""

    table: Connections
    """The server's table; set by `protocol_within`."""

    answered = False
    """Whether a request of this connection has been answered."""

    _patience: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None
    _waiting_since = 0.0

    @property
    def answering(self) -> bool:
        """Whether a request is here as a whole, and its answer not yet sent."""
        return self.cycle is not None and not self.cycle.more_body and not self.cycle.response_complete

    def connection_made(self, transport: Any) -> None:
        """A client has connected."""
        super().connection_made(transport)
        if not self.table.add(self):
            transport.abort()
            return
        self._wait_for_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self.table.remove(self)
        for timer in (self._patience, self._unread):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """An answer is sent: the next request may come."""
        super().on_response_complete()
        self.answered = True
        self._wait_for_request()

    def pause_writing(self) -> None:
        """The client does not read."""
        super().pause_writing()
        self._unread = self.loop.call_later(self.table.limits.unread_s, self.transport.abort)

    def resume_writing(self) -> None:
        """The client reads again."""
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()

    def _wait_for_request(self) -> None:
        """Give the client the time that the next request may take. Bytes that drip in do not prolong it."""
        self._waiting_since = self.loop.time()
        if self._patience is not None:
            self._patience.cancel()
        self._patience = self.loop.call_later(self.table.limits.header_s, self._judge)

    def _judge(self) -> None:
        if self.answering or self.transport.is_closing():
            return
        waited, limits = self.loop.time() - self._waiting_since, self.table.limits
        reading = self.cycle is not None and not self.cycle.response_complete  # its headers are here, its body is not
        remaining_s = (limits.body_s if reading else limits.header_s) - waited
        if remaining_s > 0.001:
            self._patience = self.loop.call_later(remaining_s, self._judge)
        else:
            self.transport.abort()


def protocol_within(limits: ConnectionLimits) -> type[LimitedProtocol]:
    """The protocol of one server, for uvicorn's `http` setting."""

    class ServerProtocol(LimitedProtocol):
        table = Connections(limits)

    return ServerProtocol


class RequestLimit:
    """Answers 503 where one client address is being given as many answers as it may at a time."""

    def __init__(self, app: "ASGIApp", per_client: int) -> None:
        self._app = app
        self._per_client = per_client
        self._under_way: dict[str, int] = {}

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        who = client_of(scope)
        if self._under_way.get(who, 0) >= self._per_client:
            from starlette.responses import JSONResponse

            why = f"{self._per_client} requests of yours are being answered, which is as many as there may be"
            return await JSONResponse({"error": why}, 503, {"Retry-After": "1"})(scope, receive, send)
        self._under_way[who] = self._under_way.get(who, 0) + 1
        try:
            return await self._app(scope, receive, send)
        finally:
            self._under_way[who] -= 1
            if not self._under_way[who]:
                del self._under_way[who]


def client_of(scope: "Scope") -> str:
    """The client address of a request."""
    return str((scope.get("client") or ("",))[0])
