"""Nearest images of a LanceDB table: exact below 100,000 rows, through an index above, fused with words on request.

Similarities are always computed here from the stored vectors. A quantised index only proposes candidates: its own
distances are inaccurate unless refined, so no threshold is applied to them. If the index contains every row, the
candidates' vectors are compared here, in one read for all texts of a call, and only the best rows are read completely.
"""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from imagerag.agent.ports import Filter, Hit
from imagerag.agent.types import ImageRef
from imagerag.store.library.filters.filter_expressions import expression_of, filter_indexes
from imagerag.store.library.index_candidates import (
    AGAIN,
    ALL_PARTS,
    CANDIDATES,
    PROBES,
    REFINE,
    knows_all,
    nearest_records,
)
from imagerag.store.library.recent_records import RecentRecords
from imagerag.store.library.region_columns import REGIONS, records_of
from imagerag.store.library.region_search import QueryVectors, nearest_regions, region_columns, regions_index
from imagerag.store.library.schema import ImageRecord, from_query, id_filter, metadata_of, present, row_columns

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

INDEX_FROM = 100_000
"""Rows from which an approximate index pays: below, the exact scan takes at most about 150 ms."""

FILTERED_FROM = 10_000
"""Rows from which indexes of the columns that filters ask pay."""

HIT_COLUMNS = (
    "id", "media_type", "width", "height", "title", "caption", "tags", "metadata", "source", "author", "licence",
)  # fmt: skip
"""What a `Hit` is made of, beside the vector; and `ocr`, where the library has it (`_hit_columns`). Every column more
takes as long as a tenth of the search."""

WORD_COLUMNS = ("caption", "title", "ocr")
"""What is searched by words; `ocr` where the library has it."""

AT_ONCE = timedelta(milliseconds=1)
"""Age from which on older versions are removed: who is reading one reads on in the newest (`tables.insist`)."""

HYBRID_DEPTH, RRF = 50, 60
"""How many of each list are fused, and reciprocal rank fusion's constant."""


def nearest(table: Any, vector: "NDArray[np.float32]", k: int, filter: Filter, recent: RecentRecords) -> list[Hit]:
    """The `k` images with the highest cosine of the whole image, best first; equal ones by id.

    Args:
        table: the library's LanceDB table.
        vector: unit, float32 [dimension].
        recent: keeps what is needed to read the images that are found.
    """
    return nearest_of_each(table, [QueryVectors(vector, regions=False)], k, filter, recent)[0]


def nearest_of_each(
    table: Any,
    queries: Sequence[QueryVectors],
    k: int,
    filter: Filter,
    recent: RecentRecords,
) -> list[list[Hit]]:
    """The `k` images most similar to each of several queries, best first; equal ones by id."""
    version, columns = table.version, _hit_columns(table, queries[0])
    with ThreadPoolExecutor(2) as pool:
        near = [pool.submit(nearest_regions, table, one, k, filter, (*columns, "vector")) for one in queries]
        lists = _whole(table, [one.vector for one in queries], k, filter, columns)
        found = [
            list({record["id"]: record for record in (*mine, *regions.result())}.values())
            for mine, regions in zip(lists, near, strict=True)
        ]
    recent.keep(version, [record for mine in found for record in mine])
    return [_ranked(_hits(mine, query))[:k] for mine, query in zip(found, queries, strict=True)]


def _whole(
    table: Any, vectors: "Sequence[NDArray[np.float32]]", k: int, filter: Filter, columns: Sequence[str]
) -> list[list[Mapping[str, Any]]]:
    """For each vector the records of the `k` images that are nearest as a whole, with their vectors."""
    lists = nearest_records(table, vectors, k, filter, columns) if knows_all(table) else None
    if lists is None:
        found = _near(table, vectors[0] if len(vectors) == 1 else list(vectors), k, filter, (*columns, "vector"))
        lists = [[] for _ in vectors]
        for record in records_of(found):
            lists[record.get("query_index", 0)].append(record)
    return lists


