"""Vector indexes: which one a column of vectors of some size needs, and how it is searched.

Up to a size an index holds the vectors themselves in memory, and its search is exact. That of a larger column rounds
them and only finds candidates: LanceDB reads the vectors of these and compares them (`refine_factor`).
"""

from collections.abc import Mapping
from math import cbrt, ceil
from typing import Any, Final

EXACT_UP_TO: Final = 40_000_000
"""Numbers of all vectors of a column up to which its index holds them as they are, in 160 MB: those of 78,000 images
with 512 dimensions are searched in 12 ms. An index that rounds would take 7, and of 100 queries it misses the best
image of up to one, however many candidates it gives. Whole images, captions and regions are three columns, which fit
into the memory for indexes (`database.INDEX_CACHE`) together: what does not fit is read at every search, which takes
half a second."""

BITS: Final = 5
"""Of an index that rounds, for each dimension: 340 MB for a million vectors of 512 dimensions. One bit does for images
as queries, but CLIP's texts are hardly nearer to one image than to another: of the 10 nearest of 150,000 images, 300
candidates of such an index hold 4, and 30 of an index with five bits nearly all."""

FEW_DIMENSIONS: Final = 256
"""Dimensions below which an index has 8 bits for each number instead: there they lose nothing, and take as long."""

PROBES, ALL_PARTS = 128, 0
"""Parts of an index (of about 8,000 vectors) that are looked into, all of a million vectors: to a text no part is much
nearer than another, and 20 of 43 hold 92 % of what they should. And with a filter where these hold too few, as what it
lets through may all lie far from the query: LanceDB then goes on until it has as many candidates as it is asked for."""

_EVERY: Final = 1_000_000
"""Parts of an index that is searched exactly: it has no more."""


def needed_index(vectors: int, dimension: int) -> Any:
    """The configuration of the index that a column with so many vectors needs."""
    from lancedb.index import IvfFlat, IvfRq, IvfSq

    if vectors * dimension <= EXACT_UP_TO:
        return IvfFlat(distance_type="cosine")
    if dimension >= FEW_DIMENSIONS and dimension % 8 == 0:  # LanceDB refuses others
        return IvfRq(distance_type="cosine", num_bits=BITS)
    return IvfSq(distance_type="cosine")


def parts_to_search(query: Any, exact: bool, filtered: bool) -> Any:
    """A vector query that looks into as many parts of the index as it should.

    Args:
        exact: as `is_exact` says.
        filtered: whether the query has a filter.
    """
    if exact:
        return query.minimum_nprobes(_EVERY).maximum_nprobes(_EVERY)
    return query.minimum_nprobes(PROBES).maximum_nprobes(ALL_PARTS if filtered else PROBES)


def index_type(table: Any, column: str) -> str | None:
    """LanceDB's type of the index of a column; None without one."""
    return next((str(index.index_type) for index in table.list_indices() if index.columns == [column]), None)


def is_exact(table: Any, column: str) -> bool:
    """Whether a search of a column compares the vectors as they are: by a scan, or an index that holds them."""
    return index_type(table, column) in (None, "IvfFlat")


def is_needed(table: Any, column: str, needed: Any) -> bool:
    """Whether a column lacks an index, or has one of another type or of too few bits.

    Args:
        needed: the configuration of the index that it should have.
    """
    return index_type(table, column) != type(needed).__name__ or is_coarse(table, column)


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
