"""Judges on servers of the user's own, for the list of models."""

from typing import TYPE_CHECKING

from imagerag.tools.judges.recipes import judge_recipes
from imagerag.tools.model_list import ListedModel, ModelCost

if TYPE_CHECKING:
    from imagerag.tools.pricing.price_table import Prices


def recipe_models(prices: "Prices") -> list[ListedModel]:
    """The recipes, on each of their servers; a server on this machine is free."""
    return [
        ListedModel(
            provider=spec.partition(":")[0],
            spec=spec,
            role="judge",
            licence=recipe.licence,
            weights=recipe.names.get("vllm", ""),
            cost=ModelCost(free=True),
        )
        for spec, recipe in judge_recipes()
    ]
