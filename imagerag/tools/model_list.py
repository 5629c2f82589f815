"""List of the models that imagerag knows by name: what each takes, draws and costs.

A provider's models come from one function, `(prices) -> models`, named in `SOURCES`. Nothing is fetched and no weights
are loaded; a model that is not listed can be used all the same.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Final, Literal

from imagerag.agent.errors import UsageError
from imagerag.formatting.messages import unknown

if TYPE_CHECKING:
    from imagerag.tools.pricing.price_table import ModelPrice, Prices

ListedRole = Literal["generator", "judge"]
ROLES: Final[tuple[ListedRole, ...]] = ("generator", "judge")

SOURCES: Final[Mapping[str, str]] = {
    "sketch": "imagerag.tools.sketch.listed_models:sketch_models",
    "diffusers": "imagerag.tools.generators.diffusers.listed_models:diffusers_models",
    "openai": "imagerag.tools.generators.listed_models:openai_models",
    "gemini": "imagerag.tools.generators.listed_models:gemini_models",
    "comfyui": "imagerag.tools.generators.listed_models:comfyui_models",
    "services": "imagerag.tools.services.listed_models:service_models",
    "recipes": "imagerag.tools.judges.listed_models:recipe_models",
}
"""Source → the function that lists its models; a source is one provider's, except the last two."""

Lister = Callable[["Prices"], Iterable["ListedModel"]]


@dataclass(frozen=True, kw_only=True)
class ModelCost:
    """Price of a model in US dollars; None is not known.

    Attributes:
        free: it runs on the user's own machine.
        image_usd: one image of 1024x1024 at most, at the highest quality, without references.
        text_in_usd, text_out_usd: a million tokens of text that is sent and returned.
    """

    free: bool = False
    image_usd: float | None = None
    text_in_usd: float | None = None
    text_out_usd: float | None = None


@dataclass(frozen=True, kw_only=True)
class ListedModel:
    """One model, or one family of models.

    Attributes:
        provider, role: what a spec is for: `--generator PROVIDER:…`.
        spec: as it is written; a part in capitals is to be filled in.
        references: images with a prompt at most, of a judge in one request; None is not known.
        sizes: sizes that it draws, in words; empty for a judge.
        edits, masks, seeds: whether it edits an image, takes a mask, repeats an image for the same seed.
        licence: of its weights or "service"; empty says that its card has to be read.
        weights: repository of its weights.
        cost: its price.
    """

    provider: str
    spec: str
    role: ListedRole = "generator"
    references: int | None = None
    sizes: str = ""
    edits: bool = False
    masks: bool = False
    seeds: bool = False
    licence: str = ""
    weights: str = ""
    cost: ModelCost = ModelCost()


def list_models(prices: "Prices", *, role: str | None = None, provider: str | None = None) -> list[ListedModel]:
    """The models that are known by name, by provider.

    Args:
        prices: the user's price table.
        role: only models for this role, see `ROLES`.
        provider: only this provider's models.

    Raises:
        UsageError: no such role or provider.
    """
    if role is not None and role not in ROLES:
        raise UsageError(unknown("role", role, ROLES))
    models = [one for place in SOURCES.values() for one in _lister(place)(prices)]
    providers = dict.fromkeys(one.provider for one in models)
    if provider is not None and provider not in providers:
        raise UsageError(unknown("provider of listed models", provider, providers))
    return [one for one in models if role in (None, one.role) and provider in (None, one.provider)]


def hosted_judge(provider: str, model: str, host: str, prices: "Prices") -> ListedModel:
    """A model of a service that sees images."""
    cost = cost_of_model(prices.of(model, host), draws=False)
    return ListedModel(provider=provider, spec=f"{provider}:{model}", role="judge", licence="service", cost=cost)


def cost_of_model(price: "ModelPrice", *, draws: bool) -> ModelCost:
    """The listed price of a model from its price hook."""
    from imagerag.agent.types import Size

    row = price.row
    if row is None:
        return ModelCost(free=price.free)
    image = price.tariff(draws=True).most(_PROMPT, 0, Size(width=1024, height=1024)) if draws else None
    return ModelCost(image_usd=image, text_in_usd=row.text_in, text_out_usd=None if draws else row.text_out)


_PROMPT: Final = 200
"""Bytes of an ordinary prompt."""


def _lister(place: str) -> Lister:
    module, _, name = place.partition(":")
    lister: Lister = getattr(import_module(module), name)
    return lister
