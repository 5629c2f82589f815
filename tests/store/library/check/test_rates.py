"""Shares with intervals, ranks, and rates that are held out."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from imagerag.store.library.check.rates import Share, ranked, wilson_interval
from imagerag.store.library.thresholds.calibration import TextEvidence
from imagerag.store.library.thresholds.decisions import Decisions, held_out
from imagerag.store.library.thresholds.image_calibration import ImageEvidence


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_is_the_one_of_scipy(counted: tuple[int, int]) -> None:
    expected = stats.binomtest(*counted).proportion_ci(0.95, method="wilson")
    assert wilson_interval(*counted) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_a_share_of_nothing_is_unknown() -> None:
    assert Share.of([]) == Share(value=None, low=0.0, high=1.0, n=0)
    assert Share.of([True, False]).value == 0.5


def test_rankings_are_scored_as_by_hand() -> None:
    found = ranked([["a", "x", "b"], ["x", "y"], ["y", "a"]], [{"a", "b"}, {"z"}, {"a"}])
    assert [share.value for share in (found.recall_1, found.recall_5, found.recall_10)] == pytest.approx(
        [1 / 3, 2 / 3, 2 / 3]
    )
    assert found.mrr == pytest.approx((1 + 0 + 1 / 2) / 3)
    best = 1 + 1 / np.log2(3)
    assert found.ndcg_10 == pytest.approx(((1 + 1 / np.log2(4)) / best + 0 + 1 / np.log2(3)) / 3)
    assert (found.precision_1, found.precision_5) == pytest.approx((1 / 3, (2 / 5 + 0 + 1 / 5) / 3))


class Noted:
    """Cosines that note which threshold decided on which half."""

    def __init__(self, queries: Sequence[int]) -> None:
        self.queries = queries

    def half(self, at: Literal[0, 1]) -> "Noted":
        return Noted(self.queries[at::2])

    def cosine(self) -> float:
        return float(self.queries[0])

    def decided(self, cosine: float) -> Decisions:
        assert cosine not in self.queries, "a query was decided on by a threshold that it is evidence for"
        return Decisions(np.asarray([True] * len(self.queries)), {"far": np.asarray([False])})


def test_each_half_is_decided_by_a_threshold_of_the_other() -> None:
    decided = held_out(Noted(range(10)))
    assert decided.accepted.sum() == 10
    assert list(decided.rejected["far"]) == [False, False]


@given(st.integers(2, 40), st.integers(0, 40), st.integers(0, 40))
def test_halves_of_evidence_hold_all_of_it_once(own: int, near: int, unrelated: int) -> None:
    cosines = np.arange(own + near + unrelated, dtype=float)
    whole = TextEvidence(cosines[:own], cosines[:own], cosines[own : own + near], cosines[own + near :], connected=True)
    one, other = whole.half(0), whole.half(1)
    assert sorted([*one.own, *other.own]) == list(whole.own)
    assert sorted([*one.negatives, *other.negatives]) == sorted(whole.negatives)


def test_views_of_one_image_stay_in_one_half() -> None:
    viewed = np.repeat([3, 7, 11, 20], 2)
    whole = ImageEvidence(np.arange(8.0), viewed, np.arange(5.0))
    halves = [set(whole.half(at).viewed.tolist()) for at in (0, 1)]
    assert halves == [{3, 11}, {7, 20}]
