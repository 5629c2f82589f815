"""Account at an OpenAI-compatible service (address and key), and its client."""

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlsplit
from weakref import WeakKeyDictionary

from imagerag.agent.errors import SpecError
from imagerag.agent.url_redaction import public_address
from imagerag.tools.credentials import Key, check_encrypted, key_to, no_key, own_address, secrets_of
from imagerag.tools.services.lookup import service_named
from imagerag.tools.services.service import Service

if TYPE_CHECKING:
    import openai

    from imagerag.tools.spec import BackendSpec

OPENAI_URL: Final = "https://api.openai.com/v1"
NO_KEY: Final = "none"
"""Sent as the key if there is none, because the client requires one."""

TIMEOUT_S: Final = 180.0
"""The client's own default of 600 s is longer than most runs' deadlines."""

_clients: "WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[OpenAICredentials, float], openai.AsyncOpenAI]]"
_clients = WeakKeyDictionary()
"""Clients are cached: creating one takes as long as a tenth of a request."""


@dataclass(frozen=True)
class OpenAICredentials:
    """An address and its key. Neither appears in a repr.

    Attributes:
        base_url: ends in `/v1` or the service's equivalent; without its query and without secrets.
        key: the key to send; None if there is none.
        query: (name, value) pairs sent with every request, for instance `api-version`.
        variable: the environment variable that holds, or must hold, the key.
        named: whether the user explicitly assigned this key to this address.
        service: the service that the spec names, if it names one.
    """

    base_url: str = field(default=OPENAI_URL, repr=False)
    key: str | None = field(default=None, repr=False)
    query: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    variable: str | None = None
    named: bool = False
    service: Service | None = field(default=None, repr=False)

    @classmethod
    def of(
        cls,
        base_url: str | None = None,
        key: str | None = None,
        key_env: str | None = None,
        service: Service | None = None,
    ) -> "OpenAICredentials":
        """The account for an address, by default OpenAI's or that of OPENAI_BASE_URL.

        Args:
            key: by default the result of `credentials.key_to` for the address.
            key_env: the environment variable with the key to this address.
            service: the service that a spec names; its address is the default.

        Raises:
            SpecError: the service has no address but that of a variable, which is not set or no address.
        """
        address, _, query = public_address(base_url or _default(service)).partition("?")
        address = address.rstrip("/")
        credential = key_to(address, key=key, key_env=key_env, service=service)
        pairs = tuple(parse_qsl(query, keep_blank_values=True))
        return cls(address, credential.value, pairs, credential.variable, credential.named, service)

    @classmethod
    def of_spec(cls, spec: "BackendSpec", base_url: str | None = None) -> "OpenAICredentials":
        """The account of a spec.

        Args:
            base_url: the provider's own address, used if the spec names none.

        Raises:
            SpecError: as `of`.
        """
        return cls.of(spec.base_url or base_url, key_env=spec.key_env, service=service_named(spec.provider))

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
        """Texts that no message may show: the key, and secrets in the address."""
        return secrets_of(self.base_url, self.key)

    def named_as(self, provider: str, model: str) -> str:
        """A backend's identity: `provider:model`, with the address if it is not the provider's own.

        A service's name takes the provider's place.
        """
        name = f"{self.service.name if self.service else provider}:{model}"
        own = self.base_url == self.service.address if self.service else self.official
        return name if own else f"{name}@{self.base_url}"

    @property
    def runs_models(self) -> bool:
        """Whether the service runs models itself, whatever their names."""
        return self.service is not None and self.service.runs_models

    @property
    def biller(self) -> str:
        """Host of the service that bills: a service that is named stays it behind a proxy of the user's."""
        hosted = self.service is not None and self.service.key_required and self.service.address
        return urlsplit(hosted).hostname or "" if hosted else self.host

    def sent_key(self, who: str) -> str:
        """The key to send; a placeholder for servers that need none.

        Raises:
            AuthError: the service requires a key and there is none, or it would be sent unencrypted; the message says
                what to type.
        """
        key = Key(self.key, self.variable, self.named)
        if self.key != NO_KEY:
            check_encrypted(self.base_url, who, key)
        if missing := no_key(who, self.base_url, key):
            raise missing
        return self.key or NO_KEY

    def client(self, who: str, timeout_s: float) -> "openai.AsyncOpenAI":
        """The event loop's client for this account; do not close it.

        It never retries: the graph does, where retries are visible.

        Raises:
            AuthError: a key is required and there is none.
        """
        import openai

        from imagerag.tools.http_client import http_client

        clients = _clients.setdefault(asyncio.get_running_loop(), {})
        if (self, timeout_s) not in clients:
            clients[self, timeout_s] = openai.AsyncOpenAI(
                api_key=self.sent_key(who),
                base_url=self.base_url,
                default_query=dict(self.query),
                max_retries=0,
                timeout=timeout_s,
                http_client=http_client(),
            )
        return clients[self, timeout_s]


def _default(service: Service | None) -> str:
    """The address for a spec that names none."""
    if service is None:
        return own_address() or OPENAI_URL
    if service.base_url:
        return service.base_url
    raise SpecError(
        f"{service.title} has an address of your own: set {service.address_variable}, or write {service.name}:MODEL@URL"
    )
