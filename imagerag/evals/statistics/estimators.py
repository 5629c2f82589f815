"""Shares with their uncertainty, and the few other numbers that reports need. Everything here is pure arithmetic."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan, sqrt
from statistics import median, stdev
from typing import Final

Z95: Final = 1.959963984540054
"""The standard normal's 97.5th percentile: what makes an interval cover 95 %."""


@dataclass(frozen=True)
class Proportion:
    """So many of so many, with what chance alone does to such a share.

    Attributes:
        hits: how many, 0 to `n`.
        n: of how many.
    """

    hits: int
    n: int

    def __post_init__(self) -> None:
        if not 0 <= self.hits <= self.n:
            raise ValueError(f"{self.hits} of {self.n} is no share")

    @property
    def value(self) -> float:
        """The share, in [0, 1]; NaN of nothing."""
        return self.hits / self.n if self.n else nan

    @property
    def stderr(self) -> float:
        """The binomial standard error, sqrt(p (1 - p) / n); NaN of nothing.

        It is 0 at shares of 0 and 1, where it says nothing: `wilson` does.
        """
        return sqrt(self.value * (1 - self.value) / self.n) if self.n else nan

    def wilson(self, z: float = Z95) -> tuple[float, float]:
        """Wilson's score interval, within [0, 1]; good for small `n` and shares near 0 and 1.

        Args:
            z: standard normal quantile; the default covers 95 %.
        """
        if not self.n:
            return 0.0, 1.0
        p, n, squared = self.value, self.n, z * z
        centre = (p + squared / (2 * n)) / (1 + squared / n)
        half = z * sqrt(p * (1 - p) / n + squared / (4 * n * n)) / (1 + squared / n)
        # At 0 and at n the formula meets the bound exactly; rounding may not.
        return (0.0 if self.hits == 0 else centre - half), (1.0 if self.hits == n else centre + half)


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
    ordered = sorted(values)
    at = share / 100 * (len(ordered) - 1)
    below = int(at)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (at - below)
