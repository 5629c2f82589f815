"""What a proxy says in a header that a call was billed at.

LiteLLM's proxy knows what the service behind it takes for any model, under whatever name it offers it, and tells it
in a header of its own. The header is read where all answers pass, and the price is reckoned where the answer is read.
"""

import math
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Final

HEADER: Final = "x-litellm-response-cost"

_BILLED: ContextVar[list[float] | None] = ContextVar("imagerag_billed_usd", default=None)


def listen() -> None:
    """Forget what was told of earlier calls; what is told from now on is of this one."""
    _BILLED.set([])


def note(headers: Mapping[str, str]) -> None:
    """Note what an answer's headers say."""
    amounts = _BILLED.get()
    if amounts is None or not (text := headers.get(HEADER)):
        return
    try:
        usd = float(text)
    except ValueError:
        return
    if math.isfinite(usd) and usd > 0:  # anybody could write that it was free
        amounts.append(usd)


def billed_usd() -> float | None:
    """US dollars that the call was billed at; None where nobody said."""
    amounts = _BILLED.get()
    return sum(amounts) if amounts else None
