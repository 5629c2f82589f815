"""Origins of web pages that may use the HTTP server, and host names under which it answers.

A browser lets every page send requests to a server on this machine. A page says where it comes from (Origin), and what
name it reached the server by (Host): one whose own name was made to lead here (DNS rebinding) says that name. Both are
compared with lists, before anything else looks at a request. Programs send no Origin and are not concerned.
"""

import ipaddress
import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

HOSTS_VARIABLE: Final = "IMAGERAG_ALLOWED_HOSTS"
LOCAL_HOSTS: Final = ("localhost", "127.0.0.1", "::1")
_IN_PROCESS: Final = "/noauth"
"""The root path of requests that the server makes to itself; none that comes over the network has it."""


@dataclass(frozen=True, kw_only=True)
class AllowedOrigins:
    """Requests that are answered.

    Attributes:
        hosts: names and addresses that clients reach the server by, without ports.
        origins: origins of web pages, `scheme://host[:port]`; `*` is every page.
        pattern: a regular expression of further origins; empty is none.
    """

    hosts: frozenset[str] = frozenset(LOCAL_HOSTS)
    origins: frozenset[str] = frozenset()
    pattern: str = ""

    @classmethod
    def from_environment(cls) -> "AllowedOrigins":
        """The lists as they are set up: hosts in IMAGERAG_ALLOWED_HOSTS, origins in `http.cors` of `langgraph.json`
        (which the server hands on in its environment), beside this machine's own names.
        """
        names = os.environ.get(HOSTS_VARIABLE, "").replace(",", " ").split()
        cors = _cors()
        origins = {str(one).rstrip("/").lower() for one in cors.get("allow_origins") or ()}
        return cls(
            hosts=frozenset({*LOCAL_HOSTS, *map(_host_name, names)}),
            origins=frozenset(origins),
            pattern=str(cors.get("allow_origin_regex") or ""),
        )

    def why_not(self, scope: "Scope") -> str:
        """Reason why a request is not answered; empty when it is."""
        hosts = [value.decode("latin-1") for value in _headers(scope, b"host")]
        if len(hosts) != 1 or _host_name(hosts[0]) not in self.hosts:
            host = hosts[0][:100] if hosts else "none"
            return f"this server is not reached by the name {host!r}: {HOSTS_VARIABLE} lists further ones"
        own = f"{scope.get('scheme', 'http').replace('ws', 'http')}://{hosts[0].lower()}"
        for origin in _origins(scope):
            if origin != own and not self._lists(origin):
                return f"pages of {origin[:100]!r} may not use this server: http.cors in langgraph.json lists who may"
        return ""

    def _lists(self, origin: str) -> bool:
        if "*" in self.origins or origin in self.origins:
            return True
        return bool(self.pattern) and re.fullmatch(self.pattern, origin) is not None


class OriginGuard:
    """ASGI middleware that answers 403 to whoever is not on the lists.

    Args:
        app: what answers the others.
        allowed: the lists; those of the environment when None.
    """

    def __init__(self, app: "ASGIApp", allowed: AllowedOrigins | None = None) -> None:
        self._app = app
        self._allowed = allowed or AllowedOrigins.from_environment()

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Pass a request on, or refuse it."""
        inside = str(scope.get("root_path", "")).startswith(_IN_PROCESS)
        if scope["type"] not in ("http", "websocket") or inside or not (why := self._allowed.why_not(scope)):
            await self._app(scope, receive, send)
            return
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": "not allowed"})
            return
        from starlette.responses import JSONResponse

        await JSONResponse({"error": "ForbiddenError", "message": why}, 403)(scope, receive, send)


def _cors() -> dict[str, Any]:
    """The server's settings of cross-origin requests, wherever they were set."""
    for variable in ("CORS_CONFIG", "LANGGRAPH_HTTP"):
        try:
            settings = json.loads(os.environ.get(variable) or "{}")
        except ValueError:
            continue
        settings = settings if variable == "CORS_CONFIG" else settings.get("cors")
        if isinstance(settings, dict) and settings:
            return settings
    return {"allow_origins": os.environ.get("CORS_ALLOW_ORIGINS", "").replace(",", " ").split()}


def _origins(scope: "Scope") -> Iterator[str]:
    """Origin of the page that sent a request; nothing for programs.

    Images and scripts of a page come without Origin. Browsers say then that they are another site's, and by Referer
    whose; a person who follows a link to this server is no page.
    """
    origins = [value.decode("latin-1").lower() for value in _headers(scope, b"origin")]
    if origins or not set(_headers(scope, b"sec-fetch-site")) & {b"cross-site", b"same-site"}:
        yield from origins
        return
    followed = {b"navigate"} == set(_headers(scope, b"sec-fetch-mode")) and b"document" in _headers(
        scope, b"sec-fetch-dest"
    )
    if followed and scope.get("method") in ("GET", "HEAD"):
        return
    referrer = urlsplit(next(_headers(scope, b"referer"), b"").decode("latin-1").lower())
    yield f"{referrer.scheme}://{referrer.netloc}" if referrer.netloc else "another site"


def _headers(scope: "Scope", name: bytes) -> Iterator[bytes]:
    headers: Iterable[tuple[bytes, bytes]] = scope.get("headers", ())
    return (value for key, value in headers if key == name)


def _host_name(host: str) -> str:
    """A name or an address without its port, as it is compared."""
    unported = host.rpartition(":")[0] if re.search(r"(\]|^[^:]*):\d*$", host) else host
    name = unported.strip("[]").lower()
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name
