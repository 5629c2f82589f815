"""Assign API keys to addresses, in one place for all adapters.

A key is sent to the host it belongs to, and to the address that the user set beside it (OPENAI_BASE_URL, or a service's
own variable, `services/table.py`). Any other address gets none, unless its spec names the variable:
`openai:MODEL?key_env=OUR_KEY@https://models.example.org/v1`.
Keys, and passwords in addresses, never leave this machine unencrypted.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from imagerag.agent.environment import environment_value
from imagerag.agent.errors import AuthError
from imagerag.agent.url_redaction import VARIABLE, credentials_of, origin, public_address
from imagerag.tools.public_addresses import is_this_machine
from imagerag.tools.services.lookup import service_at
from imagerag.tools.services.service import Service
from imagerag.tools.services.table import SERVICES

OPENAI_KEY: Final = "OPENAI_API_KEY"
OPENAI_ADDRESS: Final = "OPENAI_BASE_URL"

KEYS: Final[Mapping[str, str]] = {
    "api.openai.com": OPENAI_KEY,
    "generativelanguage.googleapis.com": "GEMINI_API_KEY",
    "api.search.brave.com": "BRAVE_API_KEY",
    "google.serper.dev": "SERPER_API_KEY",
    **{
        str(urlsplit(one.address).hostname): one.keys[0]
        for one in SERVICES.values()
        if one.address and one.key_required
    },
}
"""Hosts of services that always require a key of their own, and its environment variable."""

OTHER_NAMES: Final[Mapping[str, str]] = {"GEMINI_API_KEY": "GOOGLE_API_KEY"}
"""Another variable for the same key, read where the first is not set."""

HUB_KEYS: Final = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
HUB_ADDRESS: Final = "HF_ENDPOINT"


@dataclass(frozen=True)
class Key:
    """The key to an address.

    Attributes:
        value: None if there is none.
        variable: the environment variable that holds, or must hold, it; None if the address is not known to need one.
        named: whether the user explicitly assigned this key to this address.
    """

    value: str | None = field(default=None, repr=False)
    variable: str | None = None
    named: bool = False


class Variable:
    """Reader of the option `key_env` (see `spec_options.py`)."""

    valid_values: Final = "the name of an environment variable in capitals, such as OUR_KEY, and not the key itself"

    def read(self, text: str) -> str:
        """Return the name."""
        if not VARIABLE.fullmatch(text):
            raise ValueError(text)
        return text


def key_to(address: str, *, key: str | None = None, key_env: str | None = None, service: Service | None = None) -> Key:
    """The key that may be sent to an address.

    Args:
        key: given by a program for this address.
        key_env: the variable that the spec names.
        service: the service that the spec names; its key belongs to its own address alone.
    """
    if key:
        return Key(key, named=True)
    if key_env:
        return Key(environment_value(key_env), key_env, named=True)
    if service is not None and service.is_at(address):
        return _key_of(service)
    host = origin(address)[1]
    variable = KEYS.get(host)
    match = next((one for one in SERVICES.values() if variable and origin(one.address)[1] == host), None)
    if match is not None and match.has_key:
        return _key_of(match)
    for name in filter(None, (variable, OTHER_NAMES.get(variable or ""))):
        if value := environment_value(name):
            return Key(value, name)
    if own_address() and origin(address) == origin(own_address()):
        return Key(environment_value(OPENAI_KEY), variable or OPENAI_KEY, named=True)
    return Key(variable=variable)


def _key_of(service: Service) -> Key:
    variable = service.key_variable
    value = environment_value(variable) if variable else None
    return Key(value, variable if value or service.key_required else None)


def own_address() -> str:
    """The address in OPENAI_BASE_URL, beside OPENAI_API_KEY, without passwords; empty if there is none."""
    return public_address(environment_value(OPENAI_ADDRESS) or "")


def check_encrypted(address: str, who: str, key: Key) -> None:
    """Check that no secret would leave this machine unencrypted.

    Raises:
        AuthError: one would; the message says what to type.
    """
    scheme, host, _ = origin(address)
    if scheme == "https" or is_this_machine(host):
        return
    if key.value:
        secret = f"the key of {key.variable}" if key.variable else "its key"
    elif credentials_of(address):
        secret = "the password or key in its address"
    else:
        return
    raise _unsent(
        f"{who}: {secret} is not sent over http to {host}, where all can read it: write https://, or bring the server "
        "to this machine (ssh -L) and name http://localhost:PORT"
    )


def secrets_of(address: str, key: str | None) -> tuple[str, ...]:
    """Texts that no message may show: the key, and secrets in the address."""
    credentials = credentials_of(address)
    return tuple(filter(None, (key, *(credentials.secrets if credentials else ()))))


def no_key(who: str, address: str, key: Key) -> AuthError | None:
    """Message for a missing key; None if the address may need none."""
    if key.value or not key.variable:
        return None
    if not key.named and (service := service_at(address)) and len(service.keys) > 1:
        return _unsent(f"{who} needs a key: set {' or '.join(service.keys)}")
    if key.named and key.variable != KEYS.get(origin(address)[1]) and key.variable == OPENAI_KEY:
        return None  # a server of the user's behind OPENAI_BASE_URL; many need no key
    names = " or ".join(filter(None, (key.variable, OTHER_NAMES.get(key.variable))))
    return _unsent(f"{who} needs a key: set {names}, or name another server, for instance PROVIDER:MODEL@URL")


def _unsent(message: str) -> AuthError:
    error = AuthError(message)
    error.sent = False
    return error


def key_variables() -> list[str]:
    """The environment variables that hold keys."""
    services = (name for one in SERVICES.values() for name in one.keys)
    return sorted({*KEYS.values(), *OTHER_NAMES.values(), *services})


def key_advice(address: str, authorization: str, *, forbidden: bool = False) -> str:
    """What to do about a key that a service refused, or that it did not get.

    Args:
        authorization: the header of the request; it decides, and is not shown.
        forbidden: whether the service knows the key.
    """
    token = authorization.partition(" ")[2]
    service = service_at(address)
    if token.lower() in ("", "none"):
        if service is not None and service.keys:
            return f"no key went there: set {' or '.join(service.keys)}"
        return "no key went there: put its key into a variable, and name that, ?key_env=NAME@URL"
    variable = next((name for name in key_variables() if environment_value(name) == token), None)
    advice = "this key may not use it" if forbidden else "check the key"
    return f"{advice} ({variable})" if variable else advice


def check_hub(who: str) -> None:
    """Check that the Hugging Face token would not leave this machine unencrypted.

    Raises:
        AuthError: HF_ENDPOINT is an unencrypted address, and there is a token.
    """
    address = environment_value(HUB_ADDRESS) or ""
    if not address:
        return
    variable = next((name for name in HUB_KEYS if environment_value(name)), None)
    token = environment_value(variable) if variable else _stored_token()
    check_encrypted(public_address(address), who, Key(token, variable or "the hub (hf auth login)"))


def _stored_token() -> str | None:
    from huggingface_hub import get_token

    return get_token()
