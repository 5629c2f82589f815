"""A library's table as searches read it: what only a commit changes is read once for each version of the table.

LanceDB looks for commits of other processes at every read, and a search asks a dozen times for the schema, the number
of rows or the indexes: a quarter of its time. Here it looks once.
"""

from functools import cached_property
from typing import Any


class TableView:
    """A LanceDB table at one version, for reading; what is not remembered here is read from the table itself.

    Attributes:
        version: of the table.
    """

    def __init__(self, table: Any, version: int) -> None:
        self._table, self.version = table, version
        self._counts: dict[str | None, int] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)

    @cached_property
    def schema(self) -> Any:
        """The Arrow schema."""
        return self._table.schema

    @cached_property
    def _indexes(self) -> list[Any]:
        return list(self._table.list_indices())

    def list_indices(self) -> list[Any]:
        """The indexes."""
        return self._indexes

    def count_rows(self, filter: str | None = None) -> int:
        """The number of rows that match a filter."""
        if filter not in self._counts:
            self._counts[filter] = self._table.count_rows(filter)
        return self._counts[filter]

    def search(self, *args: Any, **options: Any) -> Any:
        """A query, as `lancedb.table.Table.search` makes it: that method asks its table for the schema three times."""
        return type(self._table).search(self, *args, **options)
