"""Products in small pieces are those of whole matrices, for any number, length and type of vectors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagerag.store.library.maintenance.vector_products import OPERATIONS, _side, products, room_for


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    ones=st.integers(0, 70),
    others=st.integers(0, 70),
    dimension=st.sampled_from([1, 2, 17, 512, 769, 4096]),
    half=st.booleans(),
    room=st.booleans(),
)
def test_as_a_product_of_whole_matrices(
    seed: int, ones: int, others: int, dimension: int, half: bool, room: bool
) -> None:
    chance = np.random.default_rng(seed)
    left, right = (chance.standard_normal((count, dimension), dtype=np.float32) for count in (ones, others))
    if half:
        left = left.astype(np.float16)
    got = products(left, right, room_for(ones, others) if room else None)
    assert (got.shape, got.dtype) == ((ones, others), np.float32)
    assert got == pytest.approx(left.astype(float) @ right.T.astype(float), abs=1e-3 * dimension**0.5)


@pytest.mark.parametrize("dimension", [16, 384, 512, 768, 1024, 3072])
def test_a_piece_is_small_enough_for_one_thread(dimension: int) -> None:
    assert _side(dimension) ** 2 * dimension <= OPERATIONS
