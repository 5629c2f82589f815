"""Each statistic against an independent implementation: scipy and statsmodels."""

import asyncio
import gc
import math
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagerag.agent.errors import MissingExtraError
from imagerag.evals.harness.evaluation import EvalOptions, run_evaluation
from imagerag.evals.statistics.estimators import Proportion, mean, percentile
from imagerag.evals.statistics.significance import bootstrap, fleiss_kappa, holm, paired, sign_flip, spearman
from imagerag.store.data_dir import DataDir

RNG = np.random.default_rng(7)
NUMBERS = st.floats(-5, 5).map(lambda value: round(value, 3))


@pytest.fixture(autouse=True, scope="module")
def what_is_loaded_stays() -> Iterator[None]:
    """statsmodels collects garbage at every call: through all that is loaded, if that is not put aside."""
    gc.freeze()
    yield
    gc.unfreeze()


@given(st.lists(NUMBERS, min_size=2, max_size=30))
def test_mean_and_standard_error(values: list[float]) -> None:
    from scipy import stats

    centre, stderr = mean(values)
    assert centre == pytest.approx(np.mean(values), abs=1e-12)
    assert stderr == pytest.approx(stats.sem(values), abs=1e-12)


@given(st.integers(0, 60), st.integers(1, 60))
def test_wilsons_interval(hits: int, more: int) -> None:
    from statsmodels.stats.proportion import proportion_confint

    n = max(hits, more)
    low, high = Proportion(hits, n).wilson()
    assert (low, high) == pytest.approx(proportion_confint(hits, n, method="wilson"), abs=1e-9)


@given(st.lists(NUMBERS, min_size=1, max_size=20), st.integers(0, 100))
def test_percentiles(values: list[float], share: int) -> None:
    assert percentile(values, share) == pytest.approx(np.percentile(values, share))


@pytest.mark.parametrize("n", [5, 40, 300])
def test_the_bootstrap_interval(n: int) -> None:
    from scipy import stats

    data = RNG.gamma(2, 1, n)
    low, high = bootstrap(data, resamples=20_000)
    other = stats.bootstrap(
        (data,), np.mean, method="percentile", n_resamples=20_000, rng=np.random.default_rng(1)
    ).confidence_interval
    width = other.high - other.low
    assert (low, high) == pytest.approx((other.low, other.high), abs=0.05 * width)


def test_the_bootstrap_covers_what_it_says() -> None:
    rng = np.random.default_rng(3)
    held = sum(low <= 1 <= high for low, high in (bootstrap(rng.normal(1, 2, 60), resamples=500) for _ in range(400)))
    assert 0.90 <= held / 400 <= 0.98


def test_the_bootstrap_is_the_same_whatever_fits_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    data = RNG.normal(size=50)
    whole = bootstrap(data)
    monkeypatch.setattr("imagerag.evals.statistics.significance.BLOCK", 777)
    assert bootstrap(data) == whole
    assert bootstrap(data, seed=1) != whole
    with pytest.raises(ValueError, match="no values"):
        bootstrap([])


@given(st.lists(NUMBERS.filter(lambda value: abs(value) > 0.01), min_size=2, max_size=9))
def test_the_permutation_test_is_exact_for_few(values: list[float]) -> None:
    from scipy import stats

    other = stats.permutation_test(
        (np.array(values), np.zeros(len(values))),
        lambda a, b, axis: np.mean(a - b, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=np.inf,
    )
    assert sign_flip(values) == pytest.approx(other.pvalue, abs=1e-9)


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.3])
def test_the_permutation_test_for_many(shift: float) -> None:
    from scipy import stats

    data = np.random.default_rng(11).normal(shift, 1, 120)
    other = stats.permutation_test(
        (data, np.zeros(120)), lambda a, b, axis: np.mean(a - b, axis=axis), permutation_type="samples",
        vectorized=True, n_resamples=20_000, rng=np.random.default_rng(2),
    )  # fmt: skip
    assert sign_flip(data, resamples=20_000) == pytest.approx(other.pvalue, abs=0.012)


def test_the_permutation_test_holds_its_level() -> None:
    rng = np.random.default_rng(5)
    rejected = sum(sign_flip(rng.standard_t(3, 25), resamples=400) <= 0.05 for _ in range(600))
    assert 0.02 <= rejected / 600 <= 0.08


def test_nothing_differs() -> None:
    assert sign_flip([]) == sign_flip([0.0, 0.0]) == 1.0
    assert sign_flip([1.0] * 30, resamples=999) == pytest.approx(1 / 1000)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holms_correction(ps: list[float]) -> None:
    from statsmodels.stats.multitest import multipletests

    assert holm(ps) == pytest.approx(list(multipletests(ps, method="holm")[1]))


def test_holms_correction_leaves_out_what_is_not_known() -> None:
    corrected = holm([0.01, math.nan, 0.04])
    assert (corrected[0], corrected[2]) == pytest.approx((0.02, 0.04))
    assert math.isnan(corrected[1])


@given(st.lists(st.lists(st.integers(0, 3), min_size=3, max_size=3), min_size=2, max_size=12))
def test_fleiss_kappa(raw: list[list[int]]) -> None:
    from statsmodels.stats import inter_rater

    table = [[*row[:2], 6 - sum(row[:2])] for row in raw]
    expected = (
        inter_rater.fleiss_kappa(np.array(table)) if len({i for r in table for i, c in enumerate(r) if c}) > 1 else 0
    )
    found = fleiss_kappa(table)
    if len({i for row in table for i, count in enumerate(row) if count}) > 1:
        assert found == pytest.approx(expected, abs=1e-9)
    else:
        assert math.isnan(found)


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=3, max_size=30))
def test_spearmans_correlation(pairs: list[tuple[float, float]]) -> None:
    from scipy import stats

    one, other = [a for a, _ in pairs], [b for _, b in pairs]
    found = spearman(one, other)
    if len(set(one)) == 1 or len(set(other)) == 1:
        assert math.isnan(found)
    else:
        assert found == pytest.approx(stats.spearmanr(one, other).statistic, abs=1e-9)


def test_pairs_are_by_case_and_say_what_has_none() -> None:
    from scipy import stats

    arm, base = {"a": 0.5, "b": 0.7, "c": 0.1, "x": 1.0}, {"a": 0.4, "b": 0.7, "c": 0.3}
    found = paired(arm, base, cases=6)
    assert (found.n, found.unpaired, found.better, found.same, found.worse) == (3, 3, 1, 1, 1)
    assert found.mean == pytest.approx((0.1 + 0 - 0.2) / 3)
    assert found.stderr == pytest.approx(stats.sem([0.1, 0.0, -0.2]))
    assert found.p == pytest.approx(1.0)
    nothing = paired({"a": 1.0}, {"b": 1.0})
    assert nothing.n == 0
    assert math.isnan(nothing.mean)


def test_one_value_is_its_own_interval() -> None:
    assert bootstrap([0.25]) == (0.25, 0.25)


def test_without_scipy_the_extra_is_named_before_anything_is_spent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "scipy", None)
    for statistic in (
        lambda: Proportion(1, 3).wilson(),
        lambda: bootstrap([0.1, 0.2]),
        lambda: spearman([1, 2, 3], [1, 3, 2]),
        lambda: asyncio.run(run_evaluation(tmp_path, None, EvalOptions(users=DataDir(tmp_path)))),  # type: ignore[arg-type]
    ):
        with pytest.raises(MissingExtraError, match=r"pip install 'imagerag\[evals\]'"):
            statistic()
    assert list(tmp_path.iterdir()) == []
