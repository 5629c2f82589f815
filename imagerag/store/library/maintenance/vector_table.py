"""The vectors of a whole library as one array, without further memory: 2 kB per image with 512 dimensions, 1 kB in half
precision."""

from typing import TYPE_CHECKING, Any, Final

from imagerag.store.library.library import Library
from imagerag.store.library.region_columns import RegionPart
from imagerag.store.library.thresholds.content import scan_table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ROWS: Final = 2_500
"""Rows that are read at a time: LanceDB takes about ten times their memory."""


def sorted_ids(library: Library) -> Any:
    """The ids of a library, sorted, as an Arrow array. Blocks."""
    import pyarrow.compute as pc

    ids = library.table.lance.search().select(["id"]).to_arrow()["id"]
    return ids.take(pc.sort_indices(ids)).combine_chunks()


def vectors_of_ids(library: Library, ids: Any, *, half: bool = False) -> "NDArray[Any]":
    """The vectors of images in the order of their ids, an Arrow array; zeros for removed ones. Blocks.

    Args:
        half: float16 instead of float32; cosines then differ by up to 0.0005.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    order = pc.sort_indices(ids)
    shape, dtype = (len(ids), library.metadata.dimension), np.float16 if half else np.float32
    scan = _Filled(np.zeros(shape, dtype=dtype), order.to_numpy())
    pool = pa.default_memory_pool()
    pool.release_unused()  # a few hundred MB of what was read before, in a large library
    if len(ids):
        scan_table(library.table.lance, ids.take(order), scan, size=ROWS)
        pool.release_unused()
    return scan.vectors


class _Filled:
    """Fills an array with vectors by position: a table and an array at once would take twice the memory."""

    def __init__(self, vectors: "NDArray[Any]", order: "NDArray[np.intp]") -> None:
        self.vectors, self._order = vectors, order

    def add(
        self, places: "NDArray[np.intp]", vectors: "NDArray[np.float32]", regions: RegionPart | None = None
    ) -> None:
        """Add rows."""
        self.vectors[self._order[places]] = vectors
