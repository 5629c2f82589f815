"""Families of local pipelines, for the list of models."""

from typing import TYPE_CHECKING

from imagerag.tools.generators.diffusers.families import FAMILIES, Family
from imagerag.tools.model_list import ListedModel, ModelCost

if TYPE_CHECKING:
    from imagerag.tools.pricing.price_table import Prices


def diffusers_models(prices: "Prices") -> list[ListedModel]:
    """The rows of `families.FAMILIES`, those that the user registered included."""
    return [_listed(name, family) for name, family in FAMILIES.items()]


def _listed(name: str, family: Family) -> ListedModel:
    spec = f"diffusers:{name}" if family.repo else f"diffusers:{name}=DIR"
    sizes = "of its image" if family.fixed_size else f"any (x{family.multiple or 16})"
    return ListedModel(
        provider="diffusers",
        spec=spec,
        references=family.max_references,
        sizes=sizes,
        edits=family.edits and family.adapter is None and family.max_references > 0,
        seeds=True,
        licence=family.licence,
        weights=family.repo,
        cost=ModelCost(free=True),
    )
