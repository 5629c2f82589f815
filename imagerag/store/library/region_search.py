"""Search of image regions: of two images that show a thing, the one where it is small is as near to its text.

The similarity of an image is the highest of three: the cosine of the whole image; that of its nearest region; and, if
the text names several things and the image has as many regions, the mean cosine of the things, each with a region of
its own. Where the regions are separate things, the whole counts only as far as a region confirms it
(`region_columns.image_similarity`); and where the library has a threshold for several things (`things_calibration`),
only their mean counts: an image of a mug and a jug is nearly as near to "a mug and a lamp" as one of both. LanceDB
finds the nearest regions in one multivector column; similarities are computed here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from imagerag.agent.images.regions import are_separate
from imagerag.agent.ports import Filter
from imagerag.agent.types import Region
from imagerag.store.library.filters.filter_expressions import expression_of
from imagerag.store.library.index_candidates import ALL_PARTS, PROBES
from imagerag.store.library.region_columns import (
    BOXES,
    REGIONS,
    assigned,
    boxes_of,
    has_regions,
    image_similarity,
    records_of,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float32]

INDEXED_FROM: Final = 256
"""Images with regions from which their index pays: a scan without one takes 10 microseconds for each row."""

EXACT_UP_TO: Final = 100_000
"""Rows below which every part of the index is searched, which is exact and faster than a scan of the vectors."""

DEPTH: Final = 50
"""Images that are found for each thing of a text: one that shows all of them is among those of one."""

CANDIDATES: Final = 5
"""How many times `k` images, but `DEPTH` at least, an index with few bits of a vector is asked for: of 2,500 images
with vectors of 512 random numbers, 98 % of the 10 nearest are found so, with `k` alone 79 %."""

REFINE: Final = 10
"""How many times as many candidates of such an index as images are compared by the vectors of their regions."""

_ALL: Final = 1_000_000


@dataclass(frozen=True, eq=False)
class QueryVectors:
    """The vectors of a query.

    Attributes:
        vector: of the whole query, unit, float32 [dimension].
        things: of each thing that a text of several names, likewise; empty for one thing.
        regions: whether regions are searched. An image is compared with whole images: its threshold is measured so.
        thresholds: of a text that names several things: of an image as a whole, and of one whose separate regions are
            compared with the things; None where the library has only the first.
    """

    vector: "Vector"
    things: "tuple[Vector, ...]" = ()
    regions: bool = True
    thresholds: tuple[float, float] | None = None

    def matches(self, records: Sequence[Mapping[str, Any]]) -> "list[RegionMatch]":
        """`match` of each record."""
        return [self.match(record) for record in records]

    def match(self, record: Mapping[str, Any]) -> "RegionMatch":
        """Compare an image with the query.

        Args:
            record: the vector, and the columns of regions where the library has them.
        """
        import numpy as np

        limit = self.thresholds[0] if self.thresholds else None
        whole = float(self.vector @ np.asarray(record["vector"], dtype=np.float32))
        if not (self.regions and record.get(BOXES)):
            return RegionMatch(whole, threshold=limit)
        boxes, vectors = boxes_of(record), np.asarray(record[REGIONS], dtype=np.float32)
        cosines = vectors @ self.vector
        best = int(cosines.argmax())
        similarity = float(image_similarity(whole, cosines[best], len(boxes)))
        nearest = RegionMatch(similarity, boxes[best] if similarity <= cosines[best] else None, limit)
        if not self.things or len(boxes) < len(self.things):
            return nearest
        mean, own = assigned(vectors @ np.stack(self.things).T)
        of_things = RegionMatch(mean, Region.around(boxes[one] for one in own), limit)
        if self.thresholds and are_separate(len(boxes)):
            return replace(of_things, threshold=self.thresholds[1])
        return max(nearest, of_things, key=lambda one: one.similarity)


@dataclass(frozen=True)
class RegionMatch:
    """An image compared with a query.

    Attributes:
        similarity: cosine in [-1, 1].
        region: the box that gave it; None is the whole image.
        threshold: what this similarity has to reach; None is the library's threshold.
    """

    similarity: float
    region: Region | None = None
    threshold: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "similarity", min(1.0, max(-1.0, self.similarity)))


def nearest_regions(
    table: Any, query: QueryVectors, k: int, filter: Filter, columns: Sequence[str]
) -> list[dict[str, Any]]:
    """At least `k` images with the nearest regions to a query, and to each of its things: each once, in no order.

    Args:
        table: of a library with regions.
        columns: what is read, with those of the boxes.
    """
    by_id: dict[str, dict[str, Any]] = {}
    for vector, count in [(query.vector, k), *((thing, max(k, DEPTH)) for thing in query.things)]:
        by_id |= {record["id"]: record for record in _nearest(table, vector, count, filter, columns)}
    return [record for record in by_id.values() if record.get(BOXES)]


def _nearest(table: Any, vector: "Vector", k: int, filter: Filter, columns: Sequence[str]) -> list[dict[str, Any]]:
    where = expression_of(table, filter)
    query = table.search(vector, vector_column_name=REGIONS).distance_type("cosine").select([*columns, "_distance"])
    if table.count_rows() < EXACT_UP_TO:
        query = query.minimum_nprobes(_ALL).maximum_nprobes(_ALL).limit(k)
    else:
        query = query.limit(max(DEPTH, CANDIDATES * k))
        query = query.minimum_nprobes(PROBES).maximum_nprobes(PROBES if where is None else ALL_PARTS)
        query = query.refine_factor(REFINE)
    return records_of((query if where is None else query.where(where)).to_arrow())


def regions_index(table: Any, rows: int, quantized: Any) -> Any | None:
    """The index of the regions for a table of this size; None where it does not pay.

    Args:
        quantized: the index of a large table.
    """
    from lancedb.index import IvfFlat

    if not has_regions(table) or table.count_rows(f"array_length({BOXES}) > 0") < INDEXED_FROM:
        return None
    return IvfFlat(distance_type="cosine") if rows < EXACT_UP_TO else quantized
