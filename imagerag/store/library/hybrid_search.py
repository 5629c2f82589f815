"""Hybrid search: the nearest images, the nearest captions and the best word matches, fused by `fusion`.

Own code instead of LanceDB's hybrid query, which knows two lists and takes twice the time: the lists hold only ids and
are made concurrently, and only the best rows of the fused list are read.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from imagerag.agent.ports import Filter, Hit
from imagerag.agent.types import FoundBy
from imagerag.store.library.caption_embedding import caption_vector_of
from imagerag.store.library.caption_search import nearest_captions
from imagerag.store.library.description_columns import WORDS
from imagerag.store.library.fusion import DEPTH, Fused, RankedList, Weights
from imagerag.store.library.fusion_metadata import FusedThreshold
from imagerag.store.library.matched_words import matched_words
from imagerag.store.library.recent_records import RecentRecords
from imagerag.store.library.region_search import QueryVectors
from imagerag.store.library.schema import present
from imagerag.store.library.search import hit_columns, hits_with, nearest_ids, rows_with_ids
from imagerag.store.library.word_search import best_matches

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from imagerag.store.library.library_reader import LibraryReader


@dataclass(frozen=True)
class HybridQuery:
    """What a hybrid search searches for.

    Attributes:
        image: the query as it is compared with images.
        text: whose words are searched.
        caption_vector: of the text by the encoder of the captions, unit; None leaves captions out.
        weights: of the lists; None weighs all alike.
        threshold: of what is found; None is that between texts and images.
    """

    image: QueryVectors
    text: str
    caption_vector: "NDArray[np.float32] | None" = None
    weights: Weights | None = None
    threshold: FusedThreshold | None = None

    @classmethod
    async def of(cls, library: "LibraryReader", image: QueryVectors, text: str) -> "HybridQuery":
        """The query for a library's lists, weighed as was calibrated on it.

        Args:
            image: the query by the library's own encoder.
            text: the query, or of several terms the texts.

        Raises:
            EmbeddingMismatchError, LibraryError: as `LibraryReader.caption_embedder`.
        """
        metadata = library.metadata
        weights = metadata.fusion.weights if metadata.fusion else None
        if metadata.caption_encoder is None or not (weights or {"caption": 1.0}).get("caption"):
            return cls(image, text, weights=weights)
        threshold = metadata.fusion.threshold if metadata.fusion else None
        return cls(image, text, await caption_vector_of(library, text), weights, threshold)


def hybrid(table: Any, query: HybridQuery, k: int, filter: Filter, recent: RecentRecords) -> list[Hit]:
    """The `k` best images of all lists together, best first, each with the lists that have it.

    Args:
        table: the library's LanceDB table.
        recent: keeps what is needed to read the images that are found.
    """
    version = table.version
    fused = Fused.of(_lists(table, query, max(k, DEPTH), filter), query.weights)
    rows = rows_with_ids(table, fused.best(k), query.image, (WORDS,))
    recent.keep(version, rows)
    # Of equal scores the more similar image comes first; the similarity is known only after the read.
    hits = sorted(
        hits_with(rows, query.image),
        key=lambda hit: (-fused.scores[hit.image.sha256], -hit.similarity, hit.image.sha256),
    )[:k]
    lists = fused.found_by([hit.image.sha256 for hit in hits])
    records = {record["id"]: record for record in rows}
    return [_explained(hit, query, lists[hit.image.sha256], records[hit.image.sha256]) for hit in hits]


def search_words(
    table: Any, query: QueryVectors, text: str, k: int, filter: Filter, recent: RecentRecords
) -> list[Hit]:
    """The best word matches alone, best first; none before the library is optimized."""
    version = table.version
    columns = (*hit_columns(table, query), "vector", *present(table, (WORDS,)))
    records = best_matches(table, text, k, filter, columns)
    recent.keep(version, records)
    return [
        replace(hit, found_by=with_words((_found_by_words(rank, record),), text, record))
        for rank, (hit, record) in enumerate(zip(hits_with(records, query), records, strict=True), start=1)
    ]


def by_image(table: Any, query: QueryVectors, k: int, filter: Filter) -> RankedList:
    """The most similar images, each by the whole of it or by its nearest region."""
    matches = nearest_ids(table, query, k, filter)
    return RankedList("image", [one for one, _ in matches], [similarity for _, similarity in matches])


def by_caption(table: Any, vector: "NDArray[np.float32]", k: int, filter: Filter) -> RankedList:
    """The images whose captions are nearest to a vector of the captions' encoder."""
    matches = nearest_captions(table, vector, k, filter)
    return RankedList("caption", [one.id for one in matches], [one.cosine for one in matches])


def by_words(table: Any, text: str, k: int, filter: Filter) -> RankedList:
    """The images whose texts match the words of a text best."""
    records = best_matches(table, text, k, filter, ("id",))
    return RankedList("words", [one["id"] for one in records], [one["_score"] for one in records])


def with_words(lists: Sequence[FoundBy], text: str, record: Any) -> tuple[FoundBy, ...]:
    """The lists that have an image, that of words with the words of the query that its texts contain."""
    if not any(one.list == "words" for one in lists):
        return tuple(lists)
    field, words = matched_words(text, record)
    return tuple(
        one.model_copy(update={"field": field, "words": words}) if one.list == "words" else one for one in lists
    )


def _lists(table: Any, query: HybridQuery, depth: int, filter: Filter) -> list[RankedList]:
    """All lists, made concurrently."""
    makers: list[Callable[[], RankedList]] = [
        lambda: by_image(table, query.image, depth, filter),
        lambda: by_words(table, query.text, depth, filter),
    ]
    if (captions := query.caption_vector) is not None:
        makers.append(lambda: by_caption(table, captions, depth, filter))
    with ThreadPoolExecutor(len(makers)) as pool:
        return list(pool.map(lambda make: make(), makers))


def _explained(hit: Hit, query: HybridQuery, lists: Sequence[FoundBy], record: Any) -> Hit:
    caption = next((one.score for one in lists if one.list == "caption"), None)
    hit = replace(hit, found_by=with_words(lists, query.text, record), caption_similarity=caption)
    limits = query.threshold
    if limits is None or limits.caption is None:
        return hit
    return replace(hit, threshold=1.0 if limits.image is None else limits.image, caption_threshold=limits.caption)


def _found_by_words(rank: int, record: Any) -> FoundBy:
    return FoundBy(list="words", rank=rank, score=record["_score"], share=1.0)
