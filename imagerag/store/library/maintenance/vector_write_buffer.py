"""Vectors of the encoder that a library is migrated to, collected until a commit of them pays."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from imagerag.agent.errors import LibraryError
from imagerag.store.library.region_columns import OTHER_REGIONS
from imagerag.store.library.schema import OTHER_VECTOR, present
from imagerag.store.library.table import LibraryTable
from imagerag.store.library.table_columns import merge_rows

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

LARGEST: Final = 64 * 2**20
"""Bytes of vectors from which on they are written."""

PATIENCE: Final = 10
"""How many times as long as the last commit took they are collected before the next one.

A commit writes the new vectors of whole fragments, gigabytes in a large library. What is collected is lost when the
process is killed."""


class VectorWriteBuffer:
    """Collects the vectors of images and of their regions, and writes them into the columns of the other encoder.

    Args:
        table: a library that has these columns.
    """

    def __init__(self, table: LibraryTable) -> None:
        self._table = table
        self._vectors: dict[str, Vectors] = {}
        self._regions: dict[str, Vectors] = {}
        self._bytes, self._written, self._commit_took = 0, time.monotonic(), 0.0

    @property
    def is_due(self) -> bool:
        """Whether it is time to write."""
        return self._bytes >= LARGEST or time.monotonic() - self._written >= PATIENCE * self._commit_took

    def add(self, vectors: "Mapping[str, Vectors]", regions: "Mapping[str, Vectors]") -> None:
        """Collect vectors of images and of the regions of some of them, by id: unit, float32 [dimension] and
        [regions, dimension]."""
        self._vectors |= vectors
        self._regions |= {one: regions[one] for one in vectors if one in regions}
        self._bytes += sum(one.nbytes for part in (vectors, regions) for one in part.values())

    async def flush(self) -> None:
        """Write what is collected in one commit.

        Raises:
            LibraryError: the columns were dropped meanwhile.
        """
        if not self._vectors:
            return
        began = time.monotonic()
        await self._table.write(self._write)
        self._vectors, self._regions, self._bytes = {}, {}, 0
        self._written = time.monotonic()
        self._commit_took = self._written - began

    def _write(self) -> None:
        import pyarrow as pa

        lance, regions = self._table.lance, self._regions
        if OTHER_VECTOR not in lance.schema.names:
            raise LibraryError(f"the migration of library {self._table.name!r} was cancelled meanwhile")
        names = ["id", OTHER_VECTOR, *present(lance, [OTHER_REGIONS])]
        records = [
            {"id": one, OTHER_VECTOR: vector, OTHER_REGIONS: [*regions[one]] if one in regions else None}
            for one, vector in self._vectors.items()
        ]
        merge_rows(lance, pa.Table.from_pylist(records, schema=pa.schema([lance.schema.field(name) for name in names])))
