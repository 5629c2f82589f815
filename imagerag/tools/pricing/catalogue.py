"""Prices from the package genai-prices: its data are part of it, and no server is contacted.

Importing the package takes half a second, so it is imported when the price of a hosted model is needed.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from imagerag.tools.pricing.price_rows import PriceRow, Rates

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, Provider

PACKAGE: Final = "genai-prices"
VENDORS: Final = ("openai", "google", "anthropic", "x-ai")
"""Vendors whose models cannot be run locally, so that a proxy with such a name passes on the vendor's bill."""

_SOLD: Final = re.compile(
    r"(chatgpt-|gpt-(?!oss|j-|neo|2$|2-)|dall-e|o[134]($|-)|gemini-|imagen-|nano-banana|claude-|grok-)|gpt-image-", re.I
)
_ROUTED: Final = (
    "ai21", "anthropic", "azure", "azure_ai", "bedrock", "cohere", "deepinfra", "fal_ai", "fireworks_ai", "gemini",
    "groq", "mistral", "openai", "openrouter", "perplexity", "recraft", "replicate", "runwayml", "sagemaker",
    "stability", "together_ai", "vercel_ai_gateway", "vertex_ai", "xai",
)  # fmt: skip
"""Prefixes of LiteLLM and the like for models that others bill."""

_OPEN: Final = "gpt-oss"
"""OpenAI's open models: `openai/gpt-oss-20b` is the name on Hugging Face, not a proxy's."""

_CLOUD: Final = re.compile(r"[:-]cloud$", re.I)
"""Names of models that a local Ollama passes on to its cloud."""

_DRAWS: Final = re.compile(r"image|banana|imagen|dall-e", re.I)
_IMAGES_ONLY: Final = re.compile(r"(openai/)?(gpt-image-|chatgpt-image-)", re.I)
_FIELDS: Final = {
    "text_in": "input_mtok",
    "image_in": "input_image_mtok",
    "cached_in": "cache_read_mtok",
    "cached_image_in": "cache_image_read_mtok",
    "cache_write_in": "cache_write_mtok",
    "text_out": "output_mtok",
    "image_out": "output_image_mtok",
}


@dataclass(frozen=True)
class CatalogueModel:
    """One model of the catalogue."""

    provider: str
    model: str
    row: PriceRow


def is_sold(model: str) -> bool:
    """Whether a model name on this machine is a billed model behind a proxy, not one that runs here."""
    if _CLOUD.search(model):
        return True
    routed, slash, rest = model.partition("/")
    if slash and routed.lower() in _ROUTED and not rest.lower().startswith(_OPEN):
        return True
    return _SOLD.match(model.rpartition("/")[2]) is not None


@lru_cache(maxsize=256)
def at_host(model: str, host: str) -> PriceRow | None:
    """Rates of a model at the service of this host; None if the catalogue has none."""
    provider = _provider_at(host)
    return None if provider is None else _row_of(provider, model)


@lru_cache(maxsize=256)
def at_vendor(model: str) -> PriceRow | None:
    """Rates of a model at its vendor, for proxies; None if no vendor is known to sell it."""
    bare = model.rpartition("/")[2]
    rows = (_row_of(provider, bare) for provider in _providers() if provider.id in VENDORS)
    return next((row for row in rows if row is not None), None)


def listed() -> list[CatalogueModel]:
    """All models of the vendors, by vendor and name."""
    models = [
        CatalogueModel(provider.id, info.id, _row(provider, info))
        for provider in _providers()
        if provider.id in VENDORS
        for info in provider.models
    ]
    return sorted((one for one in models if one.row.priced), key=lambda one: (one.provider, one.model))


def _providers() -> "list[Provider]":
    from genai_prices.data_snapshot import get_snapshot

    return get_snapshot().providers


def _provider_at(host: str) -> "Provider | None":
    return next((one for one in _providers() if re.match(one.api_pattern, f"https://{host}")), None)


def _row_of(provider: "Provider", model: str) -> PriceRow | None:
    info = provider.find_model(model.lower(), all_providers=_providers())
    row = _row(provider, info) if info is not None else None
    return row if row is not None and row.priced else None


def _row(provider: "Provider", info: "ModelInfo") -> PriceRow:
    prices = info.get_prices(datetime.now(tz=UTC))
    price_by_field = {field: getattr(prices, unit) for field, unit in _FIELDS.items()}
    starts = sorted({tier.start for price in price_by_field.values() for tier in getattr(price, "tiers", ())})
    row: dict[str, Any] = {
        **_rates(price_by_field, 0, info.id),
        "above": {start: Rates(**_rates(price_by_field, start + 1, info.id)) for start in starts},
        "as_of": _since(info, prices),
        "source": f"{PACKAGE} {_version()} ({provider.id})",
        "per_search": _per_search(prices),
    }
    return PriceRow(**row)


def _rates(price_by_field: dict[str, Any], input_tokens: int, model: str) -> dict[str, float | None]:
    rates = {field: _price(price, input_tokens) for field, price in price_by_field.items()}
    if _IMAGES_ONLY.match(model):
        rates["image_out"] = rates["text_out"] if rates["image_out"] is None else rates["image_out"]
    elif rates["image_out"] is None and _DRAWS.search(model):
        rates["text_out"] = None  # its text price is far below what its images cost
    if rates["image_in"] is None:
        rates["image_in"] = rates["text_in"]
    return rates


def _price(price: Any, input_tokens: int) -> float | None:
    if price is None or isinstance(price, Decimal | int | float):
        return None if price is None else float(price)
    passed = [tier.price for tier in price.tiers if input_tokens > tier.start]
    return float(passed[-1] if passed else price.base)


def _per_search(prices: "ModelPrice") -> float | None:
    """Price of one search of the web; the catalogue has that of a thousand."""
    thousand = _price(prices.web_searches_kcount, 0)
    return None if thousand is None else thousand / 1000


def _since(info: "ModelInfo", prices: "ModelPrice") -> date | None:
    """Start date of this price, if the catalogue has one."""
    if not isinstance(info.prices, list):
        return None
    starts = [getattr(one.constraint, "start_date", None) for one in info.prices if one.prices is prices]
    return next((start for start in starts if start is not None), None)


@lru_cache(maxsize=1)
def _version() -> str:
    from importlib.metadata import version

    return version(PACKAGE)
