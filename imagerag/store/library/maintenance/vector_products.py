"""Products of all vectors with all others, in one thread.

OpenBLAS divides a product among threads that wait for one another without rest: where other programs need the cores as
well, a product of a few hundred vectors takes 10 to 50 times as long as in one thread. Small products it leaves to one
thread, so a large one is made of those.
"""

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

OPERATIONS: Final = 2**19
"""Multiplications of a product up to which OpenBLAS takes one thread."""

STEP: Final = 8
WIDEST: Final = 128
"""The vectors on each side of a small product are a multiple of the one, and at most the other."""


def products(ones: Any, others: Any, room: "Vectors | None" = None) -> "Vectors":
    """The dot product of each vector with each other one: float32 [ones, others].

    Args:
        ones, others: of any type of float, [vectors, dimension].
        room: made by `room_for`, for at least so many vectors; the result lies in it.
    """
    import numpy as np

    dimension = ones.shape[1]
    side = _side(dimension)
    padded = _padded(ones, side), _padded(others, side)
    rows, columns = len(padded[0]), len(padded[1])
    room = np.empty(rows * columns, dtype=np.float32) if room is None else room[: rows * columns]
    pieces = room.reshape(rows // side, side, columns // side, side).swapaxes(1, 2)
    np.matmul(
        padded[0].reshape(-1, 1, side, dimension),
        padded[1].reshape(1, -1, side, dimension).swapaxes(2, 3),
        out=pieces,
    )
    return room.reshape(rows, columns)[: len(ones), : len(others)]


def room_for(ones: int, others: int) -> "Vectors":
    """Memory for the products of so many vectors: new memory for each would take longer than a product."""
    import numpy as np

    return np.empty((ones + WIDEST) * (others + WIDEST), dtype=np.float32)


def _side(dimension: int) -> int:
    most = int((OPERATIONS / max(1, dimension)) ** 0.5)
    return max(STEP, min(WIDEST, most // STEP * STEP))


def _padded(vectors: Any, side: int) -> "Vectors":
    """The vectors and zeros behind them, up to a multiple of a number."""
    import numpy as np

    if len(vectors) % side == 0:
        return np.ascontiguousarray(vectors, dtype=np.float32)
    padded = np.zeros((-(-len(vectors) // side) * side, vectors.shape[1]), dtype=np.float32)
    padded[: len(vectors)] = vectors
    return padded
