"""Proportions, means and quantiles with their uncertainty.

Intervals and correlations are `scipy.stats`', which comes with the extra `evals`. Means and standard errors are plain
arithmetic here, because the benchmarks use them without the extra.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan, sqrt
from statistics import median, stdev
from typing import Any, Final

from imagerag.agent.extras import import_extra, require_extra

Z95: Final = 1.959963984540054
"""The standard normal's 97.5th percentile: what makes an interval cover 95 %."""
STATISTICS: Final = "an interval or a correlation"


def require_scipy() -> None:
    """Check that SciPy is installed, before any call is paid; SciPy is not loaded.

    Raises:
        MissingExtraError: SciPy is not installed.
    """
    require_extra("scipy", STATISTICS, "evals")


def scipy_stats() -> Any:
    """`scipy.stats`, loaded on the first use.

    Raises:
        MissingExtraError: SciPy is not installed.
    """
    return import_extra("scipy.stats", STATISTICS, "evals")


@dataclass(frozen=True)
class Proportion:
    """A proportion with its standard error and interval.

    Attributes:
        hits: number of hits, 0 to `n`.
        n: number of trials.
    """

    hits: int
    n: int

    def __post_init__(self) -> None:
        if not 0 <= self.hits <= self.n:
            raise ValueError(f"{self.hits} of {self.n} is no share")

    @property
    def value(self) -> float:
        """The share, in [0, 1]; NaN without trials."""
        return self.hits / self.n if self.n else nan

    @property
    def stderr(self) -> float:
        """The binomial standard error, sqrt(p (1 - p) / n); NaN without trials.

        It is 0 at shares of 0 and 1, where it is not informative; use `wilson` there.
        """
        return sqrt(self.value * (1 - self.value) / self.n) if self.n else nan

    def wilson(self, z: float = Z95) -> tuple[float, float]:
        """Wilson's score interval, within [0, 1]; good for small `n` and shares near 0 and 1.

        Args:
            z: standard normal quantile; the default covers 95 %.

        Raises:
            MissingExtraError: SciPy is not installed.
        """
        if not self.n:
            return 0.0, 1.0
        stats = scipy_stats()
        low, high = stats.binomtest(self.hits, self.n).proportion_ci(1 - 2 * stats.norm.sf(z), method="wilson")
        return float(low), float(high)


def mean(values: Sequence[float]) -> tuple[float, float]:
    """The mean and its standard error (sample standard deviation over root n); NaN where there are too few."""
    if not values:
        return nan, nan
    return sum(values) / len(values), stdev(values) / sqrt(len(values)) if len(values) > 1 else nan


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """The 25th, 50th and 75th percentile, linear between neighbours; of a single value, that value.

    Raises:
        ValueError: no values.
    """
    if not values:
        raise ValueError("no values have no quartiles")
    return percentile(values, 25), median(values), percentile(values, 75)


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` percent (0 to 100) lie, linear between neighbours.

    Raises:
        ValueError: no values, or a share beyond 0 to 100.
    """
    if not values or not 0 <= share <= 100:
        raise ValueError(f"no {share}th percentile of {len(values)} values")
    import numpy as np

    return float(np.percentile(values, share))
