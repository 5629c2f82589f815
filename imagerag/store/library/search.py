"""Nearest images of a LanceDB table, and the indexes of a library.

Similarities are always computed here from the stored vectors. The index of a large library only proposes candidates
(`vector_indexes`): its own distances are inaccurate unless LanceDB refines them, so no threshold is applied to them.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from math import ceil
from typing import TYPE_CHECKING, Any

from imagerag.agent.ports import Filter, Hit
from imagerag.agent.ports.hits import best_first
from imagerag.agent.types import ImageRef
from imagerag.store.library.caption_metadata import CAPTION_VECTOR
from imagerag.store.library.filters.filter_expressions import expression_of, filter_indexes, matching
from imagerag.store.library.recent_records import RecentRecords
from imagerag.store.library.region_columns import REGION_COLUMNS, REGIONS, has_regions, records_of
from imagerag.store.library.region_search import QueryVectors, nearest_regions, regions_index
from imagerag.store.library.schema import ImageRecord, from_query, id_filter, metadata_of_each, present, row_columns
from imagerag.store.library.vector_indexes import (
    candidate_count,
    is_coarse,
    is_exact,
    is_needed,
    needed_index,
    parts_to_search,
)
from imagerag.store.library.word_search import needed_word_indexes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

INDEX_FROM = 10_000
"""Vectors from which an index of them pays: a scan of 10,000 with 512 dimensions takes 10 to 20 ms, of 100,000 up to
230."""

FILTERED_FROM = 10_000
"""Rows from which indexes of the columns that filters compare pay."""

HIT_COLUMNS = (
    "id", "media_type", "width", "height", "title", "caption", "tags", "metadata", "source", "author", "licence",
)  # fmt: skip
"""What a `Hit` is made of, beside the vector; and `OPTIONAL_HIT_COLUMNS`, where the library has them. Every column
more takes as long as a tenth of the search."""

WIDER = 20
"""Images that are found as a whole at least, in a library with regions."""

TEXTS_OF_HITS = ("title", "caption", "source", "author", "licence", "ocr", "description", "described_by")

OPTIONAL_HIT_COLUMNS = ("ocr", "description", "described_by", "description_confidence")

VECTORS = ("vector", CAPTION_VECTOR)
"""What is searched by cosine; captions where the library has vectors of them."""

AT_ONCE = timedelta(milliseconds=1)
"""Age from which on older versions are removed: who is reading one reads on in the newest (`tables.insist`)."""


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
    version, columns, vectors = table.version, hit_columns(table, queries[0]), [one.vector for one in queries]
    if REGIONS in columns:
        with ThreadPoolExecutor(2) as pool:
            near = [pool.submit(nearest_regions, table, one, k, filter, (*columns, "vector")) for one in queries]
            whole = _whole(table, vectors, _wider(k), filter, columns)
            records_per_query = [
                list({record["id"]: record for record in (*mine, *regions.result())}.values())
                for mine, regions in zip(whole, near, strict=True)
            ]
    else:
        records_per_query = _whole(table, vectors, k, filter, columns)
    recent.keep(version, [record for mine in records_per_query for record in mine])
    return [best_first(hits_with(mine, query))[:k] for mine, query in zip(records_per_query, queries, strict=True)]


def _wider(k: int) -> int:
    """The number of images that are found as a whole, of which the `k` best are taken: regions lower some of them."""
    return max(2 * k, WIDER)


def _whole(
    table: Any, vectors: "Sequence[NDArray[np.float32]]", k: int, filter: Filter, columns: Sequence[str]
) -> list[list[Mapping[str, Any]]]:
    """For each vector the records of the `k` images that are nearest as a whole, with their vectors."""
    rows = near(table, vectors[0] if len(vectors) == 1 else list(vectors), k, filter, (*columns, "vector"))
    lists: list[list[Mapping[str, Any]]] = [[] for _ in vectors]
    for record in records_of(rows):
        lists[record.get("query_index", 0)].append(record)
    return lists


def nearest_ids(table: Any, query: QueryVectors, k: int, filter: Filter) -> list[tuple[str, float]]:
    """The id and the similarity of the `k` most similar images, best first; equal ones by id."""
    if not (query.regions and has_regions(table)):
        similarities = [
            (one["id"], 1 - one["_distance"]) for one in near(table, query.vector, k, filter, ("id",)).to_pylist()
        ]
    else:
        columns = ("id", "vector", *REGION_COLUMNS)
        records = [*records_of(near(table, query.vector, _wider(k), filter, columns)),
                   *nearest_regions(table, query, k, filter, columns)]  # fmt: skip
        distinct = {record["id"]: record for record in records}
        matches = dict(zip(distinct, query.matches([*distinct.values()]), strict=True))
        best = sorted(distinct, key=lambda one: (-matches[one].similarity + (matches[one].threshold or 0.0), one))
        return [(one, matches[one].similarity) for one in best[:k]]
    return sorted(similarities, key=lambda one: (-one[1], one[0]))[:k]


def listed(table: Any, filter: Filter, limit: int) -> tuple[list[ImageRecord], int]:
    """At most `limit` of the rows that match a filter, sorted by id, and the total number of matches."""
    rows = from_query(matching(table, filter).select(row_columns(table)).limit(limit))
    total = len(rows)
    if total >= limit:  # there may be more
        total = table.count_rows() if filter == Filter() else matching(table, filter).select(["id"]).to_arrow().num_rows
    return sorted(rows, key=lambda row: row.id), int(total)


def matching_ids(table: Any, filter: Filter) -> list[str]:
    """The ids of the rows that match a filter, sorted. Nothing else is read: a million rows are 3 GB of records."""
    return sorted(matching(table, filter).select(["id"]).to_arrow()["id"].to_pylist())


def count_ocr_read(table: Any) -> int:
    """The number of images that were read by OCR."""
    condition = "ocr_confidence IS NOT NULL"
    return int(table.count_rows(condition)) if present(table, ("ocr_confidence",)) else 0


def build_indexes(table: Any, *, alone: bool = False) -> None:
    """Join small fragments, add new rows to the indexes, build missing indexes for a table of this size, and remove all
    older versions with their files.

    Args:
        alone: no other process writes meanwhile, so files without a version are left over from a stopped writer and are
            also removed.
    """
    table.optimize()
    for column, config in _needed_indexes(table).items():
        table.create_index(column, config=config)
    table.optimize(cleanup_older_than=AT_ONCE, delete_unverified=alone)
    if len(table.list_versions()) > 1:
        # Fragments are joined in two commits, and the version between them refers to the old files. On a fast disk that
        # version is younger than `AT_ONCE` when older versions are removed.
        time.sleep(2 * AT_ONCE.total_seconds())
        table.optimize(cleanup_older_than=AT_ONCE, delete_unverified=alone)


def _needed_indexes(table: Any) -> dict[str, Any]:
    """The indexes that a table of this size lacks: column → configuration."""
    from lancedb.index import BTree

    needed = needed_word_indexes(table) | needed_vector_indexes(table)
    if table.count_rows() >= FILTERED_FROM:
        have = {column for index in table.list_indices() for column in index.columns}
        filtered = {"id": BTree(), **filter_indexes(table)}
        needed |= {column: config for column, config in filtered.items() if column not in have}
    return needed


def needed_vector_indexes(table: Any, columns: Sequence[str] = (*VECTORS, REGIONS)) -> dict[str, Any]:
    """The indexes of vectors that a table of this size lacks, or has of another type: column → configuration."""
    fitting = {name: _vector_index(table, name) for name in present(table, columns)}
    return {name: config for name, config in fitting.items() if config is not None and is_needed(table, name, config)}


def _vector_index(table: Any, column: str) -> Any | None:
    """The index that a column of vectors needs; None where a scan does."""
    if column == REGIONS:
        return regions_index(table)
    count = table.count_rows()
    if count >= INDEX_FROM and column == CAPTION_VECTOR:  # reads all of them; every image has the other vector
        count = table.count_rows(f"{column} IS NOT NULL")
    return None if count < INDEX_FROM else needed_index(count, table.schema.field(column).type.list_size)


def near(table: Any, vectors: Any, k: int, filter: Filter, columns: Sequence[str], vector: str = "vector") -> Any:
    """The `k` rows with the highest cosine with each vector, as an Arrow table with `_distance`, 1 minus the cosine.

    Args:
        vector: the column of the rows' vectors.
    """
    where, exact = expression_of(table, filter), is_exact(table, vector)
    query = table.search(vectors, vector_column_name=vector).distance_type("cosine").select([*columns, "_distance"])
    query = parts_to_search(query.limit(k), exact, where is not None)
    if not exact:
        query = query.refine_factor(ceil(candidate_count(table.count_rows(), k) / k))
    if is_coarse(table, vector):
        query = query.bypass_vector_index()
    return (query if where is None else query.where(where)).to_arrow()


def hit_columns(table: Any, query: QueryVectors) -> list[str]:
    """The columns that are read of what is found, beside the vector."""
    names = frozenset(table.schema.names)
    optional = (*OPTIONAL_HIT_COLUMNS, *(REGION_COLUMNS if query.regions else ()))
    return [*HIT_COLUMNS, *(name for name in optional if name in names), *RecentRecords.columns(names)]


def rows_with_ids(
    table: Any, ids: Sequence[str], query: QueryVectors, more: Iterable[str] = ()
) -> list[dict[str, Any]]:
    """The rows with these ids, as records that `hits_with` reads.

    Args:
        query: with which they are compared.
        more: further columns that are read, where the library has them.
    """
    if not ids:
        return []
    columns = [*hit_columns(table, query), "vector", *present(table, more)]
    return records_of(table.search().select(columns).where(id_filter("id", ids)).to_arrow())


def hits_with(records: Sequence[Mapping[str, Any]], query: QueryVectors) -> list[Hit]:
    """The hits of some records, in their order, with the similarity of each image and a query."""
    hits = []
    for record, match, metadata in zip(records, query.matches(records), metadata_of_each(records), strict=True):
        texts: dict[str, Any] = {name: record.get(name) or "" for name in TEXTS_OF_HITS}
        hits.append(
            Hit(
                image=ImageRef(
                    sha256=record["id"],
                    media_type=record["media_type"],
                    width=record["width"],
                    height=record["height"],
                ),
                similarity=match.similarity,
                vector=record["vector"],
                region=match.region,
                threshold=match.threshold,
                tags=tuple(record["tags"] or ()),
                metadata=metadata,
                description_confidence=record.get("description_confidence"),
                **texts,
            )
        )
    return hits
