"""Rows of CSV text in which no quote swallows the lines after it."""

import csv
from collections.abc import Iterable, Iterator
from typing import Final

_NO_END: Final = "a quote that begins there is not closed where its cell ends: close or remove it"


class CsvRows:
    """`csv.reader`, but a row of several lines has to be CSV to the letter: of a cell whose quote is not closed the
    lines that follow would be the text.

    Raises `csv.Error`, and goes on behind these lines.
    """

    def __init__(self, lines: Iterable[str], separator: str) -> None:
        self._separator = separator
        self._read: list[str] = []
        self._rows = csv.reader(self._noted(lines), delimiter=separator)

    @property
    def line_num(self) -> int:
        """Lines that were read."""
        return self._rows.line_num

    def __iter__(self) -> "CsvRows":
        return self

    def __next__(self) -> list[str]:
        self._read.clear()
        row = next(self._rows)
        if (lines := len(self._read)) > 1:
            try:
                list(csv.reader(self._read, delimiter=self._separator, strict=True))
            except csv.Error:
                first = self.line_num - lines + 1
                raise csv.Error(f"lines {first} to {self.line_num} are one row, as {_NO_END}") from None
        return row

    def _noted(self, lines: Iterable[str]) -> Iterator[str]:
        for line in lines:
            self._read.append(line)
            yield line
