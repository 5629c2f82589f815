"""The columns of a prompt file, shared by `imagerag batch` and `imagerag eval run`.

`prompt`, and any of `id`, `seed`, `initial_image` (or `image`), `subjects` (or `subject`). Filters of references:
`filter_tags`, `licences`, `filter`. Labels of a line in results, which filter nothing: `tags` (or `tag`, `category`,
`challenge`). Ground truth for evaluations: `labels`, `wrong`, `real`, `rephrased`. Several values in a cell are
separated by `|` or `;`.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Final, TextIO

from imagerag.agent.regular_files import open_regular_text
from imagerag.agent.types.filters import FilterInput
from imagerag.store.csv_rows import CsvRows, Lines, separated
from imagerag.store.text_files import is_windows_1252, open_text

SUFFIXES: Final = (".jsonl", ".ndjson", ".csv", ".tsv", ".txt")
TABLES: Final = (".csv", ".tsv")

ALIASES: Final[Mapping[str, str]] = {"image": "initial_image", "subject": "subjects", "filter_licences": "licences"}
FILTERS: Final = ("filter_tags", "licences", "filter")
TAGS: Final = ("tags", "tag", "category", "challenge")
TRUTH: Final = ("labels", "wrong", "real", "rephrased")
NOTED: Final = ("note", "include", "exclude")
"""Further columns of GenEval and PartiPrompts, stored with the results as tags."""

LABELS: Final = frozenset((*TAGS, *TRUTH, *NOTED))
"""Columns that say nothing of how a prompt is run."""

_LONGEST: Final = 2**20
"""Characters of a row: far more than any prompt that is accepted."""


def canonical_row(row: Mapping[Any, Any]) -> dict[str, Any]:
    """A row with canonical column names, in lower case; empty cells are left out."""
    cells = {str(key).strip().lower(): value for key, value in row.items() if key and value not in (None, "")}
    return {ALIASES.get(key, key) if ALIASES.get(key) not in cells else key: value for key, value in cells.items()}


def several(value: Any) -> list[Any]:
    """The values of a cell, separated by `|` or `;`, or of a list."""
    if isinstance(value, list | tuple):
        return list(value)
    return [part.strip() for part in re.split(r"[|;]", value) if part.strip()] if isinstance(value, str) else [value]


def filters(value: Any) -> FilterInput:
    """Parse a `filter` cell: an object, or filters in the filter language, separated like values."""
    if isinstance(value, Mapping):
        return value
    parts = re.split(r"""[|;](?=(?:[^"]*"[^"]*")*[^"]*$)""", value) if isinstance(value, str) else several(value)
    return [str(part).strip() for part in parts if str(part).strip()]


def table(file: IO[str], suffix: str) -> "csv.DictReader[str]":
    """The rows of a table with any cell separator.

    Raises:
        csv.Error: the text is not CSV; iterating raises it, too.
    """
    separator, lines = separated(_from_mark(Lines(file, _LONGEST)), suffix)
    rows = csv.DictReader(file, delimiter=separator)
    rows.reader = CsvRows(lines, separator, _LONGEST)  # type: ignore[assignment]
    return rows


def open_prompts(file: Path, newline: str = "") -> TextIO:
    """Open a prompt file. A table may be in another encoding than UTF-8, as Excel writes it.

    Raises:
        OSError, ValueError: it cannot be read, or is no text.
    """
    if file.suffix.lower() in TABLES:
        return open_text(file, newline=newline)
    return open_regular_text(file, encoding="utf-8-sig", newline=newline)


def encoding_note(file: Path) -> str:
    """Warning where the encoding of a table is a guess; else empty.

    Raises:
        OSError: it cannot be read.
    """
    if file.suffix.lower() not in TABLES or not is_windows_1252(file):
        return ""
    return f"{file.name} is not UTF-8 and is read as Windows-1252: where letters are wrong, save it as UTF-8"


def label_note(columns: Iterable[str]) -> str:
    """Warning where a file's labels could be mistaken for filters; empty where it has none."""
    labels = [name for name in TAGS if name in columns]
    if not labels:
        return ""
    return f"the column {labels[0]!r} labels prompts and filters nothing: to filter references, call it filter_tags"


def _from_mark(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        yield line.removeprefix("\ufeff")
