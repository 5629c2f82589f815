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
from imagerag.store.library.region_columns import (
    BOXES,
    REGIONS,
    assigned,
    boxes_of,
    count_regions,
    image_similarity,
    records_of,
)
from imagerag.store.library.vector_indexes import is_exact, needed_index, parts_to_search

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float32]

INDEXED_FROM: Final = 256
"""Regions from which their index pays: a scan without one takes some 10 microseconds for each."""

DEPTH: Final = 50
"""Images that are found for each thing of a text: one that shows all of them is among those of one."""

CANDIDATES: Final = 5
"""How many times `k` images, but `DEPTH` at least, an index that rounds is asked for."""

REFINE: Final = 4
"""How many times as many candidates of such an index as images are compared by the vectors of their regions: of 50,000
images with 8 regions each, nearly all of the 10 nearest are found so."""


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
    exact = is_exact(table, REGIONS)
    query = query.limit(k) if exact else query.limit(max(DEPTH, CANDIDATES * k)).refine_factor(REFINE)
    query = parts_to_search(query, exact, where is not None)
    return records_of((query if where is None else query.where(where)).to_arrow())


def regions_index(table: Any) -> Any | None:
    """The index that the regions need; None where it does not pay."""
    _, regions = count_regions(table)
    if regions < INDEXED_FROM:
        return None
    return needed_index(regions, table.schema.field(REGIONS).type.value_type.list_size)
