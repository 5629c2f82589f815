"""Nearest images of a LanceDB table: exact below 100,000 rows, through an index above, fused with words on request.

Similarities are always computed here from the stored vectors. A quantised index only proposes candidates: its own
distances are far off unless refined, so no bound is ever put on them.
"""

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from imagerag.agent.ports import Filter, Hit
from imagerag.store.library.filter_expressions import expression_of, filter_indexes
from imagerag.store.library.schema import ImageRecord, from_record, row_columns

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

INDEX_FROM = 100_000
"""Rows from which an approximate index pays: below, the exact scan takes at most about 150 ms."""

FILTERED_FROM = 10_000
"""Rows from which indexes of the columns that filters ask pay."""

PROBES, PROBES_FILTERED, REFINE = 40, 160, 10
"""IVF_RQ alone finds half of what it should; with these it finds 99 %. A selective filter needs more probes."""

AT_ONCE = timedelta(milliseconds=1)
"""Age from which on older versions are removed: who is reading one reads on in the newest (`tables.insist`)."""

HYBRID_DEPTH, RRF = 50, 60
"""How many of each list are fused, and reciprocal rank fusion's constant."""


def nearest(table: Any, vector: "NDArray[np.float32]", k: int, filter: Filter) -> list[Hit]:
    """The `k` rows with the highest cosine, best first; equal ones by id.

    Args:
        table: the library's LanceDB table.
        vector: unit, float32 [dimension].
    """
    where = expression_of(table, filter)
    query = (
        table.search(vector, vector_column_name="vector")
        .distance_type("cosine")
        .select([*row_columns(table), "vector", "_distance"])
        .nprobes(PROBES if where is None else PROBES_FILTERED)
        .refine_factor(REFINE)
        .limit(k)
    )
    found = (query if where is None else query.where(where)).to_arrow()
    return sorted(_hits(found, vector), key=lambda hit: (-hit.similarity, hit.image.sha256))


def hybrid(table: Any, vector: "NDArray[np.float32]", text: str, k: int, filter: Filter) -> list[Hit]:
    """Reciprocal rank fusion of the nearest vectors and the best word matches in caption and title.

    Own code, not LanceDB's hybrid query with `RRFReranker`: the same order, measured, in half of the time.
    """
    depth = max(k, HYBRID_DEPTH)
    near, worded = nearest(table, vector, depth, filter), _worded(table, vector, text, depth, filter)
    score: dict[str, float] = {}
    for ranking in (near, worded):
        for rank, hit in enumerate(ranking):
            score[hit.image.sha256] = score.get(hit.image.sha256, 0.0) + 1 / (RRF + rank + 1)
    distinct = {hit.image.sha256: hit for hit in (*near, *worded)}
    best = sorted(distinct, key=lambda sha256: (-score[sha256], -distinct[sha256].similarity, sha256))
    return [distinct[sha256] for sha256 in best[:k]]


def by_words(table: Any, vector: "NDArray[np.float32]", text: str, k: int, filter: Filter) -> list[Hit]:
    """The best word matches in caption and title (BM25), best first; none before the library is tidied."""
    return _worded(table, vector, text, k, filter)


def listed(table: Any, filter: Filter, limit: int) -> tuple[list[ImageRecord], int]:
    """At most `limit` of the rows that a filter lets through, sorted by id, and how many there are in all."""
    where = expression_of(table, filter)
    total = int(table.count_rows() if where is None else table.search().where(where).select(["id"]).to_arrow().num_rows)
    query = table.search().select(row_columns(table)).limit(limit)
    found = (query if where is None else query.where(where)).to_arrow().to_pylist()
    return sorted((from_record(record) for record in found), key=lambda row: row.id), total


def build_indexes(table: Any, *, alone: bool = False) -> None:
    """Join small fragments, take new rows into the indexes, build those that a table of this size needs, and remove
    what no longer counts: every older version with its files.

    Args:
        alone: nobody else writes meanwhile, so that files which no version names are left over from somebody who was
            stopped; they are removed, too.
    """
    from lancedb.index import FTS, BTree

    table.optimize()
    count = table.count_rows()
    have = {column for index in table.list_indices() for column in index.columns}
    needed: dict[str, Any] = {
        "caption": FTS() if count else None,
        "title": FTS() if count else None,
        "id": BTree() if count >= INDEX_FROM // 10 else None,
        "vector": _vector_index(table) if count >= INDEX_FROM else None,
    }
    if count >= FILTERED_FROM:
        needed |= filter_indexes(table)
    for column, config in needed.items():
        if config is not None and column not in have:
            table.create_index(column, config=config)
    table.optimize(cleanup_older_than=AT_ONCE, delete_unverified=alone)


def _vector_index(table: Any) -> Any:
    """One bit a dimension is enough of a hint where there are many dimensions, and far too little where there are few:
    at 32 dimensions IVF_RQ finds less than half of the true neighbours, at 512 nearly all."""
    from lancedb.index import IvfRq, IvfSq

    wide = table.schema.field("vector").type.list_size >= 256
    return IvfRq(distance_type="cosine") if wide else IvfSq(distance_type="cosine")


def _worded(table: Any, vector: "NDArray[np.float32]", text: str, k: int, filter: Filter) -> list[Hit]:
    from lancedb.query import MultiMatchQuery

    if not {"caption", "title"} <= {column for index in table.list_indices() for column in index.columns}:
        return []
    where = expression_of(table, filter)
    query = (
        table.search(MultiMatchQuery(text, ["caption", "title"]), query_type="fts")
        .select([*row_columns(table), "vector", "_score"])
        .limit(k)
    )
    return _hits((query if where is None else query.where(where)).to_arrow(), vector)


def _hits(found: Any, query: "NDArray[np.float32]") -> list[Hit]:
    import numpy as np

    hits = []
    for record in found.to_pylist():
        vector = np.asarray(record["vector"], dtype=np.float32)
        row = from_record(record)
        hits.append(
            Hit(
                image=row.image,
                similarity=float(np.clip(query @ vector, -1, 1)),
                vector=vector,
                title=row.title,
                caption=row.caption,
                tags=row.tags,
                metadata=row.metadata,
                source=row.source,
                author=row.author,
                licence=row.licence,
            )
        )
    return hits
