"""CSV reader in which an unclosed quote does not swallow the following lines, and a row has a largest size."""

import csv
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import IO, Final

from imagerag.store.text_files import separator_of

_NO_END: Final = "a quote that begins there is not closed where its cell ends: close or remove it"
_PART: Final = 2**16


class Lines:
    """The lines of a text. One longer than `longest` characters is passed over: iterating raises `csv.Error` for it and
    can continue after it."""

    def __init__(self, text: IO[str], longest: int) -> None:
        self._text, self._longest = text, longest

    def __iter__(self) -> "Lines":
        return self

    def __next__(self) -> str:
        line = self._text.readline(self._longest)
        if not line:
            raise StopIteration
        if len(line) == self._longest and not line.endswith("\n"):
            while (rest := self._text.readline(_PART)) and not rest.endswith("\n"):
                pass
            raise csv.Error(f"it is longer than {_size_text(self._longest)}")
        return line


def separated(lines: Iterator[str], suffix: str) -> tuple[str, Iterator[str]]:
    """The cell separator, by the first line with content, and the lines of the table without Excel's `sep=` line."""
    first = next(lines, "")
    if first.lower().startswith("sep=") and len(first.rstrip("\r\n")) == 5:
        return first[4], lines
    beginning = [first] if first else []
    while beginning and not beginning[-1].strip() and (line := next(lines, "")):
        beginning.append(line)
    return separator_of("".join(beginning).strip("\r\n"), suffix), chain(beginning, lines)


class _RowTooLong(csv.Error):
    """The lines of a row have more characters than any row may have."""


class _Noted:
    """Lines, recorded as they are read. Not a generator, because a generator that raises is exhausted."""

    def __init__(self, lines: Iterable[str], longest: int) -> None:
        self._lines, self._longest = iter(lines), longest
        self.count = 0
        self.begin()

    def begin(self) -> None:
        """Forget the lines of the row before."""
        self.read: list[str] = []
        self._size = 0

    def __iter__(self) -> "_Noted":
        return self

    def __next__(self) -> str:
        line = self._next()
        self.read.append(line)
        self._size += len(line)
        if self._size > self._longest:
            raise _RowTooLong
        return line

    def _next(self) -> str:
        try:
            line = next(self._lines)
        except csv.Error:  # it was passed over
            self.count += 1
            raise
        self.count += 1
        return line

    def pass_over(self) -> None:
        """Read on to the end of a row within a quoted cell, and keep nothing of it."""
        is_quoted = sum(line.count('"') for line in self.read) % 2
        self.begin()
        while is_quoted:
            try:
                is_quoted ^= self._next().count('"') % 2
            except csv.Error:
                continue
            except StopIteration:
                return


class CsvRows:
    """Like `csv.reader`, but rows over several lines must be strictly valid CSV: otherwise the lines after an unclosed
    quote would become part of the cell.

    Spaces at the beginning of a cell do not count: a quote may follow them. Iterating raises `csv.Error` for such a
    row, and for one of more than `longest` characters, and can continue after it.
    """

    def __init__(self, lines: Iterable[str], separator: str, longest: int) -> None:
        self._separator, self._longest = separator, longest
        self._noted = _Noted(lines, longest)
        self._rows = csv.reader(self._noted, delimiter=separator, skipinitialspace=True)

    @property
    def line_num(self) -> int:
        """Number of lines read."""
        return self._noted.count

    def __iter__(self) -> "CsvRows":
        return self

    def __next__(self) -> list[str]:
        before = self.line_num
        self._noted.begin()
        try:
            row = next(self._rows)
        except _RowTooLong:
            self._noted.pass_over()
            why = f"which is more than {_size_text(self._longest)}: close the quote that begins there, or split the row"
            raise csv.Error(f"lines {before + 1} to {self.line_num} are one row, {why}") from None
        if len(self._noted.read) > 1:
            try:
                list(csv.reader(self._noted.read, delimiter=self._separator, skipinitialspace=True, strict=True))
            except csv.Error:
                raise csv.Error(f"lines {before + 1} to {self.line_num} are one row, as {_NO_END}") from None
        return row


def _size_text(characters: int) -> str:
    """A limit as it is written in a message."""
    return f"{characters >> 20} MB" if characters >= 2**20 else f"{characters:,} characters"