def hybrid(
    table: Any,
    query: QueryVectors,
    text: str,
    k: int,
    filter: Filter,
    recent: RecentRecords,
) -> list[Hit]:
    """Reciprocal rank fusion of the nearest vectors and the best word matches (BM25) in caption, title and OCR.

    Own code instead of LanceDB's hybrid query with `RRFReranker`: measured, it gives the same order in half of the
    time. Both lists hold only ids and are made concurrently, and only the best rows of the fused list are read.
    """
    depth, version = max(k, HYBRID_DEPTH), table.version
    with ThreadPoolExecutor(1) as pool:
        words = pool.submit(_worded, table, text, depth, filter, ("id",))
        near = _near_ids(table, query, depth, filter)
        worded = words.result()
    score: dict[str, float] = {}
    for ranking in (near, worded):
        for rank, record in enumerate(ranking):
            score[record["id"]] = score.get(record["id"], 0.0) + 1 / (RRF + rank + 1)
    # Of equal scores the more similar image comes first; the similarity is known only after the read.
    last = min(sorted(score.values(), reverse=True)[:k], default=0.0)
    chosen = [sha256 for sha256, reached in score.items() if reached >= last]
    found = _with_ids(table, chosen, query)
    recent.keep(version, found)
    hits = _hits(found, query)
    return sorted(hits, key=lambda hit: (-score[hit.image.sha256], -hit.similarity, hit.image.sha256))[:k]


def _near_ids(table: Any, query: QueryVectors, depth: int, filter: Filter) -> list[dict[str, Any]]:
    """The most similar images, best first: their ids alone, and what their similarity is computed from."""
    if not (extra := region_columns(table, query)):
        near: list[dict[str, Any]] = _near(table, query.vector, depth, filter, ("id",)).to_pylist()
        return sorted(near, key=lambda record: (record["_distance"], record["id"]))
    columns = ("id", "vector", *extra)
    records = [*records_of(_near(table, query.vector, depth, filter, columns)),
               *nearest_regions(table, query, depth, filter, columns)]  # fmt: skip
    found = {record["id"]: record for record in records}
    return sorted(found.values(), key=lambda record: (-query.match(record)[0], record["id"]))[:depth]


def by_words(table: Any, query: QueryVectors, text: str, k: int, filter: Filter, recent: RecentRecords) -> list[Hit]:
    """The best word matches in caption, title and OCR (BM25), best first; empty before the library is optimized."""
    version = table.version
    found = _worded(table, text, k, filter, (*_hit_columns(table, query), "vector"))
    recent.keep(version, found)
    return _hits(found, query)


def listed(table: Any, filter: Filter, limit: int) -> tuple[list[ImageRecord], int]:
    """At most `limit` of the rows that match a filter, sorted by id, and the total number of matches."""
    where = expression_of(table, filter)
    query = table.search().select(row_columns(table)).limit(limit)
    found = from_query(query if where is None else query.where(where))
    total = len(found)
    if total >= limit:  # there may be more
        total = table.count_rows() if where is None else table.search().where(where).select(["id"]).to_arrow().num_rows
    return sorted(found, key=lambda row: row.id), int(total)


def count_ocr_read(table: Any) -> int:
    """The number of images that were read by OCR."""
    read = "ocr_confidence IS NOT NULL"
    return int(table.count_rows(read)) if present(table, ("ocr_confidence",)) else 0


