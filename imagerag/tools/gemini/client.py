"""Account at the Gemini API or a gateway to it, and one request to `generateContent`.

The SDK makes the request; its response is read here (`responses.py`). Retries, function calls and continuations of the
SDK are off: each of them is a further paid call, and calls are counted and journalled by the run.
"""

import asyncio
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from imagerag.agent.extras import import_extra
from imagerag.agent.url_redaction import public_address
from imagerag.tools.credentials import Key, check_encrypted, key_to, no_key, secrets_of
from imagerag.tools.error_bodies import body_of, is_page

if TYPE_CHECKING:
    from google.genai.client import AsyncClient

    from imagerag.tools.spec import BackendSpec

EXTRA: Final = "gemini"
GEMINI_URL: Final = "https://generativelanguage.googleapis.com"
API_VERSION: Final = "v1beta"
NO_KEY: Final = "none"
"""Sent as the key to a gateway that needs none, because the SDK requires one."""

_SINGLE_REQUEST: Final[Mapping[str, Any]] = {
    "automatic_function_calling": {"disable": True},
    "automatic_continuation": False,
    "should_return_http_response": True,
}

_clients: "WeakKeyDictionary[asyncio.AbstractEventLoop, dict[GeminiCredentials, AsyncClient]]" = WeakKeyDictionary()


@dataclass(frozen=True)
class GeminiCredentials:
    """An address and its key. The key does not appear in a repr.

    Attributes:
        base_url: without the API's version and without secrets.
        version: the API's version, the last part of the address.
        key: the key to send; None if there is none.
        variable: the environment variable that holds, or must hold, the key.
        named: whether the user explicitly assigned this key to this address.
    """

    base_url: str = GEMINI_URL
    version: str = API_VERSION
    key: str | None = field(default=None, repr=False)
    variable: str | None = None
    named: bool = False

    @classmethod
    def of(cls, base_url: str | None = None, key: str | None = None, key_env: str | None = None) -> "GeminiCredentials":
        """The account for an address, by default Google's.

        Args:
            key: by default the result of `credentials.key_to` for the address.
            key_env: the environment variable with the key to this address.
        """
        address = public_address(base_url or GEMINI_URL).rstrip("/")
        head, _, last = address.rpartition("/")
        place, version = (head, last) if last in ("v1", "v1beta", "v1alpha") else (address, API_VERSION)
        credentials = key_to(place, key=key, key_env=key_env)
        return cls(place, version, credentials.value, credentials.variable, credentials.named)

    @classmethod
    def of_spec(cls, spec: "BackendSpec") -> "GeminiCredentials":
        """The account of a spec."""
        return cls.of(spec.base_url, key_env=spec.key_env)

    @property
    def host(self) -> str:
        """The service's host name."""
        return urlsplit(self.base_url).hostname or ""

    @property
    def secrets(self) -> tuple[str, ...]:
        """Texts that no message may show: the key, and secrets in the address."""
        return secrets_of(self.base_url, self.key)

    def named_as(self, model: str) -> str:
        """A backend's identity: `gemini:MODEL`, with the address if it is not Google's."""
        return f"gemini:{model}" if self.base_url == GEMINI_URL else f"gemini:{model}@{self.base_url}"

    def client(self, who: str) -> "AsyncClient":
        """The event loop's client for this account; do not close it.

        Raises:
            MissingExtraError: google-genai is not installed.
            AuthError: the service requires a key and there is none, or it would be sent unencrypted.
        """
        clients = _clients.setdefault(asyncio.get_running_loop(), {})
        if self not in clients:
            clients[self] = self._new_client(who)
        return clients[self]

    def _new_client(self, who: str) -> "AsyncClient":
        from imagerag.tools.http_client import http_client

        genai = import_extra("google.genai", who, EXTRA)
        key = Key(self.key, self.variable, self.named)
        check_encrypted(self.base_url, who, key)
        if missing := no_key(who, self.base_url, key):
            raise missing
        # All options are set, because the SDK takes those that are not from variables of the environment.
        options = genai.types.HttpOptions(
            base_url=self.base_url, api_version=self.version, httpx_async_client=http_client()
        )
        with _quiet():
            client: AsyncClient = genai.Client(api_key=self.key or NO_KEY, vertexai=False, http_options=options).aio
        return client

    async def generate(self, who: str, model: str, contents: list[Any], config: Mapping[str, Any]) -> str:
        """Send one request to `generateContent`.

        Args:
            contents: of the SDK's type `Content`, as mappings.
            config: of the SDK's type `GenerateContentConfig`, as a mapping.

        Returns:
            The response's JSON.

        Raises:
            Exception: the SDK's own, and the HTTP client's; `errors.py` maps them.
        """
        from google.genai import types

        models = self.client(who).models
        parsed = types.GenerateContentConfig(**config, **_SINGLE_REQUEST)
        parts = [types.Content.model_validate(one) for one in contents]
        answer = await models.generate_content(model=model, contents=parts, config=parsed)
        return str((answer.sdk_http_response and answer.sdk_http_response.body) or "")

    async def has_model(self, who: str, model: str) -> bool:
        """Whether the service has a model; costs nothing.

        Raises:
            Exception: as `generate`.
        """
        from google.genai.errors import ClientError
        from pydantic import ValidationError

        try:
            await self.client(who).models.get(model=model)
        except ValidationError:  # a description with fields that the SDK does not know
            return True
        except ClientError as error:
            if error.code == 404 and not is_page(body_of(error).whole):
                return False
            raise
        return True


@contextmanager
def _quiet() -> Iterator[None]:
    """Context in which the SDK does not say which of two keys in the environment it takes: it is given neither."""
    logger = logging.getLogger("google_genai._api_client")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before
