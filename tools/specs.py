"""Backend specs: `provider:model[@base_url]`, the one way a generator, a judge or an embedder is named.

Examples:
    ```
    sketch
    open_clip:ViT-B-32-quickgelu/openai
    openai:qwen3-vl@http://localhost:11434/v1
    clip:open_clip:ViT-B-32-quickgelu/openai
    openai:gpt-image-2.6-flare,diffusers:sdxl-ip-adapter       (a cascade)
    ```
"""

import re
from dataclasses import dataclass
from typing import Final

from imagerag.agent.errors import SpecError

_PROVIDER: Final = re.compile(r"[a-z][a-z0-9_-]*")
_NEXT: Final = re.compile(r",(?=\s*[A-Za-z][\w-]*\s*(?::|,|$))")
"""A comma that another spec follows; other commas belong to a path."""
_BASE_URL: Final = re.compile(r"@(?=https?://)")


@dataclass(frozen=True, slots=True)
class BackendSpec:
    """One backend.

    Attributes:
        provider: lower case; `registry.py` knows which exist.
        model: what the provider calls its model; empty for its default.
        base_url: where it is served, when it is not the provider's own address.
    """

    provider: str
    model: str = ""
    base_url: str | None = None

    def __str__(self) -> str:
        model = f":{self.model}" if self.model else ""
        return f"{self.provider}{model}" + (f"@{self.base_url}" if self.base_url else "")

    @classmethod
    def parse(cls, text: str) -> "BackendSpec":
        """Read one spec.

        Raises:
            SpecError: not of the form `provider:model[@base_url]`, or several of them.
        """
        specs = cls.parse_all(text)
        if len(specs) != 1:
            raise SpecError(f"{text!r} names {len(specs)} backends where one is wanted")
        return specs[0]

    @classmethod
    def parse_all(cls, text: str) -> "tuple[BackendSpec, ...]":
        """Read a cascade: specs separated by commas, at least one.

        Raises:
            SpecError: one of them is not of the form `provider:model[@base_url]`.
        """
        return tuple(_one(part.strip(), text) for part in _NEXT.split(text))


def _one(part: str, whole: str) -> BackendSpec:
    head, *urls = _BASE_URL.split(part, maxsplit=1)
    provider, colon, model = head.partition(":")
    provider, model = provider.strip().lower(), model.strip()
    base_url = urls[0].strip() if urls else None
    if not _PROVIDER.fullmatch(provider):
        hint = f": did you mean open_clip:{part}?" if "/" in provider else ""
        raise SpecError(f"{part or whole!r} is no backend spec, which is provider:model[@base_url]{hint}")
    if colon and not model:
        raise SpecError(f"{part!r} names no model after {provider!r}: leave the colon out for its default")
    if base_url is not None and (not re.fullmatch(r"https?://[^\s/]+\S*", base_url)):
        raise SpecError(f"{part!r}: {base_url!r} is no address, which is http://HOST[:PORT]/PATH")
    return BackendSpec(provider, model, base_url)
