"""What a service says it counted, as tokens by kind."""

from collections.abc import Mapping
from typing import Any

Tokens = dict[str, int]
"""By kind: `text_in`, `image_in`, `cached_in`, `any_in` (not told apart), `text_out`, `image_out`, `any_out`."""


def tokens_of(usage: Mapping[str, Any]) -> Tokens | None:
    """Tokens by kind, from the usage of an Images answer, a chat completion or a LangChain message.

    Returns:
        None when the usage does not say how many tokens went in and came out.
    """
    went_in = _first(usage, "input_tokens", "prompt_tokens")
    came_out = _first(usage, "output_tokens", "completion_tokens")
    if went_in is None or came_out is None:
        return None
    told_in = _details(usage, "input_tokens_details", "prompt_tokens_details", "input_token_details")
    told_out = _details(usage, "output_tokens_details", "completion_tokens_details", "output_token_details")
    return {**_split(told_in, went_in, "in"), **_split(told_out, came_out, "out")}


def _split(details: Mapping[str, Any], total: int, way: str) -> Tokens:
    """Text, images, and the rest; what was cached is counted among them and is taken out of the rest first."""
    text, image = _first(details, "text_tokens") or 0, _first(details, "image_tokens") or 0
    cached = (_first(details, "cached_tokens", "cache_read") or 0) if way == "in" else 0
    rest = max(0, total - text - image)
    # Cached tokens of a kind that is told apart stay at that kind's full rate: which kind they were is not told.
    cheaper = min(cached, rest)
    found = {f"text_{way}": text, f"image_{way}": image, f"any_{way}": rest - cheaper}
    return found | ({"cached_in": cheaper} if way == "in" else {})


def _details(usage: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    return next((usage[name] for name in names if isinstance(usage.get(name), Mapping)), {})


def _first(usage: Mapping[str, Any], *names: str) -> int | None:
    for name in names:
        value = usage.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
    return None
