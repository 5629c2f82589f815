"""HTTP client for model services: one for all calls of an event loop."""

import asyncio
import base64
import json
import ssl
from base64 import b64encode
from functools import lru_cache
from typing import Final
from urllib.parse import urljoin
from urllib.request import getproxies, proxy_bypass
from weakref import WeakKeyDictionary

import httpx2
import openai

from imagerag.agent.lone_surrogates import valid_text
from imagerag.agent.url_redaction import credentials_of, origin
from imagerag.tools.error_bodies import (
    IN_GOOD_ANSWER,
    UNTOLD_STATUS,
    ErrorBody,
    in_good_answer,
    read_body,
)
from imagerag.tools.optional_fields import PATHS, without_broken_fields
from imagerag.tools.pricing.billed_cost import note
from imagerag.tools.public_addresses import is_this_machine

OPENAI_HOST: Final = "api.openai.com"

SENT_WHOLE: Final = 1 << 20
"""Maximum bytes of a request that are joined and sent at once; larger ones are not copied."""

_LONGEST_ERROR: Final = 1 << 18
"""Bytes; longer bodies hold images."""

_clients: "WeakKeyDictionary[asyncio.AbstractEventLoop, httpx2.AsyncClient]" = WeakKeyDictionary()
_plain_clients: "WeakKeyDictionary[asyncio.AbstractEventLoop, httpx2.AsyncClient]" = WeakKeyDictionary()


def http_client() -> httpx2.AsyncClient:
    """The client of the running event loop; do not close it. Each request has its own timeout.

    It keeps no idle connections: responses take seconds anyway, and nothing stays open when a loop or program ends.
    """
    loop = asyncio.get_running_loop()
    if loop not in _clients:
        repairs = [_replace_lone_surrogates, _leave_broken_fields_out]
        hooks = {"response": [_note_bill, _stay_at_origin, *repairs, _name_errors]}
        # trust_env: the client would make its own transports for proxies, which do not handle credentials.
        _clients[loop] = openai.DefaultAsyncHttpxClient(transport=_Routes(), trust_env=False, event_hooks=hooks)
    return _clients[loop]


def plain_http_client() -> httpx2.AsyncClient:
    """As `http_client`, for services that speak no protocol of OpenAI's: bodies come unread, redirects unfollowed."""
    loop = asyncio.get_running_loop()
    if loop not in _plain_clients:
        _plain_clients[loop] = httpx2.AsyncClient(transport=_Routes(), trust_env=False, follow_redirects=False)
    return _plain_clients[loop]


@lru_cache(maxsize=1)
def ssl_context() -> ssl.SSLContext:
    """The trusted certificates, cached because reading them takes most of the time of making a client."""
    return httpx2.create_ssl_context()


class _Routes(httpx2.AsyncBaseTransport):
    """Transport that sends each request directly or through the environment's proxy, with the address's credentials.

    Requests to this machine never use a proxy, which could read their key.
    """

    def __init__(self) -> None:
        self._made: dict[str, httpx2.AsyncHTTPTransport] = {}

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request."""
        if request.url.host != OPENAI_HOST:  # the client sends these account headers to any server
            for name in ("openai-organization", "openai-project"):
                request.headers.pop(name, None)
        return await self._by(proxy_of(request.url)).handle_async_request(with_credentials(request))

    async def aclose(self) -> None:
        """Close all connections."""
        for transport in self._made.values():
            await transport.aclose()

    def _by(self, proxy: str) -> httpx2.AsyncHTTPTransport:
        if proxy not in self._made:
            usual = openai.DEFAULT_CONNECTION_LIMITS
            limits = type(usual)(max_connections=usual.max_connections, max_keepalive_connections=0)
            self._made[proxy] = _DeliveryTrackingTransport(verify=ssl_context(), limits=limits, proxy=proxy or None)
        return self._made[proxy]


def proxy_of(url: httpx2.URL) -> str:
    """The environment's proxy for an address; empty if requests go directly."""
    if is_this_machine(url.host):
        return ""
    proxies = getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all") or ""
    if not proxy or proxy_bypass(f"{url.host}:{url.port}" if url.port else url.host):
        return ""
    return proxy if "://" in proxy else f"http://{proxy}"