def build_indexes(table: Any, *, alone: bool = False) -> None:
    """Join small fragments, add new rows to the indexes, build missing indexes for a table of this size, and remove all
    older versions with their files.

    Args:
        alone: no other process writes meanwhile, so files without a version are left over from a stopped writer and are
            also removed.
    """
    from lancedb.index import FTS, BTree

    table.optimize()
    count = table.count_rows()
    have = {column for index in table.list_indices() for column in index.columns}
    needed: dict[str, Any] = {
        **dict.fromkeys(present(table, WORD_COLUMNS), FTS() if count else None),
        "id": BTree() if count >= INDEX_FROM // 10 else None,
        "vector": _vector_index(table) if count >= INDEX_FROM else None,
        REGIONS: regions_index(table, count, _vector_index(table)),
    }
    if count >= FILTERED_FROM:
        needed |= filter_indexes(table)
    for column, config in needed.items():
        if config is not None and column not in have:
            table.create_index(column, config=config)
    table.optimize(cleanup_older_than=AT_ONCE, delete_unverified=alone)
    if len(table.list_versions()) > 1:
        # Fragments are joined in two commits, and the version between them refers to the old files. On a fast disk that
        # version is younger than `AT_ONCE` when older versions are removed.
        time.sleep(2 * AT_ONCE.total_seconds())
        table.optimize(cleanup_older_than=AT_ONCE, delete_unverified=alone)


def _vector_index(table: Any) -> Any:
    """Choose the vector index by dimension. One bit per dimension is enough with many dimensions and too little with
    few: at 32 dimensions IVF_RQ finds less than half of the true neighbours, at 512 nearly all."""
    from lancedb.index import IvfRq, IvfSq

    wide = table.schema.field("vector").type.list_size >= 256
    return IvfRq(distance_type="cosine") if wide else IvfSq(distance_type="cosine")


def _near(table: Any, vectors: Any, k: int, filter: Filter, columns: Sequence[str]) -> Any:
    where = expression_of(table, filter)
    query = (
        table.search(vectors, vector_column_name="vector")
        .distance_type("cosine")
        .select([*columns, "_distance"])
        .nprobes(PROBES)
        .refine_factor(max(REFINE, -(-CANDIDATES // k)) * (1 if where is None else AGAIN))
        .limit(k)
    )
    return (query if where is None else query.maximum_nprobes(ALL_PARTS).where(where)).to_arrow()


def _worded(table: Any, text: str, k: int, filter: Filter, columns: Sequence[str]) -> list[dict[str, Any]]:
    from lancedb.query import MultiMatchQuery

    indexed = {column for index in table.list_indices() for column in index.columns}
    if not {"caption", "title"} <= indexed:
        return []
    where = expression_of(table, filter)
    query = (
        table.search(MultiMatchQuery(text, [name for name in WORD_COLUMNS if name in indexed]), query_type="fts")
        .select([*columns, "_score"])
        .limit(k)
    )
    return records_of((query if where is None else query.where(where)).to_arrow())


def _hit_columns(table: Any, query: QueryVectors) -> list[str]:
    """The columns that are read of what is found, beside the vector."""
    names = frozenset(table.schema.names)
    return [*HIT_COLUMNS, *({"ocr"} & names), *region_columns(table, query), *RecentRecords.columns(names)]


def _with_ids(table: Any, ids: Sequence[str], query: QueryVectors) -> list[dict[str, Any]]:
    if not ids:
        return []
    columns = [*_hit_columns(table, query), "vector"]
    return records_of(table.search().select(columns).where(id_filter("id", ids)).to_arrow())


def _ranked(hits: Sequence[Hit]) -> list[Hit]:
    return sorted(hits, key=lambda hit: (-hit.similarity, hit.image.sha256))


def _hits(found: Sequence[Mapping[str, Any]], query: QueryVectors) -> list[Hit]:
    import numpy as np

    hits = []
    for record in found:
        vector = np.asarray(record["vector"], dtype=np.float32)
        similarity, region = query.match(record)
        texts: dict[str, Any] = {
            name: record.get(name) or "" for name in ("title", "caption", "source", "author", "licence", "ocr")
        }
        hits.append(
            Hit(
                image=ImageRef(
                    sha256=record["id"],
                    media_type=record["media_type"],
                    width=record["width"],
                    height=record["height"],
                ),
                similarity=similarity,
                vector=vector,
                region=region,
                tags=tuple(record["tags"] or ()),
                metadata=metadata_of(record),
                **texts,
            )
        )
    return hits
