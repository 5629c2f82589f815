"""CSV reader in which an unclosed quote does not swallow the following lines."""

import csv
from collections.abc import Iterable
from typing import Final

_NO_END: Final = "a quote that begins there is not closed where its cell ends: close or remove it"


class _Noted:
    """Lines, recorded as they are read. Not a generator, because a generator that raises is exhausted."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self.read: list[str] = []

    def __iter__(self) -> "_Noted":
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.read.append(line)
        return line


class CsvRows:
    """Like `csv.reader`, but rows over several lines must be strictly valid CSV: otherwise the lines after an unclosed
    quote would become part of the cell.

    Iterating raises `csv.Error` for such a row and can continue after it.
    """

    def __init__(self, lines: Iterable[str], separator: str) -> None:
        self._separator = separator
        self._noted = _Noted(lines)
        self._rows = csv.reader(self._noted, delimiter=separator)

    @property
    def line_num(self) -> int:
        """Number of lines read."""
        return self._rows.line_num

    def __iter__(self) -> "CsvRows":
        return self

    def __next__(self) -> list[str]:
        self._noted.read.clear()
        row = next(self._rows)
        if (lines := len(self._noted.read)) > 1:
            try:
                list(csv.reader(self._noted.read, delimiter=self._separator, strict=True))
            except csv.Error:
                first = self.line_num - lines + 1
                raise csv.Error(f"lines {first} to {self.line_num} are one row, as {_NO_END}") from None
        return row
