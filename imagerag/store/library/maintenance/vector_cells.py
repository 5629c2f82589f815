"""Cells of vectors around centres: similar vectors lie in the same or a neighbouring cell, and only those are compared.

A vector belongs to the cell of its nearest centre (spherical k-means on a sample). A similar vector may lie across a
border, so the cells beyond the nearest borders are also searched. Their number is measured on the vectors: some are
moved towards others as far as a pair may be apart, and the cells in which they end are counted.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]
    Places = NDArray[np.intp]

FOUND: Final = 0.998
"""Share of the moved vectors whose cell is looked into."""

FEWEST: Final = 4
"""Cells that are looked into at least."""

MOVED: Final = 4096
"""Vectors that are moved at most to see where they end, from all of the order: it may be that of the folders."""

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
        probes: number of cells to search for one vector.
    """

    centres: "Vectors"
    order: "Places"
    ends: "Places"
    probes: int

    @classmethod
    def of(cls, vectors: "Vectors", limit: float, cells: int | None = None) -> "VectorCells":
        """Make cells for finding vectors that reach a cosine with one another.

        Args:
            vectors: unit, float32 [rows, dimension], at least one.
            cells: number of cells; by default as many as each cell has vectors.
        """
        import numpy as np

        count = cells or max(1, int(len(vectors) ** 0.5))
        sample = vectors[np.linspace(0, len(vectors) - 1, min(SAMPLED * count, len(vectors))).astype(int)]
        centres = _centred(sample, count)
        own = _nearest(vectors, centres)
        order = np.argsort(own, kind="stable")
        ends = np.searchsorted(own[order], np.arange(count), side="right")
        made = cls(centres, order, ends, count)
        return cls(centres, order, ends, made._probes_for(sample[:: -(-len(sample) // MOVED)], limit))

    def members(self, cell: int) -> "Places":
        """The positions of the vectors of a cell, ascending."""
        return self.order[self.ends[cell - 1] if cell else 0 : self.ends[cell]]

    def looked_into(self, vectors: "Vectors") -> "Iterator[tuple[int, Places]]":
        """Each cell to search for some of these vectors, with those vectors, ascending."""
        import numpy as np

        if self.probes >= len(self.centres):
            yield from ((cell, np.arange(len(vectors))) for cell in range(len(self.centres)))
            return
        borders = self._borders(vectors)
        near = np.argpartition(borders, self.probes - 1, axis=1)[:, : self.probes].ravel()
        order = np.argsort(near, kind="stable")
        cells, starts = np.unique(near[order], return_index=True)
        yield from zip(cells.tolist(), np.split(order // self.probes, starts[1:]), strict=True)

    def _borders(self, vectors: "Vectors") -> "Vectors":
        """The distance of each vector from its cell's border with every other cell, 0 for its own: [rows, cells]."""
        import numpy as np

        cosines = vectors @ self.centres.T
        own = cosines.argmax(axis=1)
        between = np.sqrt(np.maximum(2 - 2 * (self.centres @ self.centres.T), 1e-6))[own]
        found: Vectors = (cosines[np.arange(len(own)), own][:, None] - cosines) / between
        return found

    def _probes_for(self, sample: "Vectors", limit: float) -> int:
        """The number of cells to search so that most of the vectors at that cosine are found."""
        import numpy as np

        towards = sample[np.random.default_rng(0).permutation(len(sample))]
        across = towards - np.einsum("ij,ij->i", sample, towards)[:, None] * sample
        length = np.linalg.norm(across, axis=1, keepdims=True)
        turn = np.arccos(np.clip(limit, -1, 1))
        moved = np.cos(turn) * sample + np.sin(turn) * across / np.maximum(length, 1e-6)
        ends = _nearest(moved.astype(np.float32), self.centres)
        borders = self._borders(sample)
        nearer = (borders < borders[np.arange(len(ends)), ends][:, None]).sum(axis=1)
        needed = int(np.quantile(nearer, FOUND, method="higher")) + 1
        return min(len(self.centres), max(FEWEST, needed))


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


def _nearest(vectors: "Vectors", centres: "Vectors") -> "Places":
    import numpy as np

    found = np.empty(len(vectors), dtype=np.intp)
    for start in range(0, len(vectors), PART):
        part = slice(start, start + PART)
        found[part] = (vectors[part] @ centres.T).argmax(axis=1)
    return found
