"""Cost of a call in a proxy's response header.

LiteLLM's proxy knows the price of any model at the service behind it, under whatever name it offers the model, and
reports it in a header of its own. The HTTP client reads the header, and the adapter that parses the response computes
the cost.
"""

import math
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Final

HEADER: Final = "x-litellm-response-cost"

_BILLED: ContextVar[list[float] | None] = ContextVar("imagerag_billed_usd", default=None)


def listen() -> None:
    """Clear the billed cost of earlier calls, so that a cost noted from now on belongs to this call."""
    _BILLED.set([])


def note(headers: Mapping[str, str]) -> None:
    """Note the billed cost in a response's headers."""
    amounts = _BILLED.get()
    if amounts is None or not (text := headers.get(HEADER)):
        return
    try:
        usd = float(text)
    except ValueError:
        return
    if math.isfinite(usd) and usd > 0:  # any server could claim that a call was free
        amounts.append(usd)


def billed_usd() -> float | None:
    """US dollars billed for the call; None if no header reports it."""
    amounts = _BILLED.get()
    return sum(amounts) if amounts else None
