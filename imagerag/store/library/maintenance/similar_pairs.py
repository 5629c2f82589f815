"""All pairs of vectors whose cosine reaches a limit: what comparing every pair finds, in a fraction of its time.

The vectors are turned so that most of their length lies in a few directions. A cosine is at most the product of these
parts and of the lengths of what is left; only pairs that could reach the limit by that are compared whole. Blocks of
pairs are looked at one after the other, so that no more memory is needed than for the vectors themselves.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]
    Places = NDArray[np.intp]

DIRECTIONS: Final = (16, 32, 64, 128, 256)
"""In how many directions pairs may be compared first."""

SAMPLED, PAIRED = 4096, 1024
"""Vectors that the directions are found from, and those whose pairs say how many are best."""

GATHERED: Final = 20
"""How many times as long a pair takes that is compared alone as one of many in a product."""

ROWS, COLUMNS, WHOLE = 1024, 4096, 4096
"""Rows and columns of a block of pairs, and pairs of it that are compared one by one at a time."""

MANY: Final = 50
"""Where more than one of so many pairs of a block is likely, all of it is compared: that is faster than one by one."""

SLACK: Final = 1e-4
"""More than the rounding errors of both comparisons together."""


def similar_pairs(
    vectors: "Vectors", limit: float, first: int | None = None
) -> "Iterator[tuple[Places, Places, Vectors]]":
    """The pairs that reach the limit, in parts: the places of both, the lesser one first, and their cosines.

    Args:
        vectors: unit, float32 [rows, dimension].
        first: only pairs with one of so many first rows; None is all.
    """
    import numpy as np

    outline = outlines(vectors, limit)
    stop = len(vectors) if first is None else min(first, len(vectors))
    room = np.empty((ROWS, COLUMNS), dtype=np.float32)  # new memory for each block would take longer than its product
    for row in range(0, stop, ROWS):
        rows = slice(row, min(row + ROWS, stop))
        for column in range(row, len(vectors), COLUMNS):
            columns = slice(column, min(column + COLUMNS, len(vectors)))
            most = room[: rows.stop - row, : columns.stop - column]
            np.matmul(outline[rows], outline[columns].T, out=most)
            likely = np.flatnonzero(most.max(axis=1) >= limit - SLACK)
            if not len(likely):
                continue
            ones, others = np.nonzero(most[likely] >= limit - SLACK)
            ones = likely[ones]
            if len(ones) > most.size // MANY:
                np.matmul(vectors[rows], vectors[columns].T, out=most)
                ones, others = np.nonzero(most >= limit)
                cosines = most[ones, others]
            else:
                cosines = _cosines(vectors, ones + row, others + column)
            ones, others = ones + row, others + column
            reached = (cosines >= limit) & (ones < others)
            if reached.any():
                yield ones[reached], others[reached], cosines[reached]


def _cosines(vectors: "Vectors", ones: "Places", others: "Places") -> "Vectors":
    import numpy as np

    found = np.empty(len(ones), dtype=np.float32)
    for start in range(0, len(ones), WHOLE):
        part = slice(start, start + WHOLE)
        found[part] = np.einsum("ij,ij->i", vectors[ones[part]], vectors[others[part]])
    return found


def outlines(vectors: "Vectors", limit: float) -> "Vectors":
    """Short vectors whose products are never less than those of the vectors: their main parts, and the length of what
    is left. The vectors themselves where nothing shorter pays. Float32 [rows, directions + 1]."""
    import numpy as np

    dimension = vectors.shape[1]
    if dimension <= DIRECTIONS[0] or not len(vectors):
        return vectors
    sample = vectors[np.linspace(0, len(vectors) - 1, min(SAMPLED, len(vectors))).astype(int)]
    _, turn = np.linalg.eigh(sample.T.astype(float) @ sample)
    turn = np.ascontiguousarray(turn[:, ::-1], dtype=np.float32)
    effort = {dimension: float(dimension)}
    for count in (count for count in DIRECTIONS if count < dimension):
        short = _shortened(sample[:: max(1, len(sample) // PAIRED)], turn[:, :count])
        likely = (np.count_nonzero(short @ short.T >= limit - SLACK) - len(short)) / len(short) ** 2
        effort[count] = count + dimension * (1 if likely > 1 / MANY else likely * GATHERED)
    best = min(effort, key=lambda count: (effort[count], count))
    if best == dimension:
        return vectors
    found = np.empty((len(vectors), best + 1), dtype=np.float32)
    for start in range(0, len(vectors), COLUMNS):
        found[start : start + COLUMNS] = _shortened(vectors[start : start + COLUMNS], turn[:, :best])
    return found


def _shortened(vectors: "Vectors", directions: "Vectors") -> "Vectors":
    import numpy as np

    main = vectors @ directions
    rest = np.einsum("ij,ij->i", vectors, vectors) - np.einsum("ij,ij->i", main, main)
    shortened: Vectors = np.column_stack([main, np.sqrt(np.maximum(rest, 0))])
    return shortened
