"""Download an image or a JSON document from an untrusted URL: one that an assistant, a service or a model chose.

An attacker may choose a URL that only this machine can reach: a router, a metadata service, a database on localhost. So
names are resolved here, all their addresses are checked, and the connection is made to the checked address: a name that
resolves differently a second time has no effect. One host is exempt: the one that the user configured for such a
service.
"""

import asyncio
import ipaddress
import json
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal

from imagerag.agent.errors import UsageError
from imagerag.agent.images.formats import looks_like_an_image
from imagerag.tools.public_addresses import Address, is_public

if TYPE_CHECKING:
    from ssl import SSLContext

    import httpx2

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_PORTS: Final[Mapping[str, int]] = {"http": 80, "https": 443}
_UNTOLD: Final = frozenset({"", "application/octet-stream", "binary/octet-stream"})
"""Content types without information; the bytes are checked afterwards in any case."""
_PASSING: Final = frozenset({404, 408, 409, 423, 425, 429})
"""Statuses that may change a moment later: some stores give out an image's URL before they have the image."""


class FetchError(UsageError):
    """Nothing was downloaded.

    Attributes:
        why: the problem with the URL, in words that follow its name.
        status: the HTTP status of the response, if there was one.
        passing: whether a retry a moment later may succeed.
        retry_after_s: seconds after which the server said to ask again; None where it did not.
    """

    def __init__(
        self,
        place: str,
        why: str,
        *,
        status: int | None = None,
        passing: bool = False,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(f"{place} {why}")
        self.why = why
        self.status = status
        self.passing = passing
        self.retry_after_s = retry_after_s


async def resolved(host: str, port: int) -> Sequence[str]:
    """Resolve a name to its addresses with the system's resolver."""
    loop = asyncio.get_running_loop()
    entries = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in entries]


