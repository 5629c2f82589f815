"""Search by captions: the images whose caption says what a text says, by the vectors of the captions."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from imagerag.agent.ports import Filter, Hit
from imagerag.store.library.caption_metadata import CAPTION_VECTOR
from imagerag.store.library.recent_records import RecentRecords
from imagerag.store.library.region_search import QueryVectors
from imagerag.store.library.schema import present
from imagerag.store.library.search import hits_with, near, rows_with_ids

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float32]


@dataclass(frozen=True)
class CaptionMatch:
    """An image, and the cosine of a text and its caption, in [-1, 1]."""

    id: str
    cosine: float


def nearest_captions(table: Any, vector: "Vector", k: int, filter: Filter) -> list[CaptionMatch]:
    """The `k` images whose captions have the highest cosine with a text, best first; equal ones by id.

    Images whose caption has no vector are not found; nothing is in a library without caption vectors.

    Args:
        table: the library's LanceDB table.
        vector: of the text, by the library's caption encoder: unit, float32 [its dimension].
    """
    if k < 1 or not present(table, (CAPTION_VECTOR,)):
        return []
    records = near(table, vector, k, filter, ("id",), CAPTION_VECTOR).to_pylist()
    matches = [CaptionMatch(record["id"], max(-1.0, min(1.0, 1.0 - record["_distance"]))) for record in records]
    return sorted(matches, key=lambda one: (-one.cosine, one.id))


def by_captions(
    table: Any, vector: "Vector", caption_vector: "Vector", k: int, filter: Filter, recent: RecentRecords
) -> list[Hit]:
    """The hits of `nearest_captions`, in its order, each with its cosine as `caption_similarity`.

    Args:
        vector: of the text by the library's own encoder, for `similarity`, that of whole images: unit, float32
            [dimension].
        caption_vector: of the text by the caption encoder.
    """
    version, matches = table.version, nearest_captions(table, caption_vector, k, filter)
    hits = hits_of(table, [one.id for one in matches], vector, recent, version)
    return [replace(hits[one.id], caption_similarity=one.cosine) for one in matches if one.id in hits]


def hits_of(table: Any, ids: Sequence[str], vector: "Vector", recent: RecentRecords, version: int) -> dict[str, Hit]:
    """Id → hit of the rows with these ids.

    Args:
        vector: what whole images are compared with for `similarity`.
        version: of the table before they were found.
    """
    query = QueryVectors(vector, regions=False)
    records = rows_with_ids(table, ids, query)
    recent.keep(version, records)
    return {hit.image.sha256: hit for hit in hits_with(records, query)}
