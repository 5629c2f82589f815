"""Who may use the page: its names, the token, the origin of a request, and what a browser may load."""

import hashlib
import hmac
from collections.abc import Iterable
from http.cookies import SimpleCookie
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response

from imagerag.http_server.access import accepted_hosts, accepted_origins
from imagerag.ui.state import UiState

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

SESSION_COOKIE: Final = "imagerag_session"
CSRF_HEADER: Final = "x-csrf-token"
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
OPEN: Final = ("/login", "/language", "/static/")
"""What is answered without the token."""

FORMS: Final = ("/login", "/language")
"""What a browser sends without a script, and so without the header: each checks its form itself."""

HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; img-src 'self' data: blob:; style-src 'self'; style-src-attr 'unsafe-inline'; "
        "script-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}
"""Of every answer: a page loads only what comes from here, and nobody else shows it or its images."""


class PageGuard:
    """Refuses requests under foreign names, from foreign pages, without the token, or that were forged.

    Args:
        app: what answers the others.
        state: the server's options and its secret.
    """

    def __init__(self, app: "ASGIApp", state: UiState) -> None:
        self._app = app
        self._state = state
        self._hosts = accepted_hosts(state.http)
        self._origins = accepted_origins(state.http)

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Let a request through, or not."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)

        async def with_headers(message: "Message") -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("cache-control", "no-store")
            await send(message)

        refusal = self._refusal(scope, Headers(scope=scope))
        return await (refusal or self._app)(scope, receive, with_headers)

    def _refusal(self, scope: "Scope", headers: Headers) -> Response | None:
        path, method = str(scope["path"]), str(scope["method"])
        if not _matches(headers.get("host", ""), self._hosts):
            return PlainTextResponse("This page is not reached by that name: --allow-host NAME allows one.", 421)
        origin = headers.get("origin")
        if (origin is not None and not _matches(origin, self._origins)) or _from_elsewhere(headers, method):
            return PlainTextResponse("A page of another site asked for this.", 403)
        if self._state.http.token and not path.startswith(OPEN) and not signed_in(self._state, headers):
            if method == "GET" and "text/html" in headers.get("accept", ""):
                address = quote(path) + ("?" + scope["query_string"].decode("latin-1") if scope["query_string"] else "")
                return RedirectResponse(f"/login?next={quote(address, safe='/')}", 303)
            return JSONResponse({"error": "UntrustedError", "message": "a token is needed"}, 401)
        changes = method not in SAFE and path not in FORMS
        if changes and not is_csrf_token(self._state, headers.get(CSRF_HEADER, "")):
            return JSONResponse({"error": "UsageError", "message": "the page is out of date: load it again"}, 403)
        return None


def csrf_token(state: UiState) -> str:
    """What this server's own pages send with every request that changes something; other sites cannot read it."""
    return _signed(state, b"csrf")


def is_csrf_token(state: UiState, value: str) -> bool:
    """Whether a page of this server sent a value as its CSRF token."""
    return hmac.compare_digest(value.encode(), csrf_token(state).encode())


def session_value(state: UiState) -> str:
    """The cookie of a browser that has shown the token: it stays good over restarts, and says nothing of the token."""
    assert state.http.token is not None
    return hmac.new(state.http.token.encode(), b"imagerag session", hashlib.sha256).hexdigest()


def signed_in(state: UiState, headers: Headers) -> bool:
    """Whether a request shows the token: as a cookie, or as `Authorization: Bearer TOKEN`."""
    token = state.http.token
    if token is None:
        return True
    bearer = headers.get("authorization", "").encode()
    cookie = SimpleCookie(headers.get("cookie", "")).get(SESSION_COOKIE)
    shown = cookie.value.encode() if cookie else b""
    return hmac.compare_digest(bearer, f"Bearer {token}".encode()) or hmac.compare_digest(
        shown, session_value(state).encode()
    )


def _signed(state: UiState, what: bytes) -> str:
    return hmac.new(state.secret, what, hashlib.sha256).hexdigest()


def _matches(value: str, patterns: Iterable[str]) -> bool:
    """Whether a host or an origin is one of those accepted, whose ":*" is any port."""
    name, _, port = value.lower().rpartition(":")
    any_port = f"{name}:*" if port.isdecimal() else None
    return any(pattern.lower() in (value.lower(), any_port) for pattern in patterns)


def _from_elsewhere(headers: Headers, method: str) -> bool:
    """Whether the browser says that another site's page sent it, and not a person who followed a link."""
    if headers.get("sec-fetch-site", "none") in ("none", "same-origin"):
        return False
    return method != "GET" or headers.get("sec-fetch-mode") != "navigate"