@dataclass(frozen=True, kw_only=True)
class Fetcher:
    """Downloads images and JSON documents over http and https, from public addresses only.

    Attributes:
        max_bytes: maximum size of an image or a document; the rest is not read.
        timeout_s: total timeout, redirects included, in seconds.
        max_redirects: maximum number of redirects.
        clear: whether plain http is allowed; at `own_host` it always is.
        own_host: a host that the user configured: it may be private, on any port, and is reached like any other request
            to it, proxies included.
        own_port: the only port of `own_host` that is exempt; 0 exempts all.
        allowed: whether an address may be connected to.
        resolve: resolver of names.
        tls: trusted certificates; by default those of `ssl_context`.
    """

    max_bytes: int
    timeout_s: float = 20.0
    max_redirects: int = 3
    clear: bool = True
    own_host: str = ""
    own_port: int = 0
    allowed: Callable[[Address], bool] = is_public
    resolve: Resolver = resolved
    tls: "SSLContext | None" = None

    async def fetch(self, url: str, *, headers: Mapping[str, str] | None = None) -> bytes:
        """Download the bytes of a URL.

        Args:
            headers: more headers for the URL itself; redirects get the `User-Agent` alone.

        Raises:
            FetchError: a forbidden URL, a missing or invalid image, or one that is too large or too slow.
        """
        return await self._fetch(url, _Request(headers=headers or {}))

    async def fetch_json(self, url: str, *, headers: Mapping[str, str] | None = None, body: object = None) -> Any:
        """Download a JSON document.

        Args:
            headers: as of `fetch`.
            body: posted as JSON; a redirect is then an error. None gets the document.

        Raises:
            FetchError: as `fetch`; or it is no JSON.
        """
        content = None if body is None else json.dumps(body).encode()
        data = await self._fetch(url, _Request(headers=headers or {}, body=content, kind="json"))
        try:
            return json.loads(data)
        except (ValueError, RecursionError) as error:
            raise FetchError(_short(url), f"is no JSON that can be read: {_error_text(error)[:100]}") from error

    async def _fetch(self, url: str, request: "_Request") -> bytes:
        import httpx2

        try:
            async with asyncio.timeout(self.timeout_s):
                return await self._follow(url, request)
        except TimeoutError:
            raise FetchError(_short(url), f"did not answer in {self.timeout_s:g} s", passing=True) from None
        except UsageError:  # a subclass of ValueError
            raise
        except (httpx2.InvalidURL, ValueError) as error:
            raise FetchError(_short(url), f"cannot be fetched: {_error_text(error)}") from error
        except (httpx2.HTTPError, OSError) as error:
            raise FetchError(_short(url), f"cannot be fetched: {_error_text(error)}", passing=True) from error

    async def _follow(self, url: str, details: "_Request") -> bytes:
        import httpx2

        first = url
        for _ in range(self.max_redirects + 1):
            place = httpx2.URL(url)
            async with self._client(place) as client:
                request = await self._request(client, place, details)
                response = await client.send(request, stream=True)
                try:
                    if response.status_code not in _REDIRECTS or details.body is not None:
                        return await self._read(response, url, details)
                    url = str(place.join(response.headers.get("location", "")))
                    details = replace(details, headers=_of_every_host(details.headers))
                finally:
                    await response.aclose()
        raise FetchError(_short(first), f"points elsewhere more than {self.max_redirects} times")

    def _client(self, url: "httpx2.URL") -> "httpx2.AsyncClient":
        import httpx2

        from imagerag.tools.http_client import ssl_context

        # trust_env: the environment's proxy would resolve an untrusted name by itself, and connect to any address.
        return httpx2.AsyncClient(
            timeout=self.timeout_s,
            trust_env=self._is_own(url),
            follow_redirects=False,
            verify=ssl_context() if self.tls is None else self.tls,
        )

    def _is_own(self, url: "httpx2.URL") -> bool:
        if not self.own_host or url.host.lower() != self.own_host.lower():
            return False
        return self.own_port in (0, url.port or _PORTS.get(url.scheme))

    async def _request(self, client: "httpx2.AsyncClient", url: "httpx2.URL", details: "_Request") -> "httpx2.Request":
        """A request to the checked address, under the requested host name."""
        own, headers = self._is_own(url), {"Accept-Encoding": "identity", **details.all_headers}
        method, body = ("GET" if details.body is None else "POST"), details.body
        if url.scheme not in ("http", "https") or not url.host:
            raise FetchError(_short(str(url)), "is not fetched: only http and https addresses are")
        if own:
            return client.build_request(method, url, headers=headers, content=body)
        if url.userinfo:
            raise UsageError("an address with a user name or a password in it is not fetched")
        if url.scheme != "https" and not self.clear:
            raise FetchError(_short(str(url)), "is not fetched: only https addresses are")
        address = await self._checked(url.host, url.port or _PORTS[url.scheme])
        return client.build_request(
            method,
            url.copy_with(host=address),
            content=body,
            headers={**headers, "Host": url.netloc.decode("ascii")},
            extensions={"sni_hostname": url.raw_host.decode("ascii")},
        )

    async def _checked(self, host: str, port: int) -> str:
        addresses = await self.resolve(host.strip("[]"), port)
        # One bad address among good ones is refused too: no public image host also has a private address.
        for address in addresses:
            if not self.allowed(ipaddress.ip_address(address)):
                raise FetchError(host, "is not fetched: it is not a public address")
        if not addresses:
            raise FetchError(host, "has no address", passing=True)
        return addresses[0]

    async def _read(self, response: "httpx2.Response", url: str, details: "_Request") -> bytes:
        status, too_large = response.status_code, f"has more than the {self.max_bytes >> 20} MB that are read"
        if status != 200:
            raise FetchError(
                _short(url),
                f"answers HTTP {status}",
                status=status,
                passing=status >= 500 or status in _PASSING,
                retry_after_s=_retry_after(response.headers),
            )
        length = response.headers.get("content-length", "")
        if length.isdigit() and int(length) > self.max_bytes:
            raise FetchError(_short(url), too_large)
        message = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if details.kind == "json" and not (message.endswith("json") or message in _UNTOLD):
            raise FetchError(_short(url), f"is no JSON but {message[:60]}")
        whole, judged = bytearray(), details.kind == "json" or message.startswith("image/") or message in _UNTOLD
        # Raw: a body that a server compressed is no image, and could be a decompression bomb.
        async for piece in response.aiter_raw():
            whole += piece
            if len(whole) > self.max_bytes:
                raise FetchError(_short(url), too_large)
            if not judged and len(whole) >= _SIGNATURE:
                judged = _is_image(whole, message, url)
        if not judged:
            _is_image(whole, message, url)
        return bytes(whole)


@dataclass(frozen=True, kw_only=True)
class _Request:
    """What is asked of an address.

    Attributes:
        headers: more headers; a redirect gets the `User-Agent` alone.
        body: posted, as JSON; None is a GET.
    """

    headers: Mapping[str, str]
    body: bytes | None = None
    kind: Literal["image", "json"] = "image"

    @property
    def all_headers(self) -> dict[str, str]:
        accept = {"Accept": "image/*" if self.kind == "image" else "application/json"}
        return {**accept, **({} if self.body is None else {"Content-Type": "application/json"}), **self.headers}


def _of_every_host(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() == "user-agent"}


def _retry_after(headers: Mapping[str, str]) -> float | None:
    from imagerag.tools.openai.retry_delay import retry_delay

    return retry_delay(headers, "")


_SIGNATURE: Final = 12
"""First bytes of image formats."""


def _is_image(data: bytearray, media_type: str, url: str) -> bool:
    """Whether bytes with another content type start as an image does: some stores declare everything as text."""
    if not looks_like_an_image(bytes(data[:_SIGNATURE])):
        raise FetchError(_short(url), f"is no image but {media_type[:60]}")
    return True


def _error_text(error: Exception) -> str:
    return str(error) or type(error).__name__


def _short(url: str) -> str:
    """A URL for messages: without query, which may hold keys, without password, and of limited length."""
    plain = url.partition("?")[0].partition("#")[0]
    scheme, colon, rest = plain.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{colon}{host.rpartition('@')[2]}{slash}{path}"[:200]
