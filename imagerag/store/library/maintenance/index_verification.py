"""Verification and repair of a library's indexes."""

from typing import Any

from imagerag.store.library.index_files import drop_indexes
from imagerag.store.library.maintenance.vector_verification import dimension_of
from imagerag.store.library.region_columns import REGIONS
from imagerag.store.library.search import VECTORS, build_indexes


def query_indexes(table: Any) -> None:
    """Query each index of a LanceDB table; raises one of `LANCE_ERRORS` where one cannot be read."""
    from lancedb.expr import col, lit
    from lancedb.query import MatchQuery

    for index in table.list_indices():
        table.index_stats(index.name)
        if index.index_type == "FTS":
            for column in index.columns:
                table.search(MatchQuery("a", column), query_type="fts").select(["id", "_score"]).limit(1).to_arrow()
            continue
        (column,) = index.columns
        if column in (*VECTORS, REGIONS):
            vector = [1.0] + [0.0] * (dimension_of(table, column) - 1)
            table.search(vector, vector_column_name=column).select(["id", "_distance"]).limit(1).to_arrow()
        else:
            values = table.search().select([column]).limit(1).to_arrow()[column].to_pylist()
            same = [col(column) == lit(value) for value in values if value is not None]
            table.search().where(same[0] if same else f"`{column}` IS NULL").select(["id"]).limit(1).to_arrow()


def rebuild_indexes(table: Any) -> None:
    """Drop all indexes of a LanceDB table and build those that its size calls for."""
    drop_indexes(table)
    build_indexes(table)
