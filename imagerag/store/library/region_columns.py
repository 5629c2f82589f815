"""Columns of a library's image regions: their boxes, and a vector for each, in the row of their image.

Only a library that was indexed with regions has the columns. A row without a value has not been looked at yet; an empty
list is an image that has no regions, because one thing fills it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from imagerag.agent.images.regions import are_separate
from imagerag.agent.types import Region
from imagerag.store.library.schema import OTHER_VECTOR, VECTOR, array_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

REGIONS: Final = "regions"
"""The vectors: a LanceDB multivector, of which a search finds the nearest one."""

OTHER_REGIONS: Final = "regions_other"
"""Those of the encoder that the library is migrated to, or was migrated from, as `schema.OTHER_VECTOR`."""

BOXES: Final = "region_boxes"
"""The boxes, in the same order: shares of width and height, whatever the encoder."""

REGION_COLUMNS: Final = (REGIONS, BOXES)


@dataclass(frozen=True, eq=False)
class EncodedRegions:
    """The regions of one image.

    Attributes:
        vectors: of each, unit, float32 [dimension].
    """

    boxes: tuple[Region, ...]
    vectors: "Sequence[NDArray[np.float32]]"


@dataclass(frozen=True, eq=False)
class RegionPart:
    """The regions of some rows.

    Attributes:
        rows: the row of each region, ascending.
        vectors: of each region, unit, float32 [regions, dimension].
    """

    rows: "NDArray[np.intp]"
    vectors: "NDArray[np.float32]"

    @classmethod
    def of(cls, column: Any) -> "RegionPart":
        """Read an Arrow column of lists of vectors; a row without a value has no regions."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        whole = pa.concat_arrays(column.chunks) if isinstance(column, pa.ChunkedArray) else column
        counts = pc.fill_null(pc.list_value_length(whole), 0).to_numpy(zero_copy_only=False).astype(np.intp)
        values = whole.flatten().flatten().to_numpy(zero_copy_only=False)
        dimension = column.type.value_type.list_size
        return cls(np.repeat(np.arange(len(counts)), counts), np.asarray(values, np.float32).reshape(-1, dimension))

    def starts_and_counts(self) -> "tuple[NDArray[np.intp], NDArray[np.intp]]":
        """For each row with regions the place of its first one, and their number."""
        import numpy as np

        starts = np.flatnonzero(np.diff(self.rows, prepend=-1))
        return starts, np.diff(starts, append=len(self.rows))

    def only(self, mask: "NDArray[np.bool_]") -> "RegionPart":
        """The regions of the rows that are kept, which are numbered anew."""
        import numpy as np

        there = mask[self.rows]
        return RegionPart((np.cumsum(mask) - 1)[self.rows[there]], self.vectors[there])


def records_of(table: Any) -> list[dict[str, Any]]:
    """The rows of an Arrow table as records, in which vectors stay float32 arrays: as lists of numbers they take 20
    times as long."""
    import numpy as np

    arrays: dict[str, Any] = {}
    if VECTOR in table.column_names:
        arrays[VECTOR] = array_of(table[VECTOR])
    if REGIONS in table.column_names:
        part = RegionPart.of(table[REGIONS].combine_chunks())
        ends = np.searchsorted(part.rows, np.arange(table.num_rows), side="right")
        arrays[REGIONS] = np.split(part.vectors, ends)[:-1]
    records: list[dict[str, Any]] = table.drop_columns([*arrays]).to_pylist()
    for name, values in arrays.items():
        for record, value in zip(records, values, strict=True):
            record[name] = value
    return records


def image_similarity(whole: Any, nearest: Any, count: Any) -> Any:
    """The similarity of an image with regions and a text: the highest of the whole image and its nearest region.

    The vector of an image of separate things is a mixture: that of a dotted diamond and a dotted square may be as near
    to "a dotted drop" as a drop's. So it counts there only as far as a region confirms it, by the mean of both.

    Args:
        whole: cosine of the whole image, one or an array; `nearest`: of its nearest region, likewise.
        count: the number of its regions.
    """
    import numpy as np

    return np.maximum(nearest, np.where(are_separate(count), (whole + nearest) / 2, whole))


