"""The hook by which an adapter learns what a call cost."""

from collections.abc import Callable, Mapping
from typing import Any

Price = Callable[[str, Mapping[str, Any]], float | None]
"""(model, the service's own `usage` object) → US dollars; None when the price is not known.

Images endpoints report `input_tokens`, `output_tokens`, `input_tokens_details {text_tokens, image_tokens}`; chat
completions `prompt_tokens`, `completion_tokens`; OpenRouter adds `cost`. A streamed answer reports it at its end.
"""


def cost_of(price: Price | None, model: str, usage: object) -> float | None:
    """What a call cost, as far as the service told its usage and `price` knows what that costs."""
    if price is None or usage is None:
        return None
    dump = getattr(usage, "model_dump", None)
    told = dump(exclude_none=True) if callable(dump) else usage
    return price(model, told) if isinstance(told, Mapping) else None
