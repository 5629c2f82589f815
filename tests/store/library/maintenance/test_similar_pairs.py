"""Near-duplicates of a large library are those that comparing every pair finds."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagerag.store.library.maintenance import similar_pairs as pairs
from imagerag.store.library.maintenance.similar_pairs import outlines, similar_pairs


def unit(vectors: np.ndarray) -> np.ndarray:
    made: np.ndarray = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return made


def world(seed: int, rows: int, dimension: int, groups: int, noise: float) -> np.ndarray:
    """Groups of vectors of which some are nearly the same; with much noise nothing is."""
    chance = np.random.default_rng(seed)
    centres = chance.standard_normal((groups, dimension))
    return unit(centres[chance.integers(0, groups, rows)] + noise * chance.standard_normal((rows, dimension)))


def found(vectors: np.ndarray, limit: float, first: int | None = None) -> dict[tuple[int, int], float]:
    told: list[Any] = []
    for ones, others, cosines in similar_pairs(vectors, limit, first):
        told += zip(zip(ones.tolist(), others.tolist(), strict=True), cosines.tolist(), strict=True)
    assert len(told) == len(dict(told)), "a pair was told twice"
    return dict(told)


def compared(vectors: np.ndarray, limit: float, first: int | None = None) -> dict[tuple[int, int], float]:
    """Every pair, in numbers of 64 bits."""
    cosines = vectors.astype(float) @ vectors.T.astype(float)
    ones, others = np.nonzero(np.triu(cosines >= limit, 1)[:first])
    return {pair: cosines[pair] for pair in zip(ones.tolist(), others.tolist(), strict=True)}


def check(vectors: np.ndarray, limit: float, first: int | None = None) -> None:
    got, right = found(vectors, limit, first), compared(vectors, limit - 1e-5, first)
    sure = {pair for pair, cosine in right.items() if cosine >= limit + 1e-5}
    assert sure <= got.keys() <= right.keys()
    assert all(got[pair] == pytest.approx(right[pair], abs=1e-5) for pair in got)


@settings(deadline=None, max_examples=80)
@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(1, 90),
    dimension=st.sampled_from([2, 16, 17, 40, 300]),
    groups=st.integers(1, 30),
    noise=st.sampled_from([0.0, 0.05, 0.3, 1.0]),
    limit=st.floats(-1, 1),
    first=st.none() | st.integers(0, 100),
)
def test_the_same_pairs_as_by_comparing_all(
    seed: int, rows: int, dimension: int, groups: int, noise: float, limit: float, first: int | None
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pairs, "ROWS", 16)
        patch.setattr(pairs, "COLUMNS", 24)
        patch.setattr(pairs, "WHOLE", 7)
        check(world(seed, rows, dimension, groups, noise), limit, first)


@pytest.mark.parametrize(("noise", "limit"), [(0.02, 0.95), (0.3, 0.9), (3.0, 0.5), (0.3, 0.2)])
def test_blocks_of_their_own_size(noise: float, limit: float) -> None:
    check(world(7, 1500, 128, 60, noise), limit)


def test_short_vectors_are_never_less_alike_and_pay_only_where_they_are_shorter() -> None:
    vectors = world(3, 500, 300, 20, 0.6)
    short = outlines(vectors, 0.95)
    assert short.shape[1] <= 129
    assert (short @ short.T >= vectors @ vectors.T - pairs.SLACK).all()
    assert outlines(vectors[:, :10], 0.9).shape == (500, 10)
    assert outlines(vectors, -1.0) is vectors
    assert outlines(vectors[:0], 0.9).shape == (0, 300)
