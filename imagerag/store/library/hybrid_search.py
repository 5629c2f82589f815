"""Hybrid search: the nearest images, the nearest captions and the best word matches, fused by weighted scores (`fusion`).

Own code instead of LanceDB's hybrid query, which knows two lists and takes twice the time: the lists hold only ids and are
made concurrently, and only the best rows of the fused list are read.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from imagerag.agent.ports import Filter, Hit
from imagerag.agent.types import FoundBy, ListName
from imagerag.store.library.fusion import DEPTH, Fused, RankedList, Weights, effective_weights
from imagerag.store.library.matched_words import matched_words
from imagerag.store.library.recent_records import RecentRecords
from imagerag.store.library.search import hit_columns, hits_of, near, with_ids
from imagerag.store.library.word_search import best_matches

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Search = Callable[[int], RankedList]
"""Makes a list of at most so many images."""


def hybrid(
    table: Any,
    vector: "NDArray[np.float32]",
    text: str,
    k: int,
    filter: Filter,
    recent: RecentRecords,
    *,
    weights: Weights | None = None,
) -> list[Hit]:
    """The `k` best images of all lists together, best first, each with the lists that have it.

    Args:
        table: the library's LanceDB table.
        vector: of the query, unit, float32 [dimension].
        text: whose words are searched.
        recent: keeps what is needed to read the images that are found.
        weights: of the lists; None weighs all alike.
    """
    version = table.version
    searches: dict[ListName, Search] = {
        "image": lambda depth: by_image(table, vector, depth, filter),
        "words": lambda depth: by_words(table, text, depth, filter),
    }
    fused = Fused.of(_made(searches, max(k, DEPTH), weights), weights)
    found = with_ids(table, fused.best(k))
    recent.keep(version, found)
    # Of equal scores the more similar image comes first; the similarity is known only after the read.
    hits = sorted(
        hits_of(found, vector),
        key=lambda hit: (-fused.scores[hit.image.sha256], -hit.similarity, hit.image.sha256),
    )[:k]
    lists = fused.found_by([hit.image.sha256 for hit in hits])
    records = {record["id"]: record for record in found}
    return [replace(hit, found_by=explained(lists[sha256], text, records[sha256]))
            for hit in hits for sha256 in [hit.image.sha256]]  # fmt: skip


def search_words(
    table: Any, vector: "NDArray[np.float32]", text: str, k: int, filter: Filter, recent: RecentRecords
) -> list[Hit]:
    """The best word matches alone, best first; none before the library is optimized."""
    version = table.version
    found = best_matches(table, text, k, filter, (*hit_columns(table), "vector"))
    recent.keep(version, found)
    return [
        replace(hit, found_by=explained((_found_by_words(rank, record),), text, record))
        for rank, (hit, record) in enumerate(zip(hits_of(found, vector), found, strict=True), start=1)
    ]


def by_image(table: Any, vector: "NDArray[np.float32]", k: int, filter: Filter) -> RankedList:
    """The images nearest to a vector."""
    found = near(table, vector, k, filter, ("id",)).to_pylist()
    found.sort(key=lambda record: (record["_distance"], record["id"]))
    return RankedList("image", [one["id"] for one in found], [1 - one["_distance"] for one in found])


def by_words(table: Any, text: str, k: int, filter: Filter) -> RankedList:
    """The images whose texts match the words of a text best."""
    found = best_matches(table, text, k, filter, ("id",))
    return RankedList("words", [one["id"] for one in found], [one["_score"] for one in found])


def explained(lists: Sequence[FoundBy], text: str, record: Any) -> tuple[FoundBy, ...]:
    """The lists that have an image, that of words with the words of the query that its texts contain."""
    if not any(one.list == "words" for one in lists):
        return tuple(lists)
    field, words = matched_words(text, record)
    return tuple(
        one.model_copy(update={"field": field, "words": words}) if one.list == "words" else one for one in lists
    )


def _made(searches: "dict[ListName, Search]", depth: int, weights: Weights | None) -> list[RankedList]:
    """The lists that have any weight, made concurrently."""
    counted = [name for name, weight in effective_weights([*searches], weights).items() if weight]
    with ThreadPoolExecutor(len(counted)) as pool:
        return list(pool.map(lambda name: searches[name](depth), counted))


def _found_by_words(rank: int, record: Any) -> FoundBy:
    return FoundBy(list="words", rank=rank, score=record["_score"], share=1.0)