def with_credentials(request: httpx2.Request) -> httpx2.Request:
    """Add the address's password and keys to a request, so that no layer above can see or log them."""
    credentials = credentials_of(str(request.url))
    if credentials is None:
        return request
    headers = request.headers.copy()
    if credentials.user or credentials.password:
        encoded = base64.b64encode(f"{credentials.user}:{credentials.password}".encode()).decode()
        headers["Authorization"] = f"Basic {encoded}"
    url = request.url.copy_merge_params(dict(credentials.query)) if credentials.query else request.url
    return httpx2.Request(request.method, url, headers=headers, stream=request.stream, extensions=request.extensions)


class _DeliveryTrackingTransport(httpx2.AsyncHTTPTransport):
    """Sends a form with several files in one piece; part by part takes longer than all other steps of a request."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if int(request.headers.get("content-length", SENT_WHOLE + 1)) <= SENT_WHOLE:
            await request.aread()
        return await super().handle_async_request(request)


async def _note_bill(response: httpx2.Response) -> None:
    """Note the cost in a proxy's response header."""
    if response.status_code == 200:
        note(response.headers)


async def _stay_at_origin(response: httpx2.Response) -> None:
    """Block redirects to other servers, so that neither keys nor images are sent there."""
    if response.has_redirect_location:
        requested = str(response.request.url)
        if origin(urljoin(requested, response.headers["location"])) != origin(requested):
            del response.headers["location"]


async def _replace_lone_surrogates(response: httpx2.Response) -> None:
    r"""Replace halves of characters (`"\ud800"`) in JSON by U+FFFD: no client accepts them, and nothing can store them.

    Models that are cut off within an emoji send them. An image that was paid for would be lost with them.
    """
    if not _is_json(response):
        return
    content = await response.aread()
    if b"\\ud" not in content and b"\\uD" not in content:
        return
    try:
        text = json.dumps(json.loads(content), ensure_ascii=False)
    except (ValueError, RecursionError):
        return
    valid = valid_text(text)
    if valid != text:
        response._content = valid.encode()


async def _leave_broken_fields_out(response: httpx2.Response) -> None:
    """Leave out optional fields that clients trip over, so that no response is lost for a broken count of tokens."""
    if response.status_code != 200 or not _is_json(response) or not response.request.url.path.endswith(PATHS):
        return
    try:
        body = json.loads(await response.aread())
        usable = without_broken_fields(body) if isinstance(body, dict) else body
    except (ValueError, RecursionError):
        return
    if usable != body:
        response._content = json.dumps(usable).encode()
    # The client would parse the body again: one with an image has megabytes.
    response.json = lambda **_: usable  # type: ignore[method-assign]


def _is_json(response: httpx2.Response) -> bool:
    return response.headers.get("content-type", "").partition(";")[0].strip().lower().endswith("json")


async def _name_errors(response: httpx2.Response) -> None:
    """Give an error in a response with status 200 an error status: JSON, or an HTML page instead of the expected JSON.

    The client then raises it like any other error, with the server's message.
    """
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if response.status_code == 200 and kind.startswith("image/"):
        await _as_json(response)
        return
    if response.status_code != 200 or not (kind.endswith("json") or kind == "text/html"):
        return
    if len(await response.aread()) > _LONGEST_ERROR and kind != "text/html":
        return
    error = error_in(response.text, page=kind == "text/html")
    if error is not None:
        response.extensions[IN_GOOD_ANSWER] = True
        response.status_code = error.status or UNTOLD_STATUS


async def _as_json(response: httpx2.Response) -> None:
    """Wrap a bare image body as the equivalent JSON response; the client would read it as text."""
    image = b64encode(await response.aread()).decode()
    response._content = json.dumps({"data": [{"b64_json": image}]}).encode()
    response.headers["content-type"] = "application/json"


def error_in(text: str, *, page: bool = False) -> ErrorBody | None:
    """The error in the text of a response with status 200; None if it holds none."""
    if page:
        return read_body(text)
    try:
        return in_good_answer(json.loads(text))
    except (ValueError, RecursionError):
        return None
