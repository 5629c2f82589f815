"""Vector indexes, and how many of their candidates are compared by their own vectors.

A quantised index only finds candidates. LanceDB reads their vectors and compares these (`refine_factor`).
"""

from collections.abc import Mapping
from math import cbrt, ceil
from typing import Any, Final

BITS: Final = 5
"""Of an index for each dimension: 340 MB for a million vectors of 512 dimensions. One bit does for images as queries,
but CLIP's texts are hardly nearer to one image than to another: of the 10 nearest of 150,000 images, 300 candidates of
such an index hold 4, and 30 of an index with five bits nearly all."""

PROBES, ALL_PARTS = 128, 0
"""Parts of an index (of about 8,000 vectors) that are looked into, all of a million vectors: to a text no part is much
nearer than another, and 20 of 43 hold 92 % of what they should. And with a filter where these hold too few, as what it
lets through may all lie far from the query: LanceDB then goes on until it has as many candidates as it is asked for."""


def bits_of(table: Any, column: str) -> int:
    """The number of bits for each dimension in the index of a column of vectors; 0 without an index that rounds."""
    details = (index.index_details for index in table.list_indices() if index.columns == [column])
    compressions = (one.get("compression") for one in details if isinstance(one, Mapping))
    return next((int(one["num_bits"]) for one in compressions if isinstance(one, Mapping)), 0)


def is_coarse(table: Any, column: str) -> bool:
    """Whether the index of a column of vectors has too few bits: those of earlier versions have one or four.

    It is not used for searching, and made again when the library is optimized.
    """
    return 0 < bits_of(table, column) < BITS


def candidate_count(rows: int, k: int) -> int:
    """The number of an index's candidates that are compared by their own vectors to find the `k` nearest of so many
    rows: for 10 images 40 of up to 350,000 and 50 of 1,000,000.

    What a filter lets through may lie far from the query, all of it about equally far: half as many are too few then.
    """
    return k + max(30, ceil(cbrt(rows) * 0.4))
