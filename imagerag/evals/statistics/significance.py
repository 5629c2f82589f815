"""Statistical inference: bootstrap intervals, permutation tests, correction for many arms, agreement of raters.

All resampling is seeded, and results are the same on every machine with the same numpy and SciPy. Functions of SciPy
(extra `evals`) are used where there are any; the tests check the others against SciPy or statsmodels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import TYPE_CHECKING, Final

from imagerag.evals.statistics.estimators import mean, scipy_stats

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

RESAMPLES: Final = 10_000
EXACT_UP_TO: Final = 14
"""Pairs up to which all sign flips are tried, 2^n of them; from there on `RESAMPLES` random ones."""
BLOCK: Final = 2_000_000
"""Numbers drawn at a time: 16 MB, whatever the number of cases."""
DIGITS: Final = 9


@dataclass(frozen=True)
class Difference:
    """The paired difference of two arms on the same cases.

    Attributes:
        mean: mean of (arm - base) over the pairs; NaN without a pair.
        stderr: its standard error.
        low, high: 95 % bootstrap interval (percentile).
        p: two-sided sign-flip permutation test of "no difference".
        n: pairs; `unpaired` cases in which one of the two has no score.
        better, worse, same: pairs by the sign of the difference.
    """

    mean: float
    stderr: float
    low: float
    high: float
    p: float
    n: int
    unpaired: int = 0
    better: int = 0
    worse: int = 0
    same: int = 0


def paired(
    arm: Mapping[str, float], base: Mapping[str, float], *, cases: int | None = None, seed: int = 0
) -> Difference:
    """Compare two arms case by case; a case is one unit, however many seeds it was run with.

    Args:
        arm, base: case → score; cases without a score are left out of the mapping.
        cases: number of all cases, including those without scores.
        seed: decides the resampling.
    """
    import numpy as np

    both = sorted(arm.keys() & base.keys())
    total = len(arm.keys() | base.keys()) if cases is None else cases
    if not both:
        return Difference(nan, nan, nan, nan, nan, 0, unpaired=total)
    # Round the differences: equal scores must give exactly 0, for the signs.
    deltas = np.round(np.array([arm[case] - base[case] for case in both]), DIGITS)
    centre, stderr = mean(deltas.tolist())
    low, high = bootstrap(deltas, seed=seed)
    return Difference(
        mean=centre,
        stderr=stderr,
        low=low,
        high=high,
        p=sign_flip(deltas, seed=seed),
        n=len(both),
        unpaired=total - len(both),
        better=int((deltas > 0).sum()),
        worse=int((deltas < 0).sum()),
        same=int((deltas == 0).sum()),
    )


def bootstrap(values: "Floats | Sequence[float]", *, resamples: int = RESAMPLES, seed: int = 0) -> tuple[float, float]:
    """The 95 % percentile bootstrap interval of a mean (Efron and Tibshirani, 1993, chapter 13).

    Raises:
        ValueError: no values.
    """
    import numpy as np

    data = np.asarray(values, dtype=np.float64)
    if not len(data):
        raise ValueError("no values have no interval")
    if len(data) == 1:  # SciPy needs two or more values
        return float(data[0]), float(data[0])
    result = scipy_stats().bootstrap(
        (data,), np.mean, method="percentile", confidence_level=0.95, n_resamples=resamples,
        batch=max(1, BLOCK // len(data)), rng=np.random.default_rng(seed),
    )  # fmt: skip
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


def sign_flip(values: "Floats | Sequence[float]", *, resamples: int = RESAMPLES, seed: int = 0) -> float:
    """Two-sided p of the paired permutation test: each difference may as well have had the other sign.

    Exact up to `EXACT_UP_TO` differences; beyond, a random test that counts the observed one among its samples
    (Phipson and Smyth, 2010), so that p is never 0. Differences of 0 change nothing and are left out.

    Own code: `scipy.stats.permutation_test` gives the same p and takes five to twelve times as long.
    """
    import numpy as np

    data = np.asarray(values, dtype=np.float64)
    data = data[data != 0]
    if not len(data):
        return 1.0
    observed = abs(data.sum()) - 1e-12 * np.abs(data).sum()
    if len(data) <= EXACT_UP_TO:
        flips = 1 - 2.0 * ((np.arange(2 ** len(data))[:, None] >> np.arange(len(data))) & 1)
        return float((np.abs(flips @ data) >= observed).mean())
    rng, hits = np.random.default_rng(seed), 0
    step = max(1, BLOCK // len(data))
    for at in range(0, resamples, step):
        signs = 1 - 2.0 * rng.integers(0, 2, (min(step, resamples - at), len(data)))
        hits += int((np.abs(signs @ data) >= observed).sum())
    return (hits + 1) / (resamples + 1)


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's step-down correction of p values for multiple comparisons; NaN stays and is not counted.

    Own code: SciPy has no Holm correction.
    """
    ranked = sorted((p, at) for at, p in enumerate(ps) if p == p)
    corrected, highest = [nan] * len(ps), 0.0
    for rank, (p, at) in enumerate(ranked):
        highest = max(highest, min(1.0, p * (len(ranked) - rank)))
        corrected[at] = highest
    return corrected


def fleiss_kappa(ratings: Sequence[Sequence[int]]) -> float:
    """Agreement beyond chance of any number of raters (Fleiss, 1971); 1 is perfect, NaN where nothing can be said.

    Own code: SciPy has none, and that of statsmodels wants the same number of raters for every item.

    Args:
        ratings: items x categories: how many raters chose each. Items with fewer than two ratings are left out; raters
            may differ in number between items.
    """
    import numpy as np

    table = np.asarray([row for row in ratings if sum(row) > 1], dtype=np.float64)
    if not len(table):
        return nan
    counts = table.sum(axis=1)
    agreed = ((table * (table - 1)).sum(axis=1) / (counts * (counts - 1))).mean()
    shares = table.sum(axis=0) / table.sum()
    chance = float((shares**2).sum())
    return float((agreed - chance) / (1 - chance)) if chance < 1 else nan


def spearman(one: Sequence[float], other: Sequence[float]) -> float:
    """Spearman's rank correlation; ties get their mean rank. NaN for fewer than three, or where nothing varies."""
    if len(one) < 3 or len(set(one)) < 2 or len(set(other)) < 2:
        return nan
    return float(scipy_stats().spearmanr(one, other).statistic)
