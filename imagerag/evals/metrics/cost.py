"""Model calls and cost of a result, with those of the initial image. Times are not in the results."""

from collections.abc import Mapping

from imagerag.evals.metrics.base import DIGITS, Sample
from imagerag.evals.result_record import Score


class CostScore:
    """`work`: `calls`, `cost_usd`, `searches`, `redrawn`, `kept_initial`, `loop_aligned` (by the loop's own judge)."""

    spec = "work"
    needs_image = False

    async def measure(self, sample: Sample) -> Mapping[str, Score]:
        """Counts; `cost_usd` is None where a price is not known."""
        result = sample.result
        costs = [result.cost_usd, result.initial_image.cost_usd]
        total = None if None in costs else round(sum(cost for cost in costs if cost is not None), DIGITS)
        kept_initial = (
            result.image is not None
            and result.initial_image.image is not None
            and result.image == result.initial_image.image
        )
        judged = bool(result.attempts) and result.attempts[-1].verdict is not None
        return {
            "calls": float(len(result.calls) + result.initial_image.calls),
            "cost_usd": total,
            "searches": float(result.retrievals),
            "redrawn": float(result.regenerations),
            "kept_initial": kept_initial,
            "loop_aligned": result.outcome == "aligned" if judged else None,
        }
