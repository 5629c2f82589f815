"""Search of image regions: of two images that show a thing, the one where it is small is as near to its text.

The similarity of an image is the highest of three: the cosine of the whole image; that of its nearest region; and, if
the text names several things and the image has as many regions, the mean cosine of the things, each with a region of
its own. LanceDB finds the nearest regions in one multivector column; similarities are computed here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from imagerag.agent.ports import Filter
from imagerag.agent.types import Region
from imagerag.store.library.filters.filter_expressions import expression_of
from imagerag.store.library.index_candidates import ALL_PARTS, PROBES, REFINE
from imagerag.store.library.region_columns import BOXES, REGIONS, boxes_of, has_regions, records_of
from imagerag.store.library.thresholds.caption_phrases import things

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

MOST_THINGS: Final = 4
"""Things of a text beyond which it is searched only as a whole: it is a description, not a list."""

_ALL: Final = 1_000_000


@dataclass(frozen=True, eq=False)
class QueryVectors:
    """The vectors of a query.

    Attributes:
        vector: of the whole query, unit, float32 [dimension].
        things: of each thing that a text of several names, likewise; empty for one thing.
        regions: whether regions are searched. An image is compared with whole images: its threshold is measured so.
    """

    vector: "Vector"
    things: "tuple[Vector, ...]" = ()
    regions: bool = True

    def matches(self, records: Sequence[Mapping[str, Any]]) -> list[tuple[float, Region | None]]:
        """`match` of each record."""
        return [self.match(record) for record in records]

    def match(self, record: Mapping[str, Any]) -> tuple[float, Region | None]:
        """The similarity of an image in [-1, 1], and the region that gave it; None is the whole image.

        Args:
            record: the vector, and the columns of regions where the library has them.
        """
        import numpy as np

        vector = np.asarray(record["vector"], dtype=np.float32)
        found: list[tuple[float, Region | None]] = [(float(self.vector @ vector), None)]
        if self.regions and record.get(BOXES):
            boxes = boxes_of(record)
            vectors = np.asarray(record[REGIONS], dtype=np.float32)
            cosines = vectors @ self.vector
            best = int(cosines.argmax())
            found.append((float(cosines[best]), boxes[best]))
            if self.things and len(boxes) >= len(self.things):
                mean, own = _assigned(vectors @ np.stack(self.things).T)
                found.append((mean, Region.around(boxes[one] for one in own)))
        similarity, region = max(found, key=lambda one: one[0])
        return float(np.clip(similarity, -1, 1)), region


def _assigned(cosines: "NDArray[np.float32]") -> tuple[float, list[int]]:
    """The mean cosine of the things, each with a region of its own, the nearest pair first; and these regions.

    Args:
        cosines: float32 [regions, things], at least as many regions as things.
    """
    import numpy as np

    left, total, own = cosines.copy(), 0.0, list[int]()
    for _ in range(cosines.shape[1]):
        region, thing = (int(at) for at in np.unravel_index(left.argmax(), left.shape))
        total += float(left[region, thing])
        own.append(region)
        left[region, :], left[:, thing] = -np.inf, -np.inf
    return total / cosines.shape[1], own


def things_of(text: str) -> tuple[str, ...]:
    """The things that a text names, where it names several and little else; else nothing."""
    found = things(text)
    return tuple(found) if 1 < len(found) <= MOST_THINGS else ()


def nearest_regions(
    table: Any, query: QueryVectors, k: int, filter: Filter, columns: Sequence[str]
) -> list[dict[str, Any]]:
    """At least `k` images with the nearest regions to a query, and to each of its things: each once, in no order.

    Args:
        table: of a library with regions.
        columns: what is read, with those of the boxes.
    """
    found: dict[str, dict[str, Any]] = {}
    for vector, count in [(query.vector, k), *((thing, max(k, DEPTH)) for thing in query.things)]:
        found |= {record["id"]: record for record in _nearest(table, vector, count, filter, columns)}
    return [record for record in found.values() if record.get(BOXES)]


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
