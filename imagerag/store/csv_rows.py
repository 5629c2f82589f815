"""Rows of CSV text in which no quote swallows the lines after it."""

import csv
from collections.abc import Iterable
from typing import Final

_NO_END: Final = "a quote that begins there is not closed where its cell ends: close or remove it"


class _Noted:
    """Lines, which are noted as they are read; no generator, as one that raises would be at its end."""

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
    """`csv.reader`, but a row of several lines has to be CSV to the letter: of a cell whose quote is not closed the
    lines that follow would be the text.

    Raises `csv.Error`, and goes on behind these lines.
    """

    def __init__(self, lines: Iterable[str], separator: str) -> None:
        self._separator = separator
        self._noted = _Noted(lines)
        self._rows = csv.reader(self._noted, delimiter=separator)

    @property
    def line_num(self) -> int:
        """Lines that were read."""
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
