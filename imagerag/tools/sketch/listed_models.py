"""Models of the sketch world, for the list of models."""

from typing import TYPE_CHECKING

from imagerag.tools.model_list import ListedModel, ModelCost

if TYPE_CHECKING:
    from imagerag.tools.pricing.price_table import Prices


def sketch_models(prices: "Prices") -> list[ListedModel]:
    """The painter and the judge of the toy world."""
    from imagerag.tools.sketch.generator import SketchGenerator

    free = ModelCost(free=True)
    return [
        ListedModel(
            provider="sketch", spec="sketch", references=SketchGenerator.max_references, sizes="any", edits=True,
            seeds=True, licence="Apache-2.0", cost=free,
        ),
        ListedModel(provider="sketch", spec="sketch", role="judge", licence="Apache-2.0", cost=free),
    ]  # fmt: skip
