"""The statistics, against numbers worked out by hand and against other ways to the same ones."""

from math import isnan, sqrt
from statistics import pstdev, quantiles

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagerag.evals.statistics.estimators import Z95, Proportion, mean, percentile, quartiles


def test_hand_computed_shares() -> None:
    fifth = Proportion(20, 100)
    assert fifth.value == 0.2
    assert fifth.stderr == pytest.approx(0.04)  # sqrt(0.2 * 0.8 / 100)
    low, high = fifth.wilson()  # 0.2 + 1.9208/100 -+ 1.96 sqrt(0.0016 + 0.9604/10000), over 1 + 3.8416/100
    assert [low, high] == pytest.approx([0.13337, 0.28883], abs=1e-5)


def test_shares_of_none_and_of_all() -> None:
    assert Proportion(0, 10).stderr == Proportion(10, 10).stderr == 0
    assert list(Proportion(0, 10).wilson()) == pytest.approx([0, 0.27753], abs=1e-5)  # z² / (n + z²)
    assert list(Proportion(10, 10).wilson()) == pytest.approx([1 - 0.27753, 1], abs=1e-5)


def test_a_share_of_nothing_is_unknown() -> None:
    nothing = Proportion(0, 0)
    assert isnan(nothing.value)
    assert isnan(nothing.stderr)
    assert nothing.wilson() == (0.0, 1.0)


@pytest.mark.parametrize(("hits", "n"), [(-1, 3), (4, 3), (1, 0)])
def test_impossible_counts_are_refused(hits: int, n: int) -> None:
    with pytest.raises(ValueError, match="is no share"):
        Proportion(hits, n)


shares = st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(shares)
def test_standard_error_is_that_of_a_mean_of_zeros_and_ones(share: tuple[int, int]) -> None:
    hits, n = share
    assert Proportion(hits, n).stderr == pytest.approx(pstdev([1] * hits + [0] * (n - hits)) / sqrt(n), abs=1e-12)


@given(shares, st.sampled_from([1.0, Z95, 3.0]))
def test_wilson_bounds_are_the_shares_that_lie_z_standard_errors_away(share: tuple[int, int], z: float) -> None:
    hits, n = share
    low, high = Proportion(hits, n).wilson(z)
    assert 0 <= low <= hits / n <= high <= 1
    for bound in (low, high):
        assert n * (hits / n - bound) ** 2 == pytest.approx(z * z * bound * (1 - bound), abs=1e-8)


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=50))
def test_quartiles_are_those_of_the_standard_library(values: list[float]) -> None:
    assert quartiles(values) == pytest.approx(tuple(quantiles(values, n=4, method="inclusive")), abs=1e-6)


def test_percentiles_and_means() -> None:
    assert percentile([3, 1, 2], 50) == 2
    assert percentile([1, 2], 75) == 1.75
    assert quartiles([7]) == (7, 7, 7)
    assert list(mean([1, 2, 3])) == pytest.approx([2, 1 / sqrt(3)])
    assert mean([4])[0] == 4
    assert isnan(mean([4])[1])
    assert all(map(isnan, mean([])))
    for values, share in (([], 50), ([1], 101), ([1], -1)):
        with pytest.raises(ValueError, match="percentile"):
            percentile(values, share)
    with pytest.raises(ValueError, match="quartiles"):
        quartiles([])
