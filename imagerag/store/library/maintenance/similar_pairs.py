"""Pairs of vectors whose cosine reaches a limit.

Up to `EXACT` vectors the result is that of comparing every pair, in a fraction of the time. The vectors are rotated so
that most of their length lies in a few directions. A cosine is at most the product of these parts plus the product of
the lengths of the rest; only pairs that could reach the limit by this bound are compared completely.

Above that, vectors of the same cell and of neighbouring cells are compared (`vector_cells`), which takes a hundredth of
the time at a million vectors. About 1 in 200 of the pairs right at the limit may be missed, and fewer of more similar
ones; every pair found reaches the limit.

Blocks of pairs are compared one after the other, so that no more memory is needed than for the vectors themselves.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from imagerag.store.library.maintenance.vector_cells import VectorCells

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]
    Places = NDArray[np.intp]
    Pairs = Iterator[tuple[Places, Places, Vectors]]
    Rows = NDArray[np.bool_]

EXACT: Final = 50_000
"""Vectors up to which every pair is compared: that takes about 15 seconds."""

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


def similar_pairs(vectors: "Vectors", limit: float, first: int | None = None, passed: "Rows | None" = None) -> "Pairs":
    """Yield the pairs that reach the limit, in parts: the positions of both, the smaller one first, and their cosines.

    The smaller positions of a part ascend, and a pair comes after the pairs of its members with smaller positions.

    Args:
        vectors: unit, float32 [rows, dimension].
        first: only pairs with one of the first `first` rows; None is all.
        passed: rows to skip, bool [rows]. The caller may add rows during the iteration.
    """
    import numpy as np

    passed = np.zeros(len(vectors), dtype=bool) if passed is None else passed
    stop = len(vectors) if first is None else min(first, len(vectors))
    if compares_all(vectors):
        yield from _compared(vectors, outlines(vectors, limit), limit, stop, passed)
    else:
        yield from _of_cells(vectors, limit, stop, passed)


def compares_all(vectors: "Vectors") -> bool:
    """Whether there are few enough vectors to compare every pair."""
    return len(vectors) <= EXACT


def _of_cells(vectors: "Vectors", limit: float, stop: int, passed: "Rows") -> "Pairs":
    import numpy as np

    cells = VectorCells.of(vectors, limit)
    for start in range(0, stop, COLUMNS):
        end = min(start + COLUMNS, stop)
        own = slice(start, end)
        for ones, others, cosines in _compared(vectors[own], vectors[own], limit, end - start, passed[own]):
            yield ones + start, others + start, cosines
        left = np.flatnonzero(~passed[own]) + start
        if not len(left):
            continue
        here = vectors[left]
        for cell, which in cells.looked_into(here):
            members = cells.members(cell)
            members = members[np.searchsorted(members, end) :]
            for at in range(0, len(members), COLUMNS):
                columns = members[at : at + COLUMNS]
                columns = columns[~passed[columns]]
                other = vectors[columns].T
                for row in range(0, len(which), ROWS):
                    rows = which[row : row + ROWS]
                    cosines = here[rows] @ other
                    ones, others = np.nonzero(cosines >= limit)
                    if len(ones):
                        yield left[rows[ones]], columns[others], cosines[ones, others]


def _compared(vectors: "Vectors", outline: "Vectors", limit: float, stop: int, passed: "Rows") -> "Pairs":
    import numpy as np

    room = np.empty((ROWS, COLUMNS), dtype=np.float32)  # new memory for each block would take longer than its product
    for row in range(0, stop, ROWS):
        rows = slice(row, min(row + ROWS, stop))
        for column in range(row, len(vectors), COLUMNS):
            if passed[rows].all():
                break
            columns = slice(column, min(column + COLUMNS, len(vectors)))
            most = room[: rows.stop - row, : columns.stop - column]
            np.matmul(outline[rows], outline[columns].T, out=most)
            likely = np.flatnonzero((most.max(axis=1) >= limit - SLACK) & ~passed[rows])
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
            reached = (cosines >= limit) & (ones < others) & ~passed[ones] & ~passed[others]
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
    """Short vectors whose products are upper bounds of the vectors' products: the main parts, and the length of the
    rest. Float32 [rows, directions + 1]; the vectors themselves if shortening does not pay off."""
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
