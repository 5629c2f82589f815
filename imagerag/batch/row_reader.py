"""The input of a batch: one line, one run. JSON lines, a table with a header, or plain text with a prompt on each line.

The columns of a file are those of `imagerag.evals.suites.prompt_columns`, and the options of `ImageRAG.generate`; what
only labels a prompt is passed over. Objects of a program's own are options as `generate` takes them.

Files are read line by line, so a batch may be as long as one likes; a line that cannot be read is told, not raised.
"""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Final

from imagerag.agent.errors import UsageError
from imagerag.agent.regular_files import open_regular
from imagerag.batch.input_row import InputRow, default_id, parse_row, row_hash
from imagerag.evals.suites.prompt_columns import (
    LABELS,
    SUFFIXES,
    TABLES,
    canonical_row,
    encoding_note,
    filters,
    label_note,
    open_prompts,
    several,
    table,
)
from imagerag.store.path_policy import PathPolicy

Source = str | Path | Iterable[str | Mapping[str, Any]]
"""Source of lines: a file, or prompts and mappings."""

_LONGEST: Final = 1_000_000
"""Bytes of a line; far more than any prompt that is accepted."""
_LISTS: Final = ("subjects", "filter_tags", "licences")


def read_rows(source: Source, *, allow_outside: bool = False) -> Iterator[InputRow]:
    """The lines of a batch, one after the other.

    Args:
        source: a file (`.jsonl`, `.csv` or `.txt`), or prompts and objects of one's own.
        allow_outside: a file may name images outside of its folder.

    Raises:
        UsageError: no such file, or not of a kind that is known; an id that comes twice.
    """
    if isinstance(source, str | Path):
        path = Path(source).expanduser()
        rows = _of_file(path, PathPolicy(path.parent, allow_outside=allow_outside))
    else:
        rows = _of_values(source)
    first_rows: dict[str, tuple[int, str]] = {}
    for item in rows:
        # Files are named by ids, and not every file system tells upper from lower case.
        first, first_id = first_rows.setdefault(item.id.casefold(), (item.index, item.id))
        if first != item.index:
            case = "" if first_id == item.id else f" but for upper and lower case ({first_id!r})"
            raise UsageError(f"lines {first} and {item.index} have the same id, {item.id!r}{case}: give each its own")
        yield item


def notes(source: str | Path) -> list[str]:
    """Notes on columns that have no effect here."""
    path = Path(source).expanduser()
    try:
        guess = encoding_note(path)
        with open_prompts(path) as file:
            if path.suffix.lower() in TABLES:
                columns = set(canonical_row(dict.fromkeys(table(file, path.suffix.lower()).fieldnames or (), "here")))
            else:
                row = json.loads(file.readline(_LONGEST) or "0") if path.suffix.lower() != ".txt" else 0
                columns = set(canonical_row(row)) if isinstance(row, dict) else set()
    except (OSError, ValueError, RecursionError, csv.Error):
        return []  # the batch tells it, line by line
    return [note for note in (guess, label_note(columns)) if note]


def _of_values(values: Iterable[str | Mapping[str, Any]]) -> Iterator[InputRow]:
    for index, value in enumerate(values, start=1):
        yield parse_row(index, value, PathPolicy(Path(), allow_outside=True))


def _of_file(path: Path, files: PathPolicy) -> Iterator[InputRow]:
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(f"{path} is no batch: its name has to end in {', '.join(SUFFIXES)}")
    try:
        if suffix in TABLES:
            yield from _of_csv(path, files)
            return
        with open_regular(path) as file:
            yield from _of_lines(file, files, suffix == ".txt")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error


def _of_lines(file: IO[bytes], files: PathPolicy, plain: bool) -> Iterator[InputRow]:
    for index, line in enumerate(_lines(file), start=1):
        text, problem = _decoded(line)
        if problem:
            yield InputRow(index, default_id(index), problem=problem, raw=row_hash(line.hex()))
        elif text and plain:
            yield parse_row(index, text, files)
        elif text:
            yield _of_json(index, text, files)


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    """Lines; of one that is too long, its beginning."""
    while line := file.readline(_LONGEST + 1):
        rest = line
        while len(rest) > _LONGEST and not rest.endswith(b"\n"):
            rest = file.readline(_LONGEST + 1)
        yield line


def _decoded(line: bytes) -> tuple[str, str]:
    if len(line) > _LONGEST:
        return "", f"it is longer than {_LONGEST:,} bytes"
    try:
        return line.decode("utf-8-sig").strip(), ""
    except UnicodeDecodeError as error:
        return "", f"it is not UTF-8 text ({error.reason} at byte {error.start + 1})"


def _of_json(index: int, text: str, files: PathPolicy) -> InputRow:
    try:
        value = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        return InputRow(index, default_id(index), problem=f"it is not JSON: {error}", raw=text)
    return parse_row(index, _of_object(value) if isinstance(value, dict) else value, files)


def _of_object(value: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a JSON object. A filter that is a text may be several, as in the cell of a table."""
    row = canonical_row(value)
    if isinstance(row.get("filter"), str) and len(several_filters := list(filters(row["filter"]))) > 1:
        row["filter"] = several_filters
    return _options(row)


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no number")


def _of_csv(path: Path, files: PathPolicy) -> Iterator[InputRow]:
    try:
        text = open_prompts(path)
    except ValueError as error:
        raise UsageError(f"cannot read {path}: {error}") from error
    with text:
        try:
            rows = table(text, path.suffix.lower())
        except csv.Error as error:
            raise UsageError(f"{path}, line 1, is not CSV: {error}") from error
        try:
            if "prompt" not in canonical_row(dict.fromkeys(rows.fieldnames or (), "here")):
                raise UsageError(f"{path} has no column 'prompt' in its first row")
            yield from _of_rows(rows, files)
        except csv.Error as error:
            raise UsageError(f"{path}, line {rows.line_num}, is not CSV: {error}") from error


def _of_rows(rows: Iterable[dict[Any, Any]], files: PathPolicy) -> Iterator[InputRow]:
    for index, row in enumerate(rows, start=1):
        if None in row:
            yield InputRow(index, default_id(index), problem="it has more cells than the first row", raw=str(row))
            continue
        filled = canonical_row({name: cell.strip() for name, cell in row.items() if cell and cell.strip()})
        if filled:
            yield parse_row(index, _options({name: _cell(name, cell) for name, cell in filled.items()}), files)


def _cell(name: str, cell: str) -> Any:
    """A cell's value: lists are written `a; b` or `a|b`, pairs `key=value; key=value`; numbers are read where used."""
    if name == "filter":
        return filters(cell)
    return several(cell) if name in _LISTS else cell


def _options(row: Mapping[str, Any]) -> dict[str, Any]:
    """A file's row as options: labels left out, filters under the names that `generate` has for them."""
    options = {name: value for name, value in row.items() if name not in LABELS}
    if "filter_tags" in options:
        options["tags"] = several(options.pop("filter_tags"))
    if "seeds" in options and "seed" not in options and len(seeds := several(options["seeds"])) == 1:
        options["seed"] = seeds[0]
        del options["seeds"]
    return options
