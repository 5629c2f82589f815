"""Cells of vectors around centres: similar vectors lie in the same or a near cell, and only those are compared.

A vector belongs to the cell of its nearest centre (spherical k-means on a sample). A similar vector may lie across a
border, so the cells whose border is near are also searched. How near it must be is measured on the vectors: some are
moved towards others as far as a pair may be apart, and the borders of the cells in which they end are looked at.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from imagerag.store.library.maintenance.vector_products import products

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]
    Places = NDArray[np.signedinteger]

MOVED: Final = 4096
"""Vectors that are moved to see where they end, from all of the order: it may be that of the folders. Fewer vectors are
moved several times, each towards another one."""

SAMPLED, ROUNDS = 32, 6
"""Vectors a cell that centres are found from, and how often they are centred."""

PART: Final = 4096
"""Vectors that are compared with all centres at a time."""


@dataclass(frozen=True)
class VectorCells:
    """Vectors grouped by cell.

    Attributes:
        centres: unit, float32 [cells, dimension].
        order: positions of all vectors, grouped by cell, ascending.
        ends: end of each cell in `order`.
        margin: a vector's similar ones may lie in cells whose border is at most as far away, in [0, 1].
    """

    centres: "Vectors"
    order: "Places"
    ends: "Places"
    margin: float

    @classmethod
    def of(cls, vectors: Any, limit: float, cells: int | None = None) -> "VectorCells":
        """Make cells for finding vectors that reach a cosine with one another.

        Args:
            vectors: unit, of any type of float, [rows, dimension], at least one.
            cells: number of cells; by default as many as each cell has vectors.
        """
        import numpy as np

        count = cells or max(1, int(len(vectors) ** 0.5))
        places = np.linspace(0, len(vectors) - 1, min(SAMPLED * count, len(vectors))).astype(int)
        sample = vectors[places].astype(np.float32)
        centres = _centred(sample, count)
        own = _nearest(vectors, centres)
        order = np.argsort(own, kind="stable").astype(np.int32)
        ends = np.cumsum(np.bincount(own, minlength=count))
        without_margin = cls(centres, order, ends, margin=0)
        return replace(without_margin, margin=without_margin._margin_for(sample[:: -(-len(sample) // MOVED)], limit))

    def members(self, cell: int) -> "Places":
        """The positions of the vectors of a cell, ascending."""
        return self.order[self.ends[cell - 1] if cell else 0 : self.ends[cell]]

    def looked_into(self, vectors: Any, rows: "Places") -> "Iterator[tuple[int, Places]]":
        """Each cell to search for some rows, with those of them, in their order. Takes a byte for each row and cell."""
        import numpy as np

        near = np.empty((len(self.centres), len(rows)), dtype=bool)
        for start in range(0, len(rows), PART):
            part = slice(start, start + PART)
            near[:, part] = (self._borders(vectors[rows[part]]) <= self.margin).T
        for cell, mask in enumerate(near):
            if mask.any():
                yield cell, rows[mask]

    def _borders(self, vectors: Any) -> "Vectors":
        """The distance of each vector from its cell's border with every other cell, 0 for its own: [rows, cells]."""
        import numpy as np

        cosines = products(vectors, self.centres)
        own = cosines.argmax(axis=1)
        distances: Vectors = cosines[np.arange(len(own)), own][:, None] - cosines
        distances /= self._between[own]
        return distances

    @cached_property
    def _between(self) -> "Vectors":
        """The distances between centres: [cells, cells]."""
        import numpy as np

        distances: Vectors = np.sqrt(np.maximum(2 - 2 * products(self.centres, self.centres), 1e-6))
        return distances

    def _margin_for(self, sample: "Vectors", limit: float) -> float:
        """The distance from borders within which vectors at that cosine are found."""
        import numpy as np

        chance, times = np.random.default_rng(0), max(1, MOVED // len(sample))  # few vectors say little once
        towards = sample[np.concatenate([chance.permutation(len(sample)) for _ in range(times)])]
        sample = np.tile(sample, (times, 1))
        across = towards - np.einsum("ij,ij->i", sample, towards)[:, None] * sample
        length = np.linalg.norm(across, axis=1, keepdims=True)
        turn = np.arccos(np.clip(limit, -1, 1))
        moved = np.cos(turn) * sample + np.sin(turn) * across / np.maximum(length, 1e-6)
        ends = _nearest(moved, self.centres)
        return float(self._borders(sample)[np.arange(len(ends)), ends].max())


def _centred(sample: "Vectors", count: int) -> "Vectors":
    """The centres of a number of cells, by spherical k-means."""
    import numpy as np

    chance = np.random.default_rng(0)
    centres = sample[chance.permutation(len(sample))[:count]].copy()
    for _ in range(ROUNDS):
        own = _nearest(sample, centres)
        order = np.argsort(own, kind="stable")
        cells, starts = np.unique(own[order], return_index=True)
        sums = np.add.reduceat(sample[order], starts, axis=0)
        norms = np.linalg.norm(sums, axis=1, keepdims=True)
        centres[cells] = np.where(norms > 0, sums / np.maximum(norms, 1e-6), centres[cells])
        if len(empty := np.setdiff1d(np.arange(count), cells)):
            centres[empty] = sample[chance.integers(0, len(sample), len(empty))]
    return centres


def _nearest(vectors: Any, centres: "Vectors") -> "Places":
    import numpy as np

    places = np.empty(len(vectors), dtype=np.int32)
    for start in range(0, len(vectors), PART):
        part = slice(start, start + PART)
        places[part] = products(vectors[part], centres).argmax(axis=1)
    return places
