"""Weights of the lists of a hybrid search, measured on the library itself.

Each list is asked for the images that held-out queries are about (`held_out_queries`). All mixes of the lists in steps
of a tenth are compared by the discounted gain of the first such image (nDCG), which fluctuates less than its reciprocal
rank.

* A mix is taken if it is surely better than the best list alone, by cross-validation: the weights are chosen on nine
  tenths of the queries and judged on the others.
* Else all weight goes to the best list, if it is surely better than all lists with equal weights.
* Else all lists weigh alike: which list is the best is not certain either, and the wrong one costs more than a mix.

Surely better means that the 95 % interval of the difference, query by query, lies above zero.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product
from typing import TYPE_CHECKING, Final

from imagerag.agent.types import ListName
from imagerag.store.library.fusion import RankedList
from imagerag.store.library.fusion_metadata import Fusion, FusionMethod

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

STEPS: Final = 10
"""Parts that all weight is divided into."""

FOLDS: Final = 10

ENOUGH: Final = 24
"""Fewer queries than this say nothing: all lists weigh alike."""

RESAMPLES: Final = 2_000


@dataclass(frozen=True)
class Judged:
    """What the lists found for a query.

    Attributes:
        wanted: ids of the images that it is about.
    """

    lists: Sequence[RankedList]
    wanted: Collection[str]


@dataclass(frozen=True)
class WeightChoice:
    """The gain of queries by every mix of the lists.

    Attributes:
        mixes: weights [mixes, lists], each with the sum 1.
        gains: 1 / log2(1 + rank) of the first image that a query is about [queries, mixes]; 0 where it is not found.
    """

    names: Sequence[ListName]
    mixes: "Floats"
    gains: "Floats"

    @classmethod
    def of(cls, judged: Sequence[Judged]) -> "WeightChoice":
        """Rank the results of at least one query by every mix; all have the same lists, in the same order."""
        import numpy as np

        names = [one.name for one in judged[0].lists]
        shares = [mix for mix in product(range(STEPS + 1), repeat=len(names)) if sum(mix) == STEPS]
        mixes = np.asarray(shares, dtype=float) / STEPS
        return cls(names, mixes, np.stack([_gains(one, mixes) for one in judged]))

    @property
    def single(self) -> "NDArray[np.intp]":
        """The mixes that are one list alone, in the order of the lists."""
        import numpy as np

        best: NDArray[np.intp] = np.argmax(self.mixes, axis=0)
        return best

    def best(self, queries: "NDArray[np.intp] | slice" = slice(None)) -> int:
        """The mix that is best for some queries; of equal ones that which is nearest to equal weights."""
        import numpy as np

        means = self.gains[queries].mean(axis=0).round(9)
        return int(np.lexsort((np.square(self.mixes).sum(axis=1), -means))[0])

    def cross_validated(self) -> "Floats":
        """Gain of each query by the mix that is best for the other folds [queries]."""
        import numpy as np

        fold = np.arange(len(self.gains)) % FOLDS
        gains = np.zeros(len(self.gains))
        for one in range(FOLDS):
            if (held_out := np.flatnonzero(fold == one)).size:
                gains[held_out] = self.gains[held_out, self.best(np.flatnonzero(fold != one))]
        return gains

    @property
    def equal(self) -> int:
        """The mix that is nearest to equal weights."""
        import numpy as np

        return int(np.square(self.mixes - 1 / len(self.names)).sum(axis=1).argmin())

    def fusion(self, images: int) -> Fusion:
        """The weights, and the evidence for them.

        Args:
            images: of the library.
        """
        import numpy as np

        means = self.gains[:, self.single].mean(axis=0)
        alone = self.gains[:, self.single[int(means.argmax())]]
        mixed, equal = self.cross_validated(), self.gains[:, self.equal]
        choice: tuple[FusionMethod, Floats, Floats]
        if mean_interval(mixed - alone)[0] > 0:
            choice = "mixed", self.mixes[self.best()], mixed
        elif mean_interval(alone - equal)[0] > 0:
            choice = "single", self.mixes[self.single[int(means.argmax())]], alone
        else:
            choice = "equal", np.full(len(self.names), 1 / len(self.names)), equal
        method, mix, gains = choice
        return Fusion(
            weights={name: float(weight) for name, weight in zip(self.names, mix, strict=True)},
            method=method,
            n_queries=len(self.gains),
            ndcg={name: float(mean) for name, mean in zip(self.names, means, strict=True)},
            fused_ndcg=float(gains.mean()),
            gain=mean_interval(gains - alone),
            images=images,
            calibrated=datetime.now(UTC),
        )


def equal_fusion(names: Sequence[ListName], images: int, queries: int) -> Fusion:
    """Equal weights, where there is no evidence."""
    return Fusion(
        weights=dict.fromkeys(names, 1 / len(names)),
        method="equal",
        n_queries=queries,
        images=images,
        calibrated=datetime.now(UTC),
    )


def choose_weights(judged: Sequence[Judged], names: Sequence[ListName], images: int) -> Fusion:
    """The weights for lists of these names; equal ones where there are too few queries."""
    if len(judged) < ENOUGH:
        return equal_fusion(names, images, len(judged))
    return WeightChoice.of(judged).fusion(images)


def mean_interval(values: "Floats") -> tuple[float, float]:
    """95 % bootstrap interval of a mean."""
    import numpy as np

    chance = np.random.default_rng(0)
    means = values[chance.integers(0, len(values), (RESAMPLES, len(values)))].mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def _gains(judged: Judged, mixes: "Floats") -> "Floats":
    """Gain of the first wanted image by every mix [mixes]; of equal scores the first list's order counts."""
    import numpy as np

    pool = list(dict.fromkeys(sha256 for one in judged.lists for sha256 in one.ids))
    places = {sha256: at for at, sha256 in enumerate(pool)}
    parts = np.zeros((len(pool), len(judged.lists)))
    for column, one in enumerate(judged.lists):
        parts[[places[sha256] for sha256 in one.ids], column] = one.scaled()
    targets = [places[sha256] for sha256 in judged.wanted if sha256 in places]
    if not targets:
        return np.zeros(len(mixes))
    scores = (parts @ mixes.T).round(12)
    order = np.argsort(-scores, axis=0, kind="stable")
    ranks = np.argsort(order, axis=0)[targets].min(axis=0)
    is_found = scores[targets].max(axis=0) > 0
    gains: Floats = np.where(is_found, 1 / np.log2(2 + ranks), 0.0)
    return gains
