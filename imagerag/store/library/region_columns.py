"""Columns of a library's image regions: their boxes, and a vector for each, in the row of their image.

Only a library that was indexed with regions has the columns. A row without a value has not been looked at yet; an empty
list is an image that has no regions, because one thing fills it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from imagerag.agent.types import Region

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
        vectors: unit, float32 [regions, dimension].
    """

    boxes: tuple[Region, ...]
    vectors: "NDArray[np.float32]"


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


def to_regions_table(found: Mapping[str, EncodedRegions], table_schema: Any) -> Any:
    """Arrow table of ids and the regions of each image."""
    return _table(
        {one: {REGIONS: [*own.vectors], BOXES: [box.shares for box in own.boxes]} for one, own in found.items()},
        REGION_COLUMNS,
        table_schema,
    )


def to_other_regions_table(found: "Mapping[str, NDArray[np.float32]]", table_schema: Any) -> Any:
    """Arrow table of ids and vectors of the regions that are known, by another encoder."""
    return _table({one: {OTHER_REGIONS: [*own]} for one, own in found.items()}, (OTHER_REGIONS,), table_schema)


def _table(records: Mapping[str, Mapping[str, Any]], names: Sequence[str], table_schema: Any) -> Any:
    import pyarrow as pa

    fields = pa.schema([table_schema.field(name) for name in ("id", *names)])
    return pa.Table.from_pylist([{"id": one, **record} for one, record in records.items()], schema=fields)


def boxes_of(record: Mapping[str, Any]) -> tuple[Region, ...]:
    """The boxes in a record with that column."""
    return tuple(map(Region.of_shares, record.get(BOXES) or ()))


def region_vectors_of(record: Mapping[str, Any]) -> "NDArray[np.float32] | None":
    """The vectors in a record with that column, float32 [regions, dimension]; None where it has none."""
    import numpy as np

    vectors = record.get(REGIONS)
    return np.asarray(vectors, dtype=np.float32) if vectors else None
