"""The cost of calls: what a run has spent, and whether the next call fits its budget in US dollars.

A budget in money is a promise, so it is kept with what is known before a call: the most it can cost, else the highest
cost of a call of its kind so far. A backend whose price is not known at all is not called under such a budget: the run
would spend without knowing, and its limit would mean nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final, cast

from imagerag.agent.ports import FREE, ImageGenerator, PriceEstimator, capabilities_of
from imagerag.agent.size_translation import sent_size
from imagerag.agent.state import SearchTask
from imagerag.agent.types import ModelCall, RunConfig, Size
from imagerag.formatting.numbers import dollars

HOW_TO_PRICE: Final = (
    "say what a call costs at most with `assume_cost_usd_per_call=X`, or for good with imagerag prices set (which "
    "writes prices.toml), or leave `max_cost_usd` out"
)
_ROUNDING: Final = 1e-9
_WORDING: Final = 400
"""Bytes of a template's own words, at most: a fallback's member puts references into words when its turn comes."""
_PER_IMAGE: Final = 40

Backends = Mapping[str, object]
"""What a node calls, by the first part of a call's role: "generate", "judge", "rerank"."""


def estimator_of(port: object) -> PriceEstimator:
    """The price estimator of a backend; one that knows no price where the backend names none.

    A generator's takes the size that was asked for, in words, too.
    """
    tariff = capabilities_of(port).tariff or PriceEstimator()
    if tariff is FREE or not hasattr(port, "sizes"):
        return tariff
    return tariff.translating(partial(sent_size, cast(ImageGenerator, port)))


def estimator_for(role: str, backends: Backends) -> PriceEstimator:
    """The price estimator of the backend that serves `role`, for instance "judge.critique"."""
    return estimator_of(backends.get(role.partition(".")[0]))


def after_observed_calls(tariff: PriceEstimator, role: str, calls: Sequence[ModelCall]) -> PriceEstimator:
    """The estimator, marked unknown where a service did not report its usage and no bound on the cost is known."""
    silent = any(
        c.role == role and c.completed and not c.error and c.cost_usd is None and c.max_cost_usd is None for c in calls
    )
    return replace(tariff, known=False, parts=()) if tariff.known and silent else tariff


_TEXTS: Final = ("prompt", "question", "earlier", "sources", "finding")
"""The parts of a call's content that a model reads as text: written out, they are no shorter than what is sent."""


def max_cost(
    tariff: PriceEstimator, content: Mapping[str, Any], size: Size | None, partial_images: int = 0
) -> float | None:
    """The upper bound of a call's cost in US dollars; None when it is not known.

    Args:
        content: of the request, images by hash.
        partial_images: number of unfinished images requested.
    """
    images = content.get("images")
    image_count = (
        len(images)
        if images is not None
        else 1 + len(content.get("subjects") or []) + len(content.get("references") or [])
    )
    image_count += len(content.get("masks") or [])
    text = sum(len(str(content[name]).encode()) for name in _TEXTS if content.get(name))
    text += sum(len(words.encode()) for words in content.get("variation", {}).get("failed_searches", ()))
    for image in images or []:
        if isinstance(image, list):
            text += _PER_IMAGE + sum(len(str(words).encode()) for words in image[2:])
    return max_cost_with(tariff, text + (_WORDING if image_count else 0), image_count, size, partial_images)


def max_cost_with(
    tariff: PriceEstimator, prompt: int, images: int, size: Size | None, partial_images: int
) -> float | None:
    """The upper bound in US dollars, unfinished images included; None when it is not known.

    Args:
        prompt: bytes of text.
        images: number of images sent.
        partial_images: number of unfinished images requested.
    """
    most = tariff.most(prompt, images, size)
    return None if most is None else most + partial_images * tariff.partial_usd


def requests_made(calls: Sequence[ModelCall], *, done_again: bool) -> int:
    """The number of requests that count against a budget. Cached calls count none.

    In a replay (`done_again`) they do count: it ends where the original run ended, and does not go on spending.
    """
    return sum(call.requests for call in calls if done_again or not call.cached)


def spent(calls: Sequence[ModelCall]) -> float:
    """The cost of calls in US dollars, as far as it is known.

    A call of unknown cost (lost, refused, or unreadable) counts at its upper bound, else at the highest cost of its
    role.
    """
    return sum(_booked(call, calls) for call in calls)


def spent_by_siblings(task: SearchTask, config: RunConfig) -> list[ModelCall]:
    """Stand-ins for what one of a round's searches may not spend: what is gone, and the shares of the others.

    The searches run at once and know nothing of each other. Each has an equal share of the calls and of the money that
    are left, so together they never exceed the budget; one that spends nothing leaves its share to later steps.
    """
    place, count = task.get("place") or (0, 1)
    call_count, usd = task.get("made", 0), task.get("spent_usd", 0.0)
    if config.max_calls is not None:
        remaining = max(0, config.max_calls - call_count)
        call_count += remaining - (remaining // count + (place < remaining % count))
    if config.max_cost_usd is not None:
        usd += max(0.0, config.max_cost_usd - usd) * (count - 1) / count
    blank = ModelCall(role="elsewhere", backend="", elapsed_s=0, cost_usd=0.0)
    return [blank.model_copy(update={"cost_usd": usd}), *[blank] * (call_count - 1)] if call_count else []


def max_observed_cost(role: str, calls: Sequence[ModelCall]) -> float | None:
    """The highest cost of a call of a role so far, in US dollars; None without one."""
    return max((c.cost_usd for c in calls if c.role == role and c.cost_usd is not None and not c.cached), default=None)


def budget_violation(
    role: str, backend: str, calls: Sequence[ModelCall], tariff: PriceEstimator, most: float | None, limit: float
) -> str:
    """The reason why the next call exceeds a budget of `limit` US dollars; empty when it fits.

    Args:
        calls: all calls so far.
        most: upper bound of the next call in US dollars; None when it is not known.
    """
    if most is None and not tariff.known:
        return f"the price of {backend} is not known, so a budget of {dollars(limit)} cannot be kept: {HOW_TO_PRICE}"
    spent_usd = spent(calls)
    coming = most if most is not None else max_observed_cost(role, calls)
    if coming is None:
        return "" if spent_usd < limit else f"the run may spend {dollars(limit)}, and has spent {dollars(spent_usd)}"
    if spent_usd + coming <= limit + _ROUNDING:
        return ""
    can = "can cost" if most is not None else "has cost up to"
    return (
        f"the run may spend {dollars(limit)}, has spent {dollars(spent_usd)}, "
        f"and one more call of {role} {can} {dollars(coming)}"
    )


def _booked(call: ModelCall, calls: Sequence[ModelCall]) -> float:
    if call.cached:
        return 0.0
    costs = (call.cost_usd, call.max_cost_usd, max_observed_cost(call.role, calls))
    return next((usd for usd in costs if usd is not None), 0.0)
