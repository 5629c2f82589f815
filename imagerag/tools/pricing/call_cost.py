"""Price hook by which an adapter computes the cost of a call."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from imagerag.agent.errors import ImageRAGError
from imagerag.agent.ports import PriceEstimator
from imagerag.agent.types import Size
from imagerag.tools.pricing.billed_cost import billed_usd
from imagerag.tools.pricing.token_usage import tokens_of

if TYPE_CHECKING:
    from imagerag.tools.openai.client import OpenAICredentials
    from imagerag.tools.pricing.price_table import Prices

Price = Callable[[str, Mapping[str, Any]], float | None]
"""(model, the service's `usage` object) → US dollars; None if the price is not known.

Images endpoints report `input_tokens`, `output_tokens`, `input_tokens_details {text_tokens, image_tokens}`; chat
completions `prompt_tokens`, `completion_tokens`; OpenRouter adds `cost`. A streamed answer reports it at its end.
"""


def cost_of(price: Price | None, model: str, usage: object) -> float | None:
    """Cost of a call in US dollars, if `price` knows its rates and the service reported the usage that they are for.

    The billed cost in a proxy's header counts as the usage's own `cost`.
    """
    counted, billed = _mapping(usage), billed_usd()
    if billed is not None and "cost" not in (counted or {}):
        counted = {**(counted or {}), "cost": billed}
    return price(model, counted or {}) if price is not None else None


@contextmanager
def with_cost(cost_usd: float | None, usage: Mapping[str, int]) -> Iterator[None]:
    """Add the cost of a response to the error that it turns out to be.

    Raises:
        ImageRAGError: the one raised inside.
    """
    try:
        yield
    except ImageRAGError as error:
        error.with_cost(cost_usd, usage)
        raise


def usage_of(usage: object) -> dict[str, int]:
    """Tokens by kind as the service counted them, without kinds that are 0; empty if it reported none."""
    tokens = tokens_of(_mapping(usage) or {}) or {}
    return {kind: count for kind, count in tokens.items() if count}


def _mapping(usage: object) -> Mapping[str, Any] | None:
    dump = getattr(usage, "model_dump", None)
    dumped = dump(exclude_none=True, warnings=False) if callable(dump) else usage
    return dumped if isinstance(dumped, Mapping) else None


def price_of(
    prices: "Prices | None", model: str, account: "OpenAICredentials", *, complete: bool = True, local: bool = False
) -> Price | None:
    """The price hook of a model at an account's address; None without a price table.

    Args:
        complete: whether the usage that the service reports covers all that is billed.
        local: whether the server runs models itself, whatever their names.
    """
    local = local or account.runs_models
    return None if prices is None else prices.of(model, account.biller, complete=complete, local=local)


def tariff_of(
    price: Price | None, *, draws: bool, quality: str | None = None, answer: int | None = None
) -> PriceEstimator:
    """Price estimator of a price hook; it knows nothing unless the hook is from a price table."""
    make = getattr(price, "tariff", None)
    tariff = make(draws=draws, quality=quality, answer=answer) if callable(make) else None
    return tariff if isinstance(tariff, PriceEstimator) else PriceEstimator()


def words_tariff(chat: object) -> PriceEstimator:
    """Price estimator of one text response of a model, for a judge or an answerer."""
    return tariff_of(getattr(chat, "price", None), draws=False, answer=getattr(chat, "answer_tokens", None))


def times(tariff: PriceEstimator, votes: int) -> PriceEstimator:
    """Price estimator of a call that requests up to `votes` responses."""

    def most(prompt: int, images: int, size: Size | None) -> float | None:
        one = tariff.most(prompt, images, size)
        return None if one is None else one * votes

    def usual(prompt: int, images: int, size: Size | None) -> float | None:
        one = tariff.usual(prompt, images, size)
        return None if one is None else one * votes

    return PriceEstimator(known=tariff.known, most=most, usual=usual, requests=votes)
