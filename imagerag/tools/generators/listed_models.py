"""Models of OpenAI and Gemini, and workflows of ComfyUI, for the list of models."""

from typing import TYPE_CHECKING, Final

from imagerag.tools.gemini.image_models import MODELS, GeminiImageModel
from imagerag.tools.generators.image_models import ImageModel, model_facts
from imagerag.tools.model_list import ListedModel, ModelCost, cost_of_model, hosted_judge
from imagerag.tools.pricing.price_table import OFFICIAL

if TYPE_CHECKING:
    from imagerag.tools.pricing.price_table import Prices

IMAGE_MODELS: Final = (
    "gpt-image-1-mini", "gpt-image-1.5", "gpt-image-2", "gpt-image-2.5-flare", "gpt-image-2.5-sunburst",
    "gpt-image-2.6-flare", "gpt-image-2.6-sunburst", "chatgpt-image-latest",
)  # fmt: skip
"""Models of the Images API that openai-python 3.52 names and that were not retired by 2026-11."""

JUDGES: Final = ("gpt-5.6-sol", "gpt-5.6-terra", "gpt-5.6-luna", "gpt-5.5", "gpt-5.4")
"""Chat models that see images."""

GEMINI_HOST: Final = "generativelanguage.googleapis.com"
GEMINI_JUDGES: Final = ("gemini-3.8-flash", "gemini-3.1-flash-lite")
"""Chat models that see images."""


def gemini_models(prices: "Prices") -> list[ListedModel]:
    """Image models and judges at Google's own address."""
    drawing = [
        ListedModel(
            provider="gemini",
            spec=f"gemini:{name}",
            references=facts.max_references,
            sizes=_gemini_sizes(facts),
            edits=True,
            licence="service",
            cost=cost_of_model(prices.of(name, GEMINI_HOST), draws=True),
        )
        for name, facts in MODELS.items()
    ]
    return [*drawing, *(hosted_judge("gemini", name, GEMINI_HOST, prices) for name in GEMINI_JUDGES)]


def comfyui_models(prices: "Prices") -> list[ListedModel]:
    """A workflow of the user's own: what it takes is what it has placeholders for."""
    spec = "comfyui:WORKFLOW.json"
    return [ListedModel(provider="comfyui", spec=spec, sizes="its own", seeds=True, cost=ModelCost(free=True))]


def _gemini_sizes(facts: GeminiImageModel) -> str:
    return f"{len(facts.shapes)} ratios, {'/'.join(sorted(facts.tiers, key=lambda tier: (len(tier) < 3, tier)))}"


def openai_models(prices: "Prices") -> list[ListedModel]:
    """Image models and judges at OpenAI's own address."""
    judges = [hosted_judge("openai", name, OFFICIAL, prices) for name in JUDGES]
    return [*(_drawing(name, prices) for name in IMAGE_MODELS), *judges]


def _drawing(name: str, prices: "Prices") -> ListedModel:
    facts = model_facts(name)
    return ListedModel(
        provider="openai",
        spec=f"openai:{name}",
        references=facts.max_references,
        sizes=_sizes(facts),
        edits=facts.edits,
        masks=facts.masks,
        seeds=facts.seed,
        licence="service",
        cost=cost_of_model(prices.of(name, OFFICIAL), draws=True),
    )


def _sizes(facts: ImageModel) -> str:
    rules = facts.size_rules
    if facts.sizes is not None:
        return ", ".join(map(str, facts.sizes))
    return f"to {rules.longest}x{rules.shortest} (x{rules.multiple})" if rules.longest else "any"
