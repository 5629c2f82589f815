"""Where an OpenAI-like service is, and the key it wants."""

import asyncio
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlsplit
from weakref import WeakKeyDictionary

from imagerag.agent.errors import AuthError

if TYPE_CHECKING:
    import openai

OPENAI_URL: Final = "https://api.openai.com/v1"

KEYS: Final = {
    "api.openai.com": "OPENAI_API_KEY",
    "openrouter.ai": "OPENROUTER_API_KEY",
    "generativelanguage.googleapis.com": "GEMINI_API_KEY",
}
"""Services that always want a key of their own, and the variable it is kept in. OpenAI's key is not sent to others."""

_SECRET: Final = re.compile(r"key|token|secret|sig|pass|code", re.I)
"""Names of values in an address's query that no message may show."""

TIMEOUT_S: Final = 180.0
"""The client's own default of 600 s is longer than most runs may take."""

_clients: "WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[Account, float], openai.AsyncOpenAI]]"
_clients = WeakKeyDictionary()
"""Making one takes as long as a tenth of a request does."""


@dataclass(frozen=True)
class Account:
    """An address and the key to it. Neither shows in a repr: an address can hold a password.

    Attributes:
        base_url: ends in `/v1` or what the service has instead; without its query.
        query: (name, value) that go with every request, for instance `api-version`.
    """

    base_url: str = field(default=OPENAI_URL, repr=False)
    key: str | None = field(default=None, repr=False)
    query: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, base_url: str | None = None, key: str | None = None) -> "Account":
        """The account for an address: OpenAI's unless another is given (argument, or OPENAI_BASE_URL).

        Args:
            key: default: the variable of `KEYS` for that host; OPENAI_API_KEY, if set, for hosts that are not in it.
        """
        given = base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI_URL
        address, _, query = given.partition("#")[0].partition("?")
        address = address.rstrip("/")
        key = key or os.environ.get(KEYS.get(urlsplit(address).hostname or "", "OPENAI_API_KEY"))
        return cls(address, key, tuple(parse_qsl(query, keep_blank_values=True)))

    @property
    def host(self) -> str:
        """The service's host name."""
        return urlsplit(self.base_url).hostname or ""

    @property
    def official(self) -> bool:
        """Whether it is OpenAI itself."""
        return self.host == "api.openai.com"

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no message may show: the key, and a password inside the address."""
        queried = (value for name, value in self.query if _SECRET.search(name))
        return tuple(filter(None, (self.key, urlsplit(self.base_url).password, *queried)))

    def named(self, provider: str, model: str) -> str:
        """A backend's identity: `provider:model`, with the address where it is not OpenAI's, without secrets in it."""
        if self.official:
            return f"{provider}:{model}"
        scheme, _, place = self.base_url.partition("://")
        return f"{provider}:{model}@{scheme}://{place.rpartition('@')[2]}"

    def sent_key(self, who: str) -> str:
        """The key to send; a placeholder for servers that want none.

        Raises:
            AuthError: the service wants one and there is none; the message says what to set.
        """
        if self.key:
            return self.key
        if variable := KEYS.get(self.host):
            raise AuthError(
                f"{who} needs a key: set {variable}, or name another server, for instance PROVIDER:MODEL@URL"
            )
        return "none"

    def client(self, who: str, timeout_s: float) -> "openai.AsyncOpenAI":
        """The event loop's client for this account, not to be closed.

        It never retries by itself: retries are the graph's, where they can be seen.

        Raises:
            AuthError: a key is needed and there is none.
        """
        import openai

        from imagerag.tools.connections import connections

        known = _clients.setdefault(asyncio.get_running_loop(), {})
        if (self, timeout_s) not in known:
            known[self, timeout_s] = openai.AsyncOpenAI(
                api_key=self.sent_key(who),
                base_url=self.base_url,
                default_query=dict(self.query),
                max_retries=0,
                timeout=timeout_s,
                http_client=connections(),
            )
        return known[self, timeout_s]
