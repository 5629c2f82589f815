"""Nearest rows of several vectors, by re-ranking the candidates of a quantised index.

It takes three reads for any number of vectors: row ids from the index, the stored vectors of the candidates, and the
complete rows of the best. LanceDB can refine candidates itself (`refine_factor`), which is a fifth faster for one
vector, but reads them again for each further one, which takes 50 % longer for four.
"""

from collections.abc import Mapping, Sequence
from math import ceil, sqrt
from typing import TYPE_CHECKING, Any, Final

from imagerag.agent.ports import Filter
from imagerag.store.library.database import LANCE_ERRORS
from imagerag.store.library.filters.filter_expressions import expression_of
from imagerag.store.library.region_columns import records_of
from imagerag.store.library.thresholds.content import array_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = Sequence[NDArray[np.float32]]
    Rows = NDArray[np.int64]

INDEX: Final = "vector_idx"
ROW: Final = "_rowid"

PROBES, ALL_PARTS = 20, 0
"""Parts of an index that are looked into, of 67 at 350,000 rows; and with a filter where these hold too few, as what it
lets through may all lie far from the query: then LanceDB goes on until it has as many candidates as it is asked for."""

CANDIDATES, REFINE, AGAIN = 0.42, 10, 4
"""How many candidates of the index are compared by their own vectors, as a multiple of the root of the number of rows
and of `k` at least: IVF_RQ alone finds half of what it should, with these 98 % and more, of 512 dimensions. Where a
filter leaves one cluster far from the query, all of it seems equally far to the index: so many times as many are
compared then."""


def knows_all(table: Any) -> bool:
    """Whether a vector index exists and contains every row."""
    statistics = table.index_stats(INDEX)
    return statistics is not None and statistics.num_unindexed_rows == 0


def candidate_count(rows: int, k: int) -> int:
    """The number of candidates that are compared to find the `k` nearest of so many rows: at least 98 % of the 10
    nearest of 100,000, 350,000 and 1,000,000 were among 133, 249 and 420."""
    return max(REFINE * k, ceil(CANDIDATES * sqrt(rows)))


def nearest_records(
    table: Any, vectors: "Vectors", k: int, filter: Filter, columns: Sequence[str]
) -> list[list[Mapping[str, Any]]] | None:
    """For each vector the `k` rows with the highest cosine, as records of `columns` and the vector.

    None where rows were rewritten between the reads, so that their row ids are no longer valid.
    """
    try:
        best = _best(table, vectors, k, filter)
        if not any(rows.size for rows in best):
            return [[] for _ in vectors]
        matches = _rows_of(table, best, (*columns, "vector"))
    except LANCE_ERRORS:
        return None
    if matches is None:
        return None
    records = {record[ROW]: record for record in records_of(matches)}
    return [[records[row] for row in rows.tolist()] for rows in best]


def _best(table: Any, vectors: "Vectors", k: int, filter: Filter) -> "list[Rows]":
    """The `k` rows with the highest cosine for each vector.

    With a filter, all partitions of the index are queried again for more candidates if there are too few, or if one of
    the best is not in the first third by the index's own order: further good ones are then likely.
    """
    where, count = expression_of(table, filter), candidate_count(table.count_rows(), k)
    proposed = _proposed(table, vectors, count, where, PROBES)
    best = _compared(table, vectors, proposed, k)
    unsure = [at for at, rows in enumerate(proposed) if len(rows) < count or best[at].max() >= count // 3]
    if where is not None and unsure:
        again = [vectors[at] for at in unsure]
        more = _proposed(table, again, AGAIN * count, where, ALL_PARTS)
        for at, rows, first in zip(unsure, more, _compared(table, again, more, k), strict=True):
            proposed[at], best[at] = rows, first
    return [rows[first] for rows, first in zip(proposed, best, strict=True)]


def _proposed(table: Any, vectors: "Vectors", count: int, where: Any | None, most_parts: int) -> "list[Rows]":
    """The index's candidates for each vector, the most likely first."""
    query = (
        table.search(vectors[0] if len(vectors) == 1 else list(vectors), vector_column_name="vector")
        .distance_type("cosine")
        .select(["_distance"])
        .with_row_id(True)
        .minimum_nprobes(PROBES)
        .maximum_nprobes(most_parts)
        .limit(count)
    )
    candidates = (query if where is None else query.where(where)).to_arrow()
    rows, distances = candidates[ROW].to_numpy(), candidates["_distance"].to_numpy()
    of = candidates["query_index"].to_numpy() if len(vectors) > 1 else rows * 0
    return [rows[of == at][distances[of == at].argsort(kind="stable")] for at in range(len(vectors))]


def _compared(table: Any, vectors: "Vectors", proposed: "list[Rows]", k: int) -> "list[Rows]":
    """Positions of the `k` candidates with the highest cosine for each vector."""
    import numpy as np

    if not any(rows.size for rows in proposed):
        return proposed
    own = _rows_of(table, proposed, ("vector",))
    if own is None:
        raise ValueError("rows were rewritten")
    row_ids = own[ROW].to_numpy()
    order = row_ids.argsort()
    matrix = array_of(own["vector"])
    at = [order[np.searchsorted(row_ids, rows, sorter=order)] for rows in proposed]
    return [(-(matrix[rows] @ vector)).argsort(kind="stable")[:k] for rows, vector in zip(at, vectors, strict=True)]


def _rows_of(table: Any, rows: "Sequence[Rows]", columns: Sequence[str]) -> Any | None:
    """Columns of these rows, each once, with their row ids; None where a row no longer exists."""
    import numpy as np

    row_ids = np.unique(np.concatenate(rows)).tolist()
    batch = table.take_row_ids(row_ids).select(list(columns)).with_row_id().to_arrow()
    return batch if batch.num_rows == len(row_ids) else None
