"""Where a cosine lies among quantiles: at them, between them, and where several are equal."""

import pytest

from imagerag.store.library.library_metadata import percentile_of

STEPS = (0.0, 0.1, 0.2, 0.3, 0.4)


@pytest.mark.parametrize(
    ("cosine", "percent"),
    [(-0.1, 0), (0.0, 0), (0.05, 12.5), (0.1, 25), (0.2, 50), (0.35, 87.5), (0.4, 100), (0.5, 100)],
)
def test_between_quantiles_it_is_linear(cosine: float, percent: float) -> None:
    assert percentile_of(cosine, STEPS) == pytest.approx(percent)


@pytest.mark.parametrize(
    ("quantiles", "percent"),
    [
        ((0.0, 0.2, 0.2, 0.2, 0.4), 50),
        ((0.2, 0.2, 0.2, 0.3, 0.4), 25),
        ((0.0, 0.1, 0.2, 0.2, 0.2), 75),
        ((0.0, 0.2, 0.2, 0.3, 0.4), 37.5),
        ((0.2, 0.2, 0.2, 0.2, 0.2), 50),
    ],
)
def test_among_equal_quantiles_it_is_their_middle(quantiles: tuple[float, ...], percent: float) -> None:
    assert percentile_of(0.2, quantiles) == pytest.approx(percent)


def test_just_beside_equal_quantiles_it_is_at_their_edge() -> None:
    quantiles = (0.0, 0.2, 0.2, 0.2, 0.4)
    assert percentile_of(0.2 - 1e-9, quantiles) == pytest.approx(25)
    assert percentile_of(0.2 + 1e-9, quantiles) == pytest.approx(75)


def test_one_quantile_or_none() -> None:
    assert percentile_of(0.1, ()) == 100
    assert (percentile_of(0.1, (0.2,)), percentile_of(0.2, (0.2,)), percentile_of(0.3, (0.2,))) == (0, 100, 100)
