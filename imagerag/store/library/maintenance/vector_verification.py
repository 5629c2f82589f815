"""Verification of the vectors of images, and of what else is encoded: captions, regions, vectors of another encoder.

The length of vectors is part of the type of their column, so it is not compared.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal

from imagerag.agent.ports.embedder import UNIT
from imagerag.store.library.caption_metadata import CAPTION_VECTOR
from imagerag.store.library.region_columns import BOXES, OTHER_REGIONS, REGIONS
from imagerag.store.library.schema import OTHER_VECTOR, VECTOR

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Flags = NDArray[np.bool_]

VectorKind = Literal["vector", "caption-vector", "regions", "other-vector"]
"""Kinds of problems that are found here, as in `verification.LibraryProblem`."""

ENCODED_COLUMNS: Final = (VECTOR, CAPTION_VECTOR, REGIONS, BOXES, OTHER_VECTOR, OTHER_REGIONS)
"""Columns that are verified here."""

CLEARED: Final[Mapping[str, tuple[str, ...]]] = {
    "caption-vector": (CAPTION_VECTOR,),
    "regions": (REGIONS, BOXES, OTHER_REGIONS),
    "other-vector": (OTHER_VECTOR, OTHER_REGIONS),
}
"""Kind of a problem → the columns that are set to null for it: what is null there is encoded again."""


def vector_problems(batch: Any) -> "Iterator[tuple[VectorKind, str, Flags]]":
    """Kind and text of each problem that encoded columns may have, and which rows have it.

    Args:
        batch: Arrow record batch with all columns of the table.
    """
    names = batch.schema.names
    bad = unusable(batch.column(VECTOR))
    yield "vector", "its vector is not finite or not unit", bad
    if CAPTION_VECTOR in names:
        bad = unusable(batch.column(CAPTION_VECTOR), optional=True)
        yield "caption-vector", "the vector of its caption is not finite or not unit", bad
    if REGIONS in names and BOXES in names:
        boxes = batch.column(BOXES)
        yield "regions", "its regions have no usable boxes", _with_bad(boxes, ~_are_boxes(boxes.flatten()))
        bad = _bad_regions(batch.column(REGIONS), boxes)
        yield "regions", "its regions do not have a finite unit vector each", bad
    if OTHER_VECTOR in names:
        bad = unusable(batch.column(OTHER_VECTOR), optional=True)
        if OTHER_REGIONS in names:
            regions = batch.column(OTHER_REGIONS)
            bad |= regions.is_valid().to_numpy(zero_copy_only=False) & _bad_regions(regions, batch.column(BOXES))
        yield "other-vector", "a vector of the encoder that searches do not use is not finite or not unit", bad


def unusable(column: Any, *, optional: bool = False) -> "Flags":
    """For each vector of an Arrow array, whether it is unusable for cosines.

    Args:
        optional: a missing vector is none that is unusable.
    """
    import numpy as np

    bad = np.full(len(column), not optional)
    there = column.is_valid().to_numpy(zero_copy_only=False)
    norms = np.linalg.norm(_rows(column).astype(np.float64), axis=1)
    bad[there] = ~(np.abs(norms - 1) < UNIT)  # true for NaN
    return bad


def _bad_regions(column: Any, boxes: Any) -> "Flags":
    """For each image, whether it has not one usable vector for each box."""
    bad: Flags = _with_bad(column, unusable(column.flatten())) | (_counts(column) != _counts(boxes))
    return bad


def _are_boxes(column: Any) -> "Flags":
    """For each box of an Arrow array, whether it lies in [0, 1] and is not empty."""
    import numpy as np

    flags = np.zeros(len(column), dtype=bool)
    left, top, right, bottom = _rows(column).T
    inside = (left >= 0) & (left < right) & (right <= 1) & (top >= 0) & (top < bottom) & (bottom <= 1)
    flags[column.is_valid().to_numpy(zero_copy_only=False)] = inside
    return flags


def _with_bad(column: Any, bad: "Flags") -> "Flags":
    """For each row of an Arrow array of lists, whether one of its entries is bad."""
    import numpy as np

    counts = _counts(column)
    flags = np.zeros(len(column), dtype=bool)
    flags[np.repeat(np.arange(len(column)), counts)[bad]] = True
    return flags


def _counts(column: Any) -> "NDArray[np.int64]":
    """The length of each list of an Arrow array; 0 without one."""
    import numpy as np
    import pyarrow.compute as pc

    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
    return np.asarray(lengths, dtype=np.int64)


def _rows(column: Any) -> "NDArray[np.float32]":
    """The vectors that an Arrow array has, float32 [vectors, dimension]."""
    import numpy as np

    values = column.flatten().to_numpy(zero_copy_only=False)
    return np.asarray(values, dtype=np.float32).reshape(-1, column.type.list_size)


def dimension_of(lance: Any, name: str) -> int:
    """The length of the vectors of a column of a LanceDB table, which has one or several in a row."""
    kind = lance.schema.field(name).type
    return int(getattr(kind, "list_size", 0) or kind.value_type.list_size)
