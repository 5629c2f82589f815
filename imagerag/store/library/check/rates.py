"""Shares with their intervals, and the ranks of right images."""

from collections.abc import Collection, Iterable, Sequence
from math import log2, sqrt
from statistics import fmean, stdev
from typing import Final

from imagerag.agent.types import FrozenModel

DEPTH: Final = 10
"""Places of a ranking that count."""

Z95: Final = 1.959963984540054
"""The standard normal's 97.5th percentile."""


class Share(FrozenModel):
    """A share, in [0, 1], with its 95 % Wilson interval.

    Attributes:
        value: None of nothing.
        n: how many it was counted of.
    """

    value: float | None
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, hits: Iterable[bool]) -> "Share":
        """Of yes and no."""
        outcomes = [bool(hit) for hit in hits]
        low, high = wilson_interval(sum(outcomes), len(outcomes))
        return cls(value=sum(outcomes) / len(outcomes) if outcomes else None, low=low, high=high, n=len(outcomes))


def wilson_interval(hits: int, n: int) -> tuple[float, float]:
    """The 95 % score interval of a share (Wilson, 1927), within [0, 1]. SciPy has it too, and is an extra."""
    if not n:
        return 0.0, 1.0
    share, square = hits / n, Z95**2
    middle = (share + square / (2 * n)) / (1 + square / n)
    half = Z95 * sqrt(share * (1 - share) / n + square / (4 * n**2)) / (1 + square / n)
    return max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half))


class Ranking(FrozenModel):
    """Ranks of the right images.

    Attributes:
        precision_1, precision_5, precision_10: mean share of the first so many that are right; where fewer are right
            in all, it cannot reach 1.
        recall_1, recall_5, recall_10: share of the queries with a right image among the first so many.
        mrr: mean of one over the place of the first right image, 0 beyond the tenth.
        ndcg_10: of all right images among the first ten, against the best order there can be.
        stderr: of `mrr` and `ndcg_10`, in this order; None of a single query.
    """

    precision_1: float
    precision_5: float
    precision_10: float
    recall_1: Share
    recall_5: Share
    recall_10: Share
    mrr: float
    ndcg_10: float
    stderr: tuple[float | None, float | None]


def ranked(rankings: Sequence[Sequence[str]], right: Sequence[Collection[str]]) -> Ranking:
    """Score rankings.

    Args:
        rankings: for each query, at least one, the ids of the hits, best first.
        right: for each query, at least one, the ids that are right.
    """
    places = [
        [at for at, one in enumerate(hits[:DEPTH], start=1) if one in relevant]
        for hits, relevant in zip(rankings, right, strict=True)
    ]
    ideal = [sum(map(_gain, range(1, min(DEPTH, len(relevant)) + 1))) for relevant in right]
    gains = [sum(map(_gain, ranks)) / best for ranks, best in zip(places, ideal, strict=True)]
    reciprocal = [1 / ranks[0] if ranks else 0.0 for ranks in places]
    recalls = {f"recall_{k}": Share.of(bool(ranks) and ranks[0] <= k for ranks in places) for k in (1, 5, DEPTH)}
    precisions = {
        f"precision_{k}": fmean([sum(at <= k for at in ranks) / k for ranks in places]) for k in (1, 5, DEPTH)
    }
    return Ranking.model_validate(
        {
            **precisions,
            **recalls,
            "mrr": fmean(reciprocal),
            "ndcg_10": fmean(gains),
            "stderr": (_stderr(reciprocal), _stderr(gains)),
        }
    )


def _gain(place: int) -> float:
    return 1 / log2(1 + place)


def _stderr(values: Sequence[float]) -> float | None:
    return stdev(values) / sqrt(len(values)) if len(values) > 1 else None
