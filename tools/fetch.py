"""Fetching a picture from an address that somebody else chose.

Whoever names the address may want to reach what only this machine can: a router, a metadata service, a database on
localhost. So names are resolved here, every address they give is checked, and the connection is made to the very
address that was checked: a name that answers differently the second time is never asked a second time.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from imagerag.agent.errors import UsageError

if TYPE_CHECKING:
    from ssl import SSLContext

    import httpx2

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolver = Callable[[str, int], Awaitable[Sequence[str]]]

_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_UNTOLD: Final = frozenset({"", "application/octet-stream", "binary/octet-stream"})
"""Content types that say nothing: what the bytes are is looked at afterwards in any case."""


def is_public(address: Address) -> bool:
    """Whether an address is out on the internet: not loopback, private, link-local, shared (CGNAT), multicast or
    reserved, and not an IPv6 address that only carries such an IPv4 address.
    """
    if isinstance(address, ipaddress.IPv6Address):
        carried = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            carried = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if carried is not None:
            return is_public(carried)
        if address.is_site_local:
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved)


async def resolved(host: str, port: int) -> Sequence[str]:
    """The addresses of a name, by the system's own resolver."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


@dataclass(frozen=True, kw_only=True)
class Fetcher:
    """Fetches pictures over http and https, from public addresses only.

    Attributes:
        max_bytes: what a picture may have at most; the rest is not read.
        timeout_s: for all of it, redirects included, in seconds.
        max_redirects: how often an answer may point elsewhere.
        allowed: which addresses may be connected to.
        resolve: how names become addresses.
        tls: which certificates are trusted; those that are trusted everywhere when None.
    """

    max_bytes: int
    timeout_s: float = 20.0
    max_redirects: int = 3
    allowed: Callable[[Address], bool] = is_public
    resolve: Resolver = resolved
    tls: "SSLContext | None" = None

    async def fetch(self, url: str) -> bytes:
        """The bytes behind a URL.

        Raises:
            UsageError: an address that is not fetched, nothing there, not said to be a picture, too large, too slow.
        """
        import httpx2

        try:
            async with asyncio.timeout(self.timeout_s):
                return await self._follow(url)
        except TimeoutError:
            raise UsageError(f"{_short(url)} did not answer in {self.timeout_s:g} s") from None
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, UnicodeError) as error:
            raise UsageError(f"{_short(url)} cannot be fetched: {error or type(error).__name__}") from error

    async def _follow(self, url: str) -> bytes:
        import httpx2

        # trust_env: a proxy of the environment would resolve the name by itself, and go where it likes.
        tls = True if self.tls is None else self.tls
        async with httpx2.AsyncClient(
            timeout=self.timeout_s, trust_env=False, follow_redirects=False, verify=tls
        ) as client:
            for _ in range(self.max_redirects + 1):
                request = await self._pinned(client, httpx2.URL(url))
                response = await client.send(request, stream=True)
                try:
                    if response.status_code not in _REDIRECTS:
                        return await self._read(response, url)
                    url = str(httpx2.URL(url).join(response.headers.get("location", "")))
                finally:
                    await response.aclose()
        raise UsageError(f"{_short(url)} points elsewhere more than {self.max_redirects} times")

    async def _pinned(self, client: "httpx2.AsyncClient", url: "httpx2.URL") -> "httpx2.Request":
        """A request to the address that was checked, under the name that was asked for."""
        if url.scheme not in ("http", "https") or not url.host:
            raise UsageError(f"{_short(str(url))} is not fetched: only http and https addresses are")
        if url.userinfo:
            raise UsageError("an address with a user name or a password in it is not fetched")
        address = await self._checked(url.host, url.port or (443 if url.scheme == "https" else 80))
        return client.build_request(
            "GET",
            url.copy_with(host=address),
            headers={"Host": url.netloc.decode("ascii"), "Accept": "image/*", "Accept-Encoding": "identity"},
            extensions={"sni_hostname": url.raw_host.decode("ascii")},
        )

    async def _checked(self, host: str, port: int) -> str:
        addresses = await self.resolve(host.strip("[]"), port)
        # One bad address among good ones is refused too: nobody's public pictures are on a name that is also private.
        for address in addresses:
            if not self.allowed(ipaddress.ip_address(address)):
                raise UsageError(f"{host} is not fetched: it is not a public address")
        if not addresses:
            raise UsageError(f"{host} has no address")
        return addresses[0]

    async def _read(self, response: "httpx2.Response", url: str) -> bytes:
        if response.status_code != 200:
            raise UsageError(f"{_short(url)} answered HTTP {response.status_code}")
        told = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if not (told.startswith("image/") or told in _UNTOLD):
            raise UsageError(f"{_short(url)} is no picture but {told[:60]}")
        length = response.headers.get("content-length", "")
        if length.isdigit() and int(length) > self.max_bytes:
            raise UsageError(f"{_short(url)} has more than the {self.max_bytes >> 20} MB that are read")
        whole = bytearray()
        # Raw: what a server would have unpacked here is not an image, and could be a bomb.
        async for piece in response.aiter_raw():
            whole += piece
            if len(whole) > self.max_bytes:
                raise UsageError(f"{_short(url)} has more than the {self.max_bytes >> 20} MB that are read")
        return bytes(whole)


def _short(url: str) -> str:
    """An address fit for a message: no query, where keys are, and not endless."""
    return url.partition("?")[0].partition("#")[0][:200]
