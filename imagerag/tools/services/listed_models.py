"""Models of the services, for the list of models: those that `auto` takes, and image models that were looked up."""

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from imagerag.tools.model_list import ListedModel, cost_of_model, hosted_judge
from imagerag.tools.services.table import SERVICES

if TYPE_CHECKING:
    from imagerag.tools.pricing.price_table import Prices

IMAGE_MODELS: Final = (("xai", "grok-imagine-image", 3),)
"""(service, image model, references)."""


def service_models(prices: "Prices") -> list[ListedModel]:
    """One judge of each service that has one by a fixed name, and the image models."""
    judges = [hosted_judge(one.name, one.judge, _host(one.address), prices) for one in SERVICES.values() if one.judge]
    drawing = [
        ListedModel(
            provider=name,
            spec=f"{name}:{model}",
            references=references,
            sizes="the nearest aspect ratio" if getattr(SERVICES[name].images, "size", "") == "aspect_ratio" else "any",
            edits=True,
            licence="service",
            cost=cost_of_model(prices.of(model, _host(SERVICES[name].address)), draws=True),
        )
        for name, model, references in IMAGE_MODELS
    ]
    return [*drawing, *judges]


def _host(address: str) -> str:
    return urlsplit(address).hostname or ""
