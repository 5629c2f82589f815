"""Files of the images that searches of this process found last.

Whoever searches reads the bytes of some results next. Their rows say where these are, and asking for rows by id takes
as long as the search itself; the search can read that column along with the others.
"""

import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from imagerag.store.library import schema as form

FILES: Final = "files"
MOST: Final = 1_000
"""Records that are kept."""


class RecentRecords:
    """Image id → record that `LibraryTable.bytes_of` needs, as long as the table does not change. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._version: int | None = None
        self._records: dict[str, Mapping[str, Any]] = {}

    @staticmethod
    def columns(names: Collection[str]) -> list[str]:
        """Of a table's columns those that a search reads for it: none if the rows hold the bytes of their images."""
        return [FILES] if FILES in names and form.IMAGE_COLUMN not in names else []

    def keep(self, version: int, records: Iterable[Mapping[str, Any]]) -> None:
        """Keep the files of these records, which were read from this version of the table or a later one."""
        with self._lock:
            if version != self._version:
                self._version, self._records = version, {}
            for record in records:
                if FILES in record:
                    self._records.pop(record["id"], None)
                    self._records[record["id"]] = {FILES: record[FILES]}
            while len(self._records) > MOST:
                del self._records[next(iter(self._records))]

    def of(self, version: int, ids: Sequence[str]) -> dict[str, Mapping[str, Any]] | None:
        """The records of all these images; None if one is not known of this version of the table."""
        with self._lock:
            if version != self._version or not all(one in self._records for one in ids):
                return None
            return {one: self._records[one] for one in ids}
