"""Fusion of ranked lists by the weighted sum of their scores, with what each list contributed.

The scores of a list are scaled: the best is 1, the last of the first `DEPTH` 0. Measured on product photos and recorded
CLIP vectors (`python -m imagerag.evals.libraries.hybrid_search`), this finds more than reciprocal ranks do.

Own code: LanceDB's rerankers take the two lists of one hybrid query, as Arrow tables with complete rows; here are three
lists of ids, and only the best rows are read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from imagerag.agent.types import FoundBy, ListName

DEPTH: Final = 50
"""How many images of a list are scaled; later ones are as good as those that it has not."""

LEAST: Final = 0.01
"""What the last of a list counts more than an image that is not in it."""

FALLBACK: Final = 1e-4
"""Weight of a list that has none: it orders only what the others do not have. The last of a list that has a tenth of
all weight counts ten times as much as the first of such a list."""

Weights = Mapping[ListName, float]
"""List → its share of all weight, at least 0; a list that is not named has none."""


@dataclass(frozen=True)
class RankedList:
    """What one search found.

    Attributes:
        ids: of images, best first, each once.
        scores: theirs, descending: cosines, or BM25 scores.
    """

    name: ListName
    ids: Sequence[str]
    scores: Sequence[float]

    def scaled(self) -> list[float]:
        """The scores in [0, 1]: 1 for the best, `LEAST` for the last of the first `DEPTH`, 0 for those after it."""
        first = self.scores[:DEPTH]
        if not first:
            return []
        high, low = first[0], first[-1]
        spread = high - low
        inside = [LEAST + (1 - LEAST) * ((one - low) / spread if spread else 1.0) for one in first]
        return [*inside, *[0.0] * (len(self.scores) - len(first))]


@dataclass(frozen=True)
class Fused:
    """Several lists as one.

    Attributes:
        scores: image id → the sum of weight × scaled score over the lists that have it, in [0, 1].
    """

    lists: Sequence[RankedList]
    weights: Weights
    scores: Mapping[str, float]

    @classmethod
    def of(cls, lists: Sequence[RankedList], weights: Weights | None = None) -> "Fused":
        """Fuse lists.

        Args:
            weights: None weighs all lists alike.
        """
        weights = effective_weights([one.name for one in lists], weights)
        scores: dict[str, float] = {}
        for one in lists:
            for sha256, score in zip(one.ids, one.scaled(), strict=True):
                scores[sha256] = scores.get(sha256, 0.0) + weights[one.name] * score
        return cls(lists, weights, scores)

    def best(self, k: int) -> list[str]:
        """The ids with the `k` highest scores, in no order, and those with the same score as the last of them."""
        last = min(sorted(self.scores.values(), reverse=True)[:k], default=0.0)
        return [sha256 for sha256, score in self.scores.items() if score >= last]

    def found_by(self, ids: Sequence[str]) -> dict[str, tuple[FoundBy, ...]]:
        """For each image the lists that have it, that which counted most first."""
        by_id: dict[str, list[FoundBy]] = {sha256: [] for sha256 in ids}
        for one in self.lists:
            for rank, (sha256, score, scaled) in enumerate(zip(one.ids, one.scores, one.scaled(), strict=True), 1):
                if sha256 in by_id:
                    share = self.weights[one.name] * scaled / (self.scores[sha256] or 1.0)
                    by_id[sha256].append(FoundBy(list=one.name, rank=rank, score=score, share=min(1.0, share)))
        return {sha256: tuple(sorted(lists, key=lambda by: -by.share)) for sha256, lists in by_id.items()}


def effective_weights(names: Sequence[ListName], weights: Weights | None) -> dict[ListName, float]:
    """The weights of these lists alone, with the sum 1; none is 0."""
    positive_weights = {name: max((weights or {}).get(name, 0.0), FALLBACK) for name in names}
    return {name: weight / sum(positive_weights.values()) for name, weight in positive_weights.items()}
