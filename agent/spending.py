"""What a run has spent, and whether the next call still fits its budget in money.

A budget in money is a promise, so it is kept with what is known before a call: the most it can cost, else the dearest
call of its kind so far. A backend whose price is not known at all is not called under such a budget: the run would
spend without knowing, and its limit would mean nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from imagerag.agent.ports import ImageGenerator, Judge, Tariff
from imagerag.agent.types import Call, Size

_ROUNDING: Final = 1e-9
_WORDING: Final = 400
"""Bytes of a template's own words, at most, for cascades: they word references only when they are asked."""
_PER_IMAGE: Final = 40

Tariffs = Mapping[str, Tariff]
"""By the first part of a call's role: "generate", "judge"."""


def tariff_of(port: object) -> Tariff:
    """What is known of a backend's prices; nothing, when it does not say."""
    tariff = getattr(port, "tariff", None)
    return tariff if isinstance(tariff, Tariff) else Tariff()


def tariffs_of(generator: ImageGenerator, judge: Judge) -> Tariffs:
    """The tariffs of a run's two backends."""
    return {"generate": tariff_of(generator), "judge": tariff_of(judge)}


def tariff_for(role: str, tariffs: Tariffs) -> Tariff:
    """The tariff of the backend that a role calls."""
    return tariffs.get(role.partition(".")[0], Tariff())


def most_of(tariff: Tariff, content: Mapping[str, Any], size: Size | None) -> float | None:
    """US dollars that a call can cost at most; None when that is not known.

    Args:
        content: what the call is asked with, images by hash.
    """
    images = content.get("images")
    sent = len(images) if images is not None else 1 + len(content.get("subjects") or [])
    text = len(str(content.get("prompt", "")).encode())
    for image in images or []:
        if isinstance(image, list):
            text += _PER_IMAGE + sum(len(str(words).encode()) for words in image[2:])
    return tariff.most(text + (_WORDING if sent else 0), sent, size)


def spent(calls: Sequence[Call]) -> float:
    """US dollars that calls have cost, as far as that is known.

    A call whose cost was not told (it was lost on the way, refused, or could not be read) is booked at the most it
    could have cost, else at the dearest of its kind.
    """
    return sum(_booked(call, calls) for call in calls)


def dearest(role: str, calls: Sequence[Call]) -> float | None:
    """The dearest call of a role so far, in US dollars."""
    return max((c.cost_usd for c in calls if c.role == role and c.cost_usd is not None and not c.reused), default=None)


def why_not(role: str, backend: str, calls: Sequence[Call], tariff: Tariff, most: float | None, limit: float) -> str:
    """Why the next call may not be made under a budget of `limit` US dollars; empty when it may.

    Args:
        calls: all that were made so far.
        most: what it can cost at most; None when that is not known.
    """
    if most is None and not tariff.known:
        return (
            f"the price of {backend} is not known, so a budget of ${limit:g} cannot be kept: add it to prices.toml "
            "(imagerag doctor says where), or leave --max-cost-usd out"
        )
    gone = spent(calls)
    coming = most if most is not None else dearest(role, calls)
    if coming is None:
        return "" if gone < limit else f"the run may spend ${limit:g}, and has spent ${gone:.4f}"
    if gone + coming <= limit + _ROUNDING:
        return ""
    can = "can cost" if most is not None else "has cost up to"
    return f"the run may spend ${limit:g}, has spent ${gone:.4f}, and one more call of {role} {can} ${coming:.4f}"


def _booked(call: Call, calls: Sequence[Call]) -> float:
    if call.reused:
        return 0.0
    known = (call.cost_usd, call.most_usd, dearest(call.role, calls))
    return next((usd for usd in known if usd is not None), 0.0)
