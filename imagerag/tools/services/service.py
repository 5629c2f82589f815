"""One service: what a name such as `groq` stands for in a spec."""

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import urlsplit

from imagerag.agent.environment import environment_value
from imagerag.agent.errors import SpecError
from imagerag.agent.url_redaction import VARIABLE, origin, public_address
from imagerag.tools.public_addresses import is_this_machine

ServiceRole = Literal["judge", "answerer", "describer", "embedder", "generator"]
CHAT_ROLES: Final[frozenset[ServiceRole]] = frozenset({"judge", "answerer", "describer"})
"""Roles of a service with Chat Completions."""
ROLES: Final[frozenset[ServiceRole]] = CHAT_ROLES | {"embedder", "generator"}

REFUSABLE: Final = frozenset({"temperature", "seed", "json_schema", "tool", "system", "detail", "max_tokens"})
"""Options of Chat Completions that a service may refuse; with "max_tokens" the limit is sent as
`max_completion_tokens`."""

_NAME: Final = re.compile(r"[a-z][a-z0-9_-]*")


@dataclass(frozen=True, kw_only=True)
class ImagesProtocol:
    """How a service with OpenAI's image endpoints differs from OpenAI.

    Attributes:
        references: JSON field with the references of a request; empty for OpenAI's form with files.
        path: endpoint for requests with references, where they are JSON.
        plain_path: endpoint for requests without references.
        form: a reference in JSON: bare base64, a data URL, the part of a chat message, or an object with `url`.
        size: fields of a size: `size` (WIDTHxHEIGHT), `aspect_ratio`, or `width` and `height`.
        response_format: value that requests the image itself instead of a URL; None as the model's facts say.
    """

    references: str = ""
    path: str = "/images/generations"
    plain_path: str = "/images/generations"
    form: Literal["base64", "data_url", "image_url", "url"] = "data_url"
    size: Literal["size", "aspect_ratio", "width_height"] = "size"
    response_format: str | None = None


@dataclass(frozen=True, kw_only=True)
class Service:
    """A server that speaks OpenAI's protocol, by name. Entry points in the group `imagerag.services` add more.

    Attributes:
        name: the provider in specs: `NAME:MODEL`.
        title: its name in texts.
        address: base URL; empty if only `address_variable` has it.
        address_variable: environment variable with the address of the user's own; it replaces `address`.
        address_path: path of an address that has none, for instance `/v1`.
        keys: environment variables that may hold the key; the first that is set is used.
        key_required: whether requests without a key are refused before they are sent.
        roles: roles that it serves.
        refuses: options of Chat Completions that it is documented to refuse, so that they are never sent.
        images: its image endpoints; None if it has none.
        judge: a model that sees images, for `auto`; empty if there is none by a fixed name.
        models_path: path of the server's own list of models, which tells what they can; empty for OpenAI's list.
        runs_models: whether it runs models itself, so that calls of a server on this machine cost nothing.
        source: where its address and limits are documented.

    Raises:
        SpecError: a field is invalid.
    """

    name: str
    title: str
    address: str = ""
    address_variable: str = ""
    address_path: str = ""
    keys: tuple[str, ...] = ()
    key_required: bool = True
    roles: frozenset[ServiceRole] = CHAT_ROLES
    refuses: frozenset[str] = frozenset()
    images: ImagesProtocol | None = None
    judge: str = ""
    models_path: str = ""
    runs_models: bool = False
    source: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        checks: dict[str, bool] = {
            "name": bool(_NAME.fullmatch(self.name)),
            "address or address_variable": bool(self.address or self.address_variable),
            "address (https://, or http:// on this machine)": not self.address or _is_safe(self.address),
            "keys": all(VARIABLE.fullmatch(name) for name in (*self.keys, *filter(None, [self.address_variable]))),
            "key_required, without keys": bool(self.keys) or not self.key_required,
            f"roles, of {_listed(ROLES)}": bool(self.roles) and self.roles <= ROLES,
            f"refuses, of {_listed(REFUSABLE)}": self.refuses <= REFUSABLE,
            "images, with the role generator": (self.images is not None) == ("generator" in self.roles),
        }
        wrong = [name for name, right in checks.items() if not right]
        if wrong:
            raise SpecError(f"the service {self.name!r} is not valid: {'; '.join(wrong)}")

    @property
    def local(self) -> bool:
        """Whether its address is on this machine by default."""
        return bool(self.address) and is_this_machine(origin(self.address)[1])

    @property
    def base_url(self) -> str:
        """The address: the user's own, else the documented one; empty if neither is set.

        Raises:
            SpecError: the variable holds no address.
        """
        own = environment_value(self.address_variable) if self.address_variable else None
        return _own_address(own, self) if own else self.address

    @property
    def key_variable(self) -> str | None:
        """The variable that holds the key, or must hold it; None if no key is known."""
        return next((name for name in self.keys if environment_value(name)), self.keys[0] if self.keys else None)

    @property
    def has_key(self) -> bool:
        """Whether a variable with its key is set."""
        return any(environment_value(name) for name in self.keys)

    def is_at(self, address: str) -> bool:
        """Whether an address is at this service's origin, which its key belongs to."""
        try:
            own = self.base_url
        except SpecError:
            return False  # said where the service is named
        return bool(own) and origin(address) == origin(own)


def _own_address(text: str, service: Service) -> str:
    """An address as users write it: with or without scheme and path; 0.0.0.0 is this machine."""
    address = public_address(text if "://" in text else f"http://{text}").rstrip("/")
    parts = urlsplit(address)
    try:
        port = parts.port
    except ValueError as error:
        raise SpecError(f"{service.address_variable} is no address: {text[:100]!r}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SpecError(f"{service.address_variable} is no address, which is http://HOST[:PORT]: {text[:100]!r}")
    host = "127.0.0.1" if parts.hostname == "0.0.0.0" else parts.hostname
    host = f"[{host}]" if ":" in host else host
    if port is None and "://" not in text:
        port = urlsplit(service.address).port
    path = parts.path.rstrip("/")
    if not path.endswith(service.address_path):
        path += service.address_path
    return f"{parts.scheme}://{host}{f':{port}' if port else ''}{path}"


def _is_safe(address: str) -> bool:
    parts = urlsplit(address)
    host = parts.hostname or ""
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and is_this_machine(host)))


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names))
