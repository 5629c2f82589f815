"""Token counts by kind from a service's usage report."""

from collections.abc import Mapping
from typing import Any, Final

Tokens = dict[str, int]
"""Tokens by kind: `text_in`, `image_in`, `any_in` (not separated), `cached_in`, `cached_image_in`, `cache_write_in`,
`text_out`, `image_out`, `any_out`."""

_MOST: Final = 10**12
"""Tokens; a larger count is no count, and may not fit where it is stored."""


def tokens_of(usage: Mapping[str, Any]) -> Tokens | None:
    """Tokens by kind, from the usage of an Images response, a chat completion or a LangChain message.

    Returns:
        None if the usage lacks the total of input or output tokens.
    """
    went_in = _first(usage, "input_tokens", "prompt_tokens")
    came_out = _first(usage, "output_tokens", "completion_tokens")
    if went_in is None or came_out is None:
        return None
    told_in = _details(usage, "input_tokens_details", "prompt_tokens_details", "input_token_details")
    told_out = _details(usage, "output_tokens_details", "completion_tokens_details", "output_token_details")
    return {**_split(told_in, went_in, "in"), **_split(told_out, came_out, "out")}


def counts_of(usage: Mapping[str, Any]) -> dict[str, int]:
    """The totals that a usage reports: `input_tokens`, `output_tokens`."""
    names = {"input_tokens": "prompt_tokens", "output_tokens": "completion_tokens"}
    counts = {ours: _first(usage, ours, other) for ours, other in names.items()}
    return {name: count for name, count in counts.items() if count is not None}


def valid_usage(usage: object) -> dict[str, Any] | None:
    """A usage with its amounts only; None if it is none."""
    if not isinstance(usage, Mapping):
        return None
    details = {kind: parts for kind, parts in usage.items() if _is_details(kind)}
    amounts = _amounts({kind: value for kind, value in usage.items() if not _is_details(kind)})
    parts = {kind: value and _amounts(value) for kind, value in details.items() if isinstance(value, Mapping | None)}
    return {**amounts, **parts} or None


def _is_details(kind: str) -> bool:
    return kind.endswith("_details")


def _amounts(fields: Mapping[str, Any]) -> dict[str, int | float | None]:
    amounts = {kind: value for kind, value in fields.items() if value is None or _is_amount(kind, value)}
    return {kind: int(n) if isinstance(n, float) and n.is_integer() else n for kind, n in amounts.items()}


def _is_amount(kind: str, value: object) -> bool:
    """Whether a value is an amount, or a flag beside the counts, such as OpenRouter's `is_byok`."""
    if isinstance(value, bool):
        return not kind.endswith("tokens")
    return isinstance(value, int | float) and 0 <= value <= _MOST


def searches_of(usage: Mapping[str, Any]) -> int:
    """Searches of the web that a model made by itself, as its adapter counted them."""
    return _first(usage, "searches") or 0


def _split(details: Mapping[str, Any], total: int, way: str) -> Tokens:
    """Split into text, images, and the rest. Input tokens that were read from or written to a cache are included in
    these counts, and are subtracted: first from the rest, then from text, whose cache saves least, then from images."""
    kinds = {name: _first(details, f"{name}_tokens") or 0 for name in ("text", "image")}
    kinds["any"] = max(0, total - sum(kinds.values()))
    tokens: Tokens = {}
    if way == "in":
        hits, writes = _first(details, "cached_tokens", "cache_read") or 0, _first(details, "cache_write_tokens") or 0
        cached = _take(kinds, "any", hits)
        cached += _take(kinds, "text", hits - cached)
        tokens = {"cached_in": cached, "cached_image_in": _take(kinds, "image", hits - cached)}
        tokens["cache_write_in"] = _take(kinds, "any", writes)
        tokens["cache_write_in"] += _take(kinds, "text", writes - tokens["cache_write_in"])
    return {f"{name}_{way}": count for name, count in kinds.items()} | tokens


def _take(kinds: dict[str, int], name: str, count: int) -> int:
    part = min(kinds[name], count)
    kinds[name] -= part
    return part


def _details(usage: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    return next((usage[name] for name in names if isinstance(usage.get(name), Mapping)), {})


def _first(usage: Mapping[str, Any], *names: str) -> int | None:
    for name in names:
        value = usage.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST:
            return value
    return None
