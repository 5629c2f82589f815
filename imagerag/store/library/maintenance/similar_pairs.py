"""Pairs of vectors whose cosine reaches a limit.

Up to `EXACT` vectors the result is that of comparing every pair, in a fraction of the time. The vectors are rotated so
that most of their length lies in a few directions. A cosine is at most the product of these parts plus the product of
the lengths of the rest; only pairs that could reach the limit by this bound are compared completely.

Above that, vectors of the same cell and of near cells are compared (`vector_cells`) where few cells are near: that takes
a hundredth of the time at a million vectors that lie apart. About 1 in 200 of the pairs right at the limit may be
missed, and fewer of more similar ones; every pair found reaches the limit. Where most cells are near, as at a low limit
in a narrow cone of vectors, every pair is compared as well.

Blocks of pairs are compared one after the other, so that no more memory is needed than for the vectors themselves.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from imagerag.store.library.maintenance.vector_cells import VectorCells
from imagerag.store.library.maintenance.vector_products import products, room_for

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]
    Places = NDArray[np.intp]
    Pairs = Iterator[tuple[Places, Places, Vectors]]
    Rows = NDArray[np.bool_]

EXACT: Final = 50_000
"""Vectors up to which every pair is compared: that takes about 15 seconds."""

FEW: Final = 1 / 3
"""Of the other vectors, compared with each by cells at most: a pair takes 2 to 3 times as long so as one of all."""

LOOKED_AT: Final = 512
"""Vectors that tell how many others are compared with each."""

DIRECTIONS: Final = (16, 32, 64, 128, 256)
"""In how many directions pairs may be compared first."""

SAMPLED, PAIRED = 4096, 1024
"""Vectors that the directions are found from, and those whose pairs say how many are best."""

GATHERED: Final = 20
"""How many times as long a pair takes that is compared alone as one of many in a product."""

ROWS, COLUMNS, WHOLE = 1024, 4096, 4096
"""Rows and columns of a block of pairs, and pairs of it that are compared one by one at a time."""

BLOCK: Final = 32_768
"""Rows whose cells are looked into together: each time, all vectors behind them are read."""

MANY: Final = 50
"""Where more than one of so many pairs of a block is likely, all of it is compared: that is faster than one by one."""

SLACK: Final = 1e-4
"""More than the rounding errors of both comparisons together."""


def similar_pairs(vectors: Any, limit: float, first: int | None = None, passed: "Rows | None" = None) -> "Pairs":
    """Yield the pairs that reach the limit, in parts: the positions of both, the smaller one first, and their cosines.

    The smaller positions of a part ascend, and a pair comes after the pairs of its members with smaller positions.

    Args:
        vectors: unit, float32 [rows, dimension]; of many, float16 is enough, and cosines then differ by up to 0.0005.
        first: only pairs with one of the first `first` rows; None is all.
        passed: rows to skip, bool [rows]. The caller may add rows during the iteration.
    """
    import numpy as np

    passed = np.zeros(len(vectors), dtype=bool) if passed is None else passed
    stop = len(vectors) if first is None else min(first, len(vectors))
    cells = None if compares_all(len(vectors)) else VectorCells.of(vectors, limit)
    if cells is not None and _share(vectors, cells) <= FEW:
        yield from _of_cells(vectors, cells, limit, stop, passed)
    else:
        yield from _compared(vectors, outlines(vectors, limit), limit, stop, passed)


def compares_all(count: int) -> bool:
    """Whether every pair of so many vectors is compared for certain."""
    return count <= EXACT


def _share(vectors: Any, cells: VectorCells) -> float:
    """The share of all vectors that are compared with one by cells, about."""
    import numpy as np

    rows = np.linspace(0, len(vectors) - 1, min(LOOKED_AT, len(vectors))).astype(int)
    compared = sum(len(which) * len(cells.members(cell)) for cell, which in cells.looked_into(vectors, rows))
    return compared / (len(rows) * len(vectors))


def _of_cells(vectors: Any, cells: VectorCells, limit: float, stop: int, passed: "Rows") -> "Pairs":
    """Each block of rows is compared in parts with itself, then as a whole with all rows behind it: the many small
    products of a part with each cell are of a block's rows only."""
    import numpy as np

    room = room_for(ROWS, COLUMNS)
    for start in range(0, stop, BLOCK):
        end = min(start + BLOCK, len(vectors))
        for row in range(start, min(end, stop), COLUMNS):
            part = slice(row, min(row + COLUMNS, end))
            here = vectors[part].astype(np.float32)
            for ones, others, cosines in _compared(here, here, limit, min(len(here), stop - row), passed[part]):
                yield ones + row, others + row, cosines
            rows = _rows_left(passed, row, min(part.stop, stop))
            yield from _across(vectors, cells, limit, rows, (part.stop, end), passed, room)
        rows = _rows_left(passed, start, min(end, stop))
        yield from _across(vectors, cells, limit, rows, (end, len(vectors)), passed, room)


