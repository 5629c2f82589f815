"""Near-duplicates of a large library are those that comparing every pair finds."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagerag.store.library.maintenance import similar_pairs as pairs
from imagerag.store.library.maintenance import vector_cells
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


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(1, 90),
    dimension=st.sampled_from([2, 17, 40]),
    groups=st.integers(1, 30),
    noise=st.sampled_from([0.0, 0.05, 0.3, 1.0]),
    limit=st.floats(-1, 1),
    first=st.none() | st.integers(0, 100),
    all_cells=st.booleans(),
)
def test_pairs_of_cells_are_pairs_and_all_of_them_where_all_cells_are_looked_into(
    seed: int, rows: int, dimension: int, groups: int, noise: float, limit: float, first: int | None, all_cells: bool
) -> None:
    vectors = world(seed, rows, dimension, groups, noise)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pairs, "EXACT", 0)
        patch.setattr(pairs, "FEW", 1)
        patch.setattr(pairs, "ROWS", 4)
        patch.setattr(pairs, "COLUMNS", 9)
        patch.setattr(pairs, "BLOCK", 27)
        patch.setattr(vector_cells.VectorCells, "_margin_for", lambda *_: 2.0 if all_cells else 0.0)
        if all_cells:
            check(vectors, limit, first)
        got, right = found(vectors, limit, first), compared(vectors, limit - 1e-5, first)
    assert got.keys() <= right.keys()
    assert all(got[pair] == pytest.approx(right[pair], abs=1e-5) for pair in got)


@pytest.mark.parametrize(("limit", "noise"), [(0.98, 0.3), (0.95, 0.6), (0.9, 0.6), (0.8, 1.0)])
def test_few_pairs_are_missed_where_only_near_cells_are_looked_into(
    limit: float, noise: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = np.random.default_rng(3)
    vectors = world(5, 4000, 48, 40, noise)
    ones, others, towards = np.split(chance.permutation(4000)[:3000], 3)
    across = vectors[towards] - (vectors[towards] * vectors[ones]).sum(axis=1)[:, None] * vectors[ones]
    cosines = np.append(chance.uniform(limit, 1, 900), np.ones(100))[:, None]  # the last are exact duplicates
    vectors[others] = unit(cosines * vectors[ones] + np.sqrt(1 - cosines**2) * unit(across))
    monkeypatch.setattr(pairs, "EXACT", 0)
    monkeypatch.setattr(pairs, "FEW", 1)
    monkeypatch.setattr(pairs, "COLUMNS", 256)
    monkeypatch.setattr(pairs, "BLOCK", 1024)
    cells = vector_cells.VectorCells.of(vectors, limit)
    looked_into = sum(len(which) for _, which in cells.looked_into(vectors, np.arange(len(vectors))))
    assert looked_into < 0.9 * len(cells.centres) * len(vectors), "else it shows nothing"
    got = found(vectors, limit)
    right = {pair for pair, cosine in compared(vectors, limit).items() if cosine >= limit + 1e-5}
    assert len(right) > 950
    assert len(right & got.keys()) >= 0.99 * len(right)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_where_most_cells_are_near_every_pair_is_compared(dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs, "EXACT", 0)
    monkeypatch.setattr(pairs, "_of_cells", lambda *_: pytest.fail("by cells it takes longer"))
    cone = unit(world(5, 1000, 64, 1000, 0.5) + 2 * np.eye(64)[0]).astype(dtype)
    right = compared(cone, 0.93)
    assert len(right) > 20
    got = found(cone, 0.93)
    assert got.keys() == right.keys()
    assert all(got[pair] == pytest.approx(right[pair], abs=1e-5) for pair in got)
    with pytest.raises(pytest.fail.Exception):
        found(world(5, 4000, 48, 40, 0.1).astype(dtype), 0.98)


def test_many_of_the_same_vector_take_no_more_than_their_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs, "EXACT", 0)
    monkeypatch.setattr(pairs, "FEW", 1)
    vectors = np.repeat(world(1, 1, 16, 1, 0.1), 9000, axis=0)
    passed, largest = np.zeros(9000, dtype=bool), 0
    for ones, others, _ in similar_pairs(vectors, 0.9, passed=passed):
        largest = max(largest, len(ones))
        passed[others[ones == ones[0]]] = True
    assert passed.sum() == 8999
    assert largest <= pairs.ROWS * pairs.COLUMNS


def test_vectors_are_moved_from_all_of_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    moved: list[np.ndarray] = []
    monkeypatch.setattr(vector_cells, "MOVED", 10)
    monkeypatch.setattr(vector_cells.VectorCells, "_margin_for", lambda _, sample, limit: moved.append(sample) or 0.0)
    vectors = world(1, 38, 8, 40, 0.5)
    vector_cells.VectorCells.of(vectors, 0.9)
    assert np.array_equal(moved[0], vectors[::4])


def test_vectors_in_half_precision_have_the_same_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs, "EXACT", 0)
    monkeypatch.setattr(pairs, "FEW", 1)
    monkeypatch.setattr(pairs, "COLUMNS", 256)
    monkeypatch.setattr(pairs, "BLOCK", 512)
    vectors = world(11, 2000, 64, 300, 0.02)
    whole, half = found(vectors, 0.9), found(vectors.astype(np.float16), 0.9)  # type: ignore[arg-type]
    assert len(whole) > 1000
    assert whole.keys() == half.keys()
    assert all(half[pair] == pytest.approx(whole[pair], abs=5e-4) for pair in whole)
