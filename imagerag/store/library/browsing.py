"""Pages of a library's images in an order, and what its filters can ask for. The encoder is not needed."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, Literal

from imagerag.agent.errors import UsageError
from imagerag.agent.ports import Filter
from imagerag.agent.types.filters.conditions import as_typed
from imagerag.formatting.messages import unknown
from imagerag.store.data_dir import DataDir
from imagerag.store.library import schema as form
from imagerag.store.library.database import current_name, open_current
from imagerag.store.library.filters import filter_checks
from imagerag.store.library.filters.facets import text_of
from imagerag.store.library.filters.filter_expressions import matching
from imagerag.store.library.schema import ImageRecord
from imagerag.store.library.table import LibraryTable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Order = Literal["newest", "oldest", "taken"]

COLUMN_OF: Final[dict[Order, tuple[str, str]]] = {
    "newest": ("created", "descending"),
    "oldest": ("created", "ascending"),
    "taken": ("taken", "descending"),
}
"""Column and direction of each order. Images without a value come last, equal ones in the order of their rows."""

KNOWN: Final = 8
"""Orders that are remembered: 8 bytes an image each."""


@dataclass(frozen=True)
class ImagePage:
    """Some images of a library, in an order.

    Attributes:
        library: its current name.
        total: images that match, on all pages.
        offset: of the first one among them.
    """

    library: str
    records: list[ImageRecord]
    total: int
    offset: int


@dataclass
class Browser:
    """Reads pages of the libraries of a home. Any number of tasks and threads may call it.

    The order of a version of a library is read once, and then a page is one query of as many rows as it shows.
    """

    home: DataDir
    _orders: "OrderedDict[tuple[Any, ...], NDArray[np.uint64]]" = field(default_factory=OrderedDict, repr=False)
    _lock: Lock = field(default_factory=Lock, repr=False)

    async def table(self, library: str) -> LibraryTable:
        """The table of a library, by its name or an earlier one, or of a snapshot.

        Raises:
            UnknownLibraryError: there is none of that name.
            LibraryDamagedError: its files cannot be read.
        """
        return await asyncio.to_thread(self._table, library)

    def _table(self, library: str) -> LibraryTable:
        name = current_name(self.home, library)
        return LibraryTable(self.home, name, open_current(self.home, name))

    async def page(self, library: str, *, filter: Filter, order: Order, offset: int, limit: int) -> ImagePage:
        """At most `limit` images from the `offset`th one on.

        Raises:
            UnknownLibraryError, LibraryDamagedError: as `table`.
            FilterError: the filter asks for what the library does not know.
            UsageError: there is no such order.
        """
        if order not in COLUMN_OF:
            raise UsageError(unknown("order", str(order), COLUMN_OF))
        opened = await self.table(library)

        def work() -> ImagePage:
            filter_checks.check_filter(opened.lance, filter)
            ordered = self._ordered(opened, filter, order)
            wanted = ordered[offset : offset + limit].tolist()
            return ImagePage(opened.name, _records(opened.lance, wanted), len(ordered), offset)

        return await opened.read(work)

    async def no_match(self, library: str, filter: Filter) -> str:
        """Why a filter leaves nothing, with values that there are; empty where it leaves something."""
        opened = await self.table(library)
        return await opened.read(lambda: filter_checks.explain_filter(opened.lance, filter))

    async def record(self, library: str, sha256: str) -> ImageRecord | None:
        """What a library knows of an image; None when it does not hold it."""
        opened = await self.table(library)
        return next(iter(await opened.rows([sha256])), None)

    async def image_bytes(self, library: str, sha256: str) -> bytes:
        """The bytes of an image.

        Raises:
            BlobError: it is not there, or its file is gone or was changed; the message says which and what to do.
        """
        opened = await self.table(library)
        return await opened.read(lambda: opened.image_bytes(sha256))

    async def filter_keys(self, library: str) -> "list[FilterKey]":
        """The keys and values that filters of a library can ask for."""
        opened = await self.table(library)
        return await opened.read(lambda: _filter_keys(opened.lance))

    def _ordered(self, opened: LibraryTable, filter: Filter, order: Order) -> "NDArray[np.uint64]":
        """The row ids of all images that match, in their order."""
        # One that was deleted and made again has the same folder, and often a version of the same number.
        made = opened.folder.stat()
        key = (opened.folder, made.st_ino, made.st_mtime_ns, opened.lance.version, filter, order)
        with self._lock:
            if key in self._orders:
                self._orders.move_to_end(key)
                return self._orders[key]
        ordered = _row_ids(opened.lance, filter, order)
        with self._lock:
            self._orders[key] = ordered
            while len(self._orders) > KNOWN:
                self._orders.popitem(last=False)
        return ordered


def _row_ids(table: Any, filter: Filter, order: Order) -> "NDArray[np.uint64]":
    import numpy as np
    import pyarrow.compute as pc

    column, direction = COLUMN_OF[order]
    rows = matching(table, filter).select([column]).with_row_id(True).to_arrow()
    ascending = "descending" if order == "newest" else "ascending"
    keys = [(column, direction, "at_end"), ("_rowid", ascending, "at_end")]
    places = pc.sort_indices(rows, sort_keys=keys)
    return np.asarray(rows["_rowid"].take(places).combine_chunks().to_numpy(zero_copy_only=False), dtype=np.uint64)


def _records(table: Any, row_ids: Sequence[int]) -> list[ImageRecord]:
    """The records of rows, in the order of their ids; those that are gone are left out."""
    if not row_ids:
        return []
    rows = table.take_row_ids(list(row_ids)).select([*form.row_columns(table), "_rowid"]).to_arrow().to_pylist()
    by_id = {record["_rowid"]: form.from_record(record) for record in rows}
    return [by_id[one] for one in row_ids if one in by_id]


@dataclass(frozen=True)
class FilterKey:
    """A key that a filter of a library can ask for.

    Attributes:
        key: as it is written.
        kinds: kinds of its values: "text", "number", "flag", "time", "tags".
        values: the most frequent ones as they are written in a filter, quoted where they have to be.
    """

    key: str
    kinds: tuple[str, ...]
    values: tuple[str, ...]


SUGGESTED: Final = 40
"""Values of a key that are suggested."""

_WITHOUT_VALUES: Final = ("id", "caption", "title", "description", "ocr", "source")
"""Keys whose values nobody picks from a list."""


def _filter_keys(table: Any) -> list[FilterKey]:
    if not table.count_rows():
        return []
    held = filter_checks.HeldValues(table)
    keys = []
    for key in held:
        counts = {} if key in _WITHOUT_VALUES else held.counted(key)
        if not counts and key not in _WITHOUT_VALUES:
            continue
        counted = [one for of_kind in counts.values() for one in of_kind.most_frequent.items()]
        ranked = sorted(counted, key=lambda one: (-one[1], str(one[0])))[:SUGGESTED]
        values = tuple(dict.fromkeys(_filter_value(value) for value, _ in ranked))
        keys.append(
            FilterKey("tag" if key == "tags" else key, tuple(str(one.value) for one in held.kinds(key)), values)
        )
    return keys


def _filter_value(value: Any) -> str:
    """A value as a filter writes it."""
    return as_typed(f"{value:%Y-%m-%d}" if isinstance(value, datetime) else text_of(value))
