"""The vectors of another encoder beside those that a library is searched with: write them, and exchange both."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from imagerag.agent.errors import LibraryError
from imagerag.store.library.region_columns import OTHER_REGIONS, REGIONS
from imagerag.store.library.schema import OTHER_VECTOR, VECTOR, present
from imagerag.store.library.table import LibraryTable
from imagerag.store.library.table_columns import merge_rows

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]
    ImageVectors = tuple[Vectors, Vectors | None]
    """Of an image, float32 [dimension], and of its regions, float32 [regions, dimension]."""


def size_of(vectors: "ImageVectors") -> int:
    """Bytes of the vectors of an image."""
    return sum(one.nbytes for one in vectors if one is not None)


def write_vectors(table: LibraryTable, vectors: "Mapping[str, ImageVectors]") -> None:
    """Write vectors of the other encoder into the rows of images, by id. The caller holds `writing`.

    Raises:
        LibraryError: the columns were dropped meanwhile.
    """
    import numpy as np
    import pyarrow as pa

    lance = table.lance
    if OTHER_VECTOR not in lance.schema.names:
        raise LibraryError(f"the migration of library {table.name!r} was cancelled meanwhile")
    schema = pa.schema([lance.schema.field(name) for name in ("id", OTHER_VECTOR, *present(lance, [OTHER_REGIONS]))])
    flat = pa.array(np.concatenate([vector for vector, _ in vectors.values()]))
    columns = {
        "id": [*vectors],
        OTHER_VECTOR: pa.FixedSizeListArray.from_arrays(flat, schema.field(OTHER_VECTOR).type.list_size),
        OTHER_REGIONS: [None if regions is None else [*regions] for _, regions in vectors.values()],
    }
    merge_rows(lance, pa.table({name: columns[name] for name in schema.names}, schema=schema))


def exchange_vectors(table: LibraryTable) -> None:
    """Search the library with the other encoder's vectors from now on, in one commit."""
    lance = table.lance
    with table.writing_alone():
        for index in lance.list_indices():  # an index stays with its column, but is found by its name
            if set(index.columns) & {VECTOR, OTHER_VECTOR, REGIONS, OTHER_REGIONS}:
                lance.drop_index(index.name)
        pairs = [(VECTOR, OTHER_VECTOR), *([(REGIONS, OTHER_REGIONS)] if present(lance, [OTHER_REGIONS]) else [])]
        lance.alter_columns(*(
            {"path": old, "rename": new} for pair in pairs for old, new in (pair, pair[::-1])
        ))  # fmt: skip
