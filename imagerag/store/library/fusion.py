"""Fusion of ranked lists by weighted reciprocal ranks, with what each list contributed.

Own code: LanceDB's rerankers take the two lists of one hybrid query, as Arrow tables with complete rows; here are three
lists of ids, and only the best rows are read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from imagerag.agent.types import FoundBy, ListName

RRF: Final = 60
"""Constant of reciprocal rank fusion: how little the first ranks differ."""

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


@dataclass(frozen=True)
class Fused:
    """Several lists as one.

    Attributes:
        scores: image id → the sum of weight / (`RRF` + rank) over the lists that have it.
    """

    lists: Sequence[RankedList]
    weights: Weights
    scores: Mapping[str, float]

    @classmethod
    def of(cls, lists: Sequence[RankedList], weights: Weights | None = None) -> "Fused":
        """Fuse lists.

        Args:
            weights: None weighs all lists alike, as do weights that give none of them any.
        """
        weights = effective_weights([one.name for one in lists], weights)
        scores: dict[str, float] = {}
        for one in lists:
            for rank, sha256 in enumerate(one.ids, start=1):
                scores[sha256] = scores.get(sha256, 0.0) + weights[one.name] / (RRF + rank)
        return cls(lists, weights, scores)

    def best(self, k: int) -> list[str]:
        """The ids with the `k` highest scores, in no order, and those with the same score as the last of them."""
        last = min(sorted(self.scores.values(), reverse=True)[:k], default=0.0)
        return [sha256 for sha256, score in self.scores.items() if score >= last]

    def found_by(self, ids: Sequence[str]) -> dict[str, tuple[FoundBy, ...]]:
        """For each image the lists that have it, that which counted most first."""
        found: dict[str, list[FoundBy]] = {sha256: [] for sha256 in ids}
        for one in self.lists:
            for rank, (sha256, score) in enumerate(zip(one.ids, one.scores, strict=True), start=1):
                if sha256 in found:
                    share = self.weights[one.name] / (RRF + rank) / (self.scores[sha256] or 1.0)
                    found[sha256].append(FoundBy(list=one.name, rank=rank, score=score, share=min(1.0, share)))
        return {sha256: tuple(sorted(lists, key=lambda by: -by.share)) for sha256, lists in found.items()}


def effective_weights(names: Sequence[ListName], weights: Weights | None) -> dict[ListName, float]:
    """The weights of these lists alone, with the sum 1."""
    given = {name: (weights or {}).get(name, 0.0) for name in names}
    total = sum(given.values())
    return {name: value / total for name, value in given.items()} if total else dict.fromkeys(names, 1 / len(names))