def _rows_left(passed: "Rows", start: int, end: int) -> "Places":
    import numpy as np

    return np.flatnonzero(~passed[start:end]) + start


def _across(
    vectors: Any, cells: VectorCells, limit: float, rows: "Places", behind: tuple[int, int], passed: "Rows",
    room: "Vectors",
) -> "Pairs":  # fmt: skip
    """Pairs of some rows and the rows of a range behind them, of near cells."""
    import numpy as np

    if not len(rows) or behind[0] >= behind[1]:
        return
    for cell, which in cells.looked_into(vectors, rows):
        members = cells.members(cell)
        members = members[slice(*np.searchsorted(members, behind))]
        for column in range(0, len(members), COLUMNS):
            for row in range(0, len(which), ROWS):
                columns = members[column : column + COLUMNS]
                columns = columns[~passed[columns]]
                here = which[row : row + ROWS]
                cosines = products(vectors[here], vectors[columns], room)
                ones, others = np.nonzero(cosines >= limit)
                if len(ones):
                    yield here[ones], columns[others], cosines[ones, others]


def _compared(vectors: Any, outline: "Vectors", limit: float, stop: int, passed: "Rows") -> "Pairs":
    import numpy as np

    room = room_for(ROWS, COLUMNS)
    for row in range(0, stop, ROWS):
        rows = slice(row, min(row + ROWS, stop))
        for column in range(row, len(vectors), COLUMNS):
            if passed[rows].all():
                break
            columns = slice(column, min(column + COLUMNS, len(vectors)))
            most = products(outline[rows], outline[columns], room)
            likely = np.flatnonzero((most.max(axis=1) >= limit - SLACK) & ~passed[rows])
            if not len(likely):
                continue
            ones, others = np.nonzero(most[likely] >= limit - SLACK)
            ones = likely[ones]
            if len(ones) > most.size // MANY:
                most = products(vectors[rows], vectors[columns], room)
                ones, others = np.nonzero(most >= limit)
                cosines = most[ones, others]
            else:
                cosines = _cosines(vectors, ones + row, others + column)
            ones, others = ones + row, others + column
            reached = (cosines >= limit) & (ones < others) & ~passed[ones] & ~passed[others]
            if reached.any():
                yield ones[reached], others[reached], cosines[reached]


def _cosines(vectors: Any, ones: "Places", others: "Places") -> "Vectors":
    import numpy as np

    cosines = np.empty(len(ones), dtype=np.float32)
    for start in range(0, len(ones), WHOLE):
        part = slice(start, start + WHOLE)
        pairs = vectors[ones[part]], vectors[others[part]]
        cosines[part] = np.einsum("ij,ij->i", *pairs, dtype=np.float32)
    return cosines


def outlines(vectors: Any, limit: float) -> "Vectors":
    """Short vectors whose products are upper bounds of the vectors' products: the main parts, and the length of the
    rest. Float32 [rows, directions + 1]; the vectors themselves if shortening does not pay off."""
    import numpy as np

    dimension = vectors.shape[1]
    if dimension <= DIRECTIONS[0] or not len(vectors):
        return vectors
    sample = vectors[np.linspace(0, len(vectors) - 1, min(SAMPLED, len(vectors))).astype(int)].astype(np.float32)
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
    short_vectors = np.empty((len(vectors), best + 1), dtype=np.float32)
    for start in range(0, len(vectors), COLUMNS):
        short_vectors[start : start + COLUMNS] = _shortened(vectors[start : start + COLUMNS].astype(np.float32), turn[:, :best])
    return short_vectors


def _shortened(vectors: "Vectors", directions: "Vectors") -> "Vectors":
    import numpy as np

    main = vectors @ directions
    rest = np.einsum("ij,ij->i", vectors, vectors) - np.einsum("ij,ij->i", main, main)
    shortened: Vectors = np.column_stack([main, np.sqrt(np.maximum(rest, 0))])
    return shortened
