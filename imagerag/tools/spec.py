"""Backend specs: `provider:model[?option=value&…][@base_url]`, the one way to name a generator, a judge or an embedder.

Examples:
    ```
    sketch
    open_clip:ViT-B-32-SigLIP2-256/webli
    openai:qwen3-vl@http://localhost:11434/v1
    openai:gpt-image-2?quality=high&background=transparent
    openai:qwen3-vl?votes=3&longest_side=768@http://localhost:11434/v1
    openai:qwen3-vl?key_env=OUR_KEY@https://models.example.org/v1
    clip:open_clip:ViT-B-32-SigLIP2-256/webli
    openai:gpt-image-2.5-flare,diffusers:sdxl-ip-adapter       (a fallback)
    ```

Each adapter defines its options in a table of readers (`spec_options.py`) that it passes to `BackendSpec.settings`; an
unknown option or an invalid value is an error that lists the valid ones. Values are written as in a URL query: `%2C` is
a comma, `%26` an ampersand, `+` a space.

`?key_env=NAME` names the variable that holds the key to the address (`credentials.py`). A password or a key inside the
address is taken out before anything else is done with the text (`agent/url_redaction.py`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final
from urllib.parse import parse_qsl, quote_plus

from imagerag.agent.errors import SpecError
from imagerag.agent.url_redaction import BASE_URL, NEXT, SECRET_OPTIONS, public
from imagerag.tools.spec_options import Reader, read_option

_PROVIDER: Final = re.compile(r"[a-z][a-z0-9_-]*")
_OPTION: Final = re.compile(r"[a-z][a-z0-9_]*")
_KEY_ENV: Final = re.compile(r"(?<=[?&])key_env=([^&]*)&?")
"""Also an option after the address; it is never sent there."""


@dataclass(frozen=True, slots=True)
class BackendSpec:
    """Spec of one backend.

    Attributes:
        provider: lower case; `registry.py` knows which exist.
        model: the provider's name of its model; empty for the default.
        base_url: its address, if not the provider's own; without secrets.
        options: (name, value) pairs as written; `settings` parses them.
    """

    provider: str
    model: str = ""
    base_url: str | None = None
    options: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        name = f"{self.provider}:{self.model}" if self.model else self.provider
        return with_options(name, dict(self.options)) + (f"@{self.base_url}" if self.base_url else "")

    @property
    def key_env(self) -> str | None:
        """The environment variable with the key to its address, if the spec names one."""
        return dict(self.options).get("key_env")

    def settings(self, readers: Mapping[str, Reader]) -> dict[str, Any]:
        """Parse the options; only those that are set are returned.

        Args:
            readers: option → reader of its value (see `spec_options.py`). An empty table refuses all options.

        Raises:
            SpecError: an unknown option or an invalid value; the message lists the valid ones.
        """
        return {name: read_option(str(self), name, text, readers) for name, text in self.options}

    def model_settings(self, readers: Mapping[str, Reader]) -> dict[str, Any]:
        """`settings` of a model behind an address, without the variable of its key, which `key_env` names.

        Raises:
            SpecError: as `settings`; or no model is named.
        """
        settings = self.settings(readers)
        settings.pop("key_env", None)
        if not self.model:
            raise SpecError(f"{str(self)!r} names no model: write {self.provider}:MODEL[@URL]")
        return settings

    def refuse_model(self) -> None:
        """Refuse anything after the provider, which has one model only.

        Raises:
            SpecError: an option, a model or an address is given.
        """
        self.settings({})
        if self.model or self.base_url:
            raise SpecError(f"{str(self)!r}: {self.provider!r} has one model only: write {self.provider!r}")

    def refuse_address(self) -> None:
        """Refuse an address or an option, because this provider runs in this process.

        Raises:
            SpecError: an option or an address is given.
        """
        self.settings({})
        if self.base_url:
            raise SpecError(f"{str(self)!r}: {self.provider!r} runs here and takes no address")

    @classmethod
    def parse(cls, text: str) -> "BackendSpec":
        """Parse one spec.

        Raises:
            SpecError: not of the form `provider:model[?option=value][@base_url]`, or several of them.
        """
        specs = cls.parse_all(text)
        if len(specs) != 1:
            raise SpecError(f"{text!r} names {len(specs)} backends where one is wanted")
        return specs[0]

    @classmethod
    def parse_all(cls, text: str) -> "tuple[BackendSpec, ...]":
        """Parse a fallback: specs separated by commas, at least one.

        Raises:
            SpecError: one of them is not of the form `provider:model[?option=value][@base_url]`.
        """
        return _parsed(public(text))


@lru_cache(maxsize=256)  # a run asks for the same few specs many times; nothing secret is in them
def _parsed(text: str) -> "tuple[BackendSpec, ...]":
    return tuple(_one(part.strip(), text) for part in NEXT.split(text))


_OTHER_SCHEME: Final = re.compile(r"@([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_NO_SCHEME: Final = re.compile(r"(?<=.)@(?=(?:[^@/]*@)?(?:[\w.-]+|\[[\da-fA-F:]+\]):\d+(?:/|$))")
"""Before a host with its port; models have @ in their names, too (`@cf/meta/llama`)."""


def with_options(base: str, options: Mapping[str, object]) -> str:
    """A spec or identity with options added in order, before its address if it has one.

    Args:
        options: those with the value None are left out.
    """
    texts = {name: _text(value) for name, value in options.items() if value is not None}
    message = "&".join(f"{name}={quote_plus(value, safe='/:~')}" for name, value in texts.items())
    if not message:
        return base
    head, *url = BASE_URL.split(base, maxsplit=1)
    return f"{head}{'&' if '?' in head else '?'}{message}" + "".join(f"@{address}" for address in url)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _one(part: str, whole: str) -> BackendSpec:
    head, *urls = BASE_URL.split(part, maxsplit=1)
    name, question_mark, query = head.partition("?")
    provider, colon, model = name.partition(":")
    provider, model = provider.strip().lower(), model.strip()
    base_url = urls[0].strip() if urls else None
    if not _PROVIDER.fullmatch(provider):
        hint = f": did you mean open_clip:{part}?" if "/" in provider else ""
        form = "provider:model[?option=value&…][@base_url]"
        raise SpecError(f"{part or whole!r} is no backend spec, which is {form}{hint}")
    if colon and not model:
        remedy = "name one, or leave the colon out for its default, if any"
        raise SpecError(f"{part!r} names no model after {provider!r}: {remedy}")
    if base_url is None and (address := _NO_SCHEME.search(model)):
        raise SpecError(f"'{provider}:{model[: address.start()]}@…': its address needs http:// or https:// before it")
    if base_url is None and (other := _OTHER_SCHEME.search(head)):
        hint = "; its websocket is opened at the same address" if other[1].lower() in ("ws", "wss") else ""
        raise SpecError(
            f"{part[: other.start()]}@…: an address begins with http:// or https://, not {other[1]}://{hint}"
        )
    if base_url is not None and (not re.fullmatch(r"https?://[^\s/]+\S*", base_url)):
        raise SpecError(f"{part!r}: {base_url!r} is no address, which is http://HOST[:PORT]/PATH")
    options = _options(query.strip(), part) if question_mark else ()
    if base_url is not None and (named_after := _KEY_ENV.search(base_url)):
        base_url = _KEY_ENV.sub("", base_url).replace("?&", "?").rstrip("?&")
        options = (*options, ("key_env", named_after[1]))
    return BackendSpec(provider, model, base_url, options)


def _options(query: str, part: str) -> tuple[tuple[str, str], ...]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True, errors="strict")
    except ValueError:
        pairs = []
    if not pairs or not all(_OPTION.fullmatch(name) and value for name, value in pairs):
        raise SpecError(f"{part!r}: after its ? come options, OPTION=VALUE with & between them; not {query!r}")
    if SECRET_OPTIONS & {name.lower() for name, _ in pairs}:
        raise SpecError(
            f"{part!r}: a key does not stand in a spec: put it into a variable, and write ?key_env=VARIABLE"
        )
    twice = {name for name, _ in pairs if sum(name == other for other, _ in pairs) > 1}
    if twice:
        raise SpecError(f"{part!r}: {', '.join(sorted(twice))} is given twice")
    return tuple(pairs)
