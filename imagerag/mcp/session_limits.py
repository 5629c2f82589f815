"""Limit of the sessions of one client.

Clients that reconnect often never end their old session. So a client that opens one too many loses the one that it has
used least lately, unless a request of it is being answered: first those in which nothing was ever asked.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from imagerag.http_server.connection_limits import client_of

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

SESSION: Final = b"mcp-session-id"


@dataclass
class _Session:
    client: str
    requests: int = 0
    under_way: int = 0


class SessionLimit:
    """ASGI middleware that ends a client's oldest session where it opens one too many.

    Args:
        app: the MCP server.
        per_client: sessions that one client address may have.
    """

    def __init__(self, app: "ASGIApp", per_client: int) -> None:
        self._app = app
        self._per_client = per_client
        self._sessions: OrderedDict[str, _Session] = OrderedDict()

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Pass a request on, noting the session it opens, uses or ends."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        opened = ""

        async def sending(message: "Message") -> None:
            nonlocal opened
            if message["type"] == "http.response.start" and message["status"] < 400:
                opened = _session_in(message.get("headers", ()))
            await send(message)

        session = self._sessions.get(name := _session_in(scope.get("headers", ())))
        if session is not None:
            self._sessions.move_to_end(name)
            session.requests += 1
            session.under_way += 1
        try:
            await self._app(scope, receive, sending if not name else send)
        finally:
            if session is not None:
                session.under_way -= 1
            if name and scope.get("method") == "DELETE":
                self._sessions.pop(name, None)
        if opened:
            await self._note(opened, client_of(scope), scope)

    async def _note(self, opened: str, client: str, scope: "Scope") -> None:
        theirs = {name: one for name, one in self._sessions.items() if one.client == client and not one.under_way}
        count = sum(one.client == client for one in self._sessions.values())
        self._sessions[opened] = _Session(client)
        if count < self._per_client or not theirs:
            return
        # The greeting is two requests: the one that opens the session, and the notice that it was received.
        idle = next((name for name, one in theirs.items() if one.requests < 2), next(iter(theirs)))
        self._sessions.pop(idle)
        await self._end(idle, scope)

    async def _end(self, name: str, scope: "Scope") -> None:
        """End a session as its client would."""
        headers = [(key, value) for key, value in scope["headers"] if key in (b"host", b"authorization", b"origin")]

        async def receive() -> "Message":
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(_: "Message") -> None:
            return None

        end_scope = {**scope, "method": "DELETE", "headers": [*headers, (SESSION, name.encode("latin-1"))]}
        await self._app(end_scope, receive, send)


def _session_in(headers: Any) -> str:
    return next((value.decode("latin-1") for key, value in headers if key.lower() == SESSION), "")