def best_cosines(
    vectors: "NDArray[np.float32]", regions: RegionPart | None, texts: "NDArray[np.float32]"
) -> "NDArray[np.float32]":
    """The similarity of each row and each text, float32 [rows, texts]: `image_similarity` for rows with regions.

    Args:
        vectors: of the whole images, unit, float32 [rows, dimension].
        texts: unit, float32 [texts, dimension].
    """
    import numpy as np

    cosines: NDArray[np.float32] = vectors @ texts.T
    if regions is not None and len(regions.rows):
        starts, counts = regions.starts_and_counts()
        best = np.maximum.reduceat(regions.vectors @ texts.T, starts, axis=0)
        rows = regions.rows[starts]
        cosines[rows] = image_similarity(cosines[rows], best, counts[:, None])
    return cosines


def assigned(cosines: "NDArray[np.float32]") -> tuple[float, list[int]]:
    """The mean cosine of the things, each with a region of its own, the nearest pair first; and these regions.

    Args:
        cosines: float32 [regions, things], at least as many regions as things.
    """
    import numpy as np

    remaining, total, own = cosines.copy(), 0.0, list[int]()
    for _ in range(cosines.shape[1]):
        region, thing = (int(at) for at in np.unravel_index(remaining.argmax(), remaining.shape))
        total += float(remaining[region, thing])
        own.append(region)
        remaining[region, :], remaining[:, thing] = -np.inf, -np.inf
    return total / cosines.shape[1], own


def images_with_regions(table: Any) -> int:
    """The number of images whose regions are encoded, those with none among them."""
    return int(table.count_rows(f"{BOXES} IS NOT NULL")) if has_regions(table) else 0


def count_regions(table: Any) -> tuple[int, int]:
    """The number of images whose regions are encoded, those with none among them, and of their regions."""
    import pyarrow.compute as pc

    if not has_regions(table):
        return 0, 0
    boxes = table.search().where(f"{BOXES} IS NOT NULL").select({"count": f"array_length({BOXES})"}).to_arrow()
    return boxes.num_rows, pc.sum(boxes["count"]).as_py() or 0  # LanceDB's length of an empty list may be null


def regions_beside(table: Any, vector: str) -> list[str]:
    """The column of regions that belongs to a column of vectors, where the table has one; captions have none."""
    name = {VECTOR: REGIONS, OTHER_VECTOR: OTHER_REGIONS}.get(vector, "")
    return [name] if name in table.schema.names else []


def region_fields(dimension: int) -> list[Any]:
    """The fields of `REGION_COLUMNS`."""
    import pyarrow as pa

    return [vectors_field(REGIONS, dimension), pa.field(BOXES, pa.list_(pa.list_(pa.float32(), 4)))]


def vectors_field(name: str, dimension: int) -> Any:
    """The field of vectors of regions, under a name."""
    import pyarrow as pa

    return pa.field(name, pa.list_(pa.list_(pa.float32(), dimension)))


def has_regions(table: Any) -> bool:
    """Whether the table of a library has the columns."""
    return set(REGION_COLUMNS) <= set(table.schema.names)


def to_regions_table(regions: Mapping[str, EncodedRegions], table_schema: Any) -> Any:
    """Arrow table of ids and the regions of each image."""
    import pyarrow as pa

    records = [
        {"id": one, REGIONS: [*own.vectors], BOXES: [box.shares for box in own.boxes]} for one, own in regions.items()
    ]
    fields = pa.schema([table_schema.field(name) for name in ("id", *REGION_COLUMNS)])
    return pa.Table.from_pylist(records, schema=fields)


def boxes_of(record: Mapping[str, Any]) -> tuple[Region, ...]:
    """The boxes in a record with that column."""
    return tuple(map(Region.of_shares, record.get(BOXES) or ()))
