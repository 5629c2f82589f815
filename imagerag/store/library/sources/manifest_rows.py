"""The rows of manifests: of tables, of JSON in its usual forms, and of Parquet and Arrow files."""

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from imagerag.agent.errors import UsageError
from imagerag.store.library.metadata.field_names import PATH, fields_of, written_fields
from imagerag.store.library.sources.image_table import SUFFIXES as TABLE_SUFFIXES
from imagerag.store.library.sources.image_table import ColumnarFile, class_names, plain_record
from imagerag.store.text_files import SEPARATORS, parsed, plain_name, read_text, separator_of

TABLES: Final = (".csv", ".tsv", ".tab", ".psv")
JSON: Final = (".json", ".jsonl", ".ndjson")
URL_COLUMNS: Final = ("url", "image_url", "img_url", "image_link")
_LONGEST_CELL: Final = 2**24

ManifestRow = tuple[int, dict[str, Any] | str]
"""A row's line and its values by column, or why it cannot be read."""


def read_rows(file: Path, is_image: Callable[[str], bool]) -> Iterator[ManifestRow]:
    """The rows of a manifest of any kind."""
    try:
        if file.suffix.lower() in TABLE_SUFFIXES:
            yield from _columnar(ColumnarFile(file))
            return
        text = read_text(file, longest=None)
    except OSError as error:
        raise UsageError(f"the manifest {file} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"the manifest {file} cannot be read: {error}") from None
    whole = file.suffix.lower() == ".json"
    yield from _table(text, file, is_image) if _is_table(file, text) else _json(text, whole=whole)


def _is_table(file: Path, text: str) -> bool:
    """Whether a manifest is a table and not JSON: by its suffix, and under any other by how it begins."""
    if file.suffix.lower() in (*TABLES, *JSON):
        return file.suffix.lower() in TABLES
    first = text.lstrip().partition("\n")[0]
    if first.startswith(("{", "[")):
        return False
    if not any(mark in first for mark in SEPARATORS):
        raise UsageError(f"the manifest {file} is in no form that is read: give CSV, JSON lines or JSON")
    return True


def _table(text: str, file: Path, is_image: Callable[[str], bool]) -> Iterator[ManifestRow]:
    """The rows of a table. One without a header is known by its first cell, which is an image's path."""
    separator, text = _separator(text, file.suffix.lower())
    csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_CELL))
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        header = _distinct_names([cell.strip() for cell in next(rows, [])])
    except csv.Error as error:
        raise UsageError(f"the manifest {file}, line 1, cannot be read: {error}") from None
    has_url = any(plain_name(name) in URL_COLUMNS for name in header)
    if PATH not in fields_of(header).values() and not has_url:
        if not header or not is_image(header[0]):
            named = ", ".join(cell or "(empty)" for cell in header)[:300] or "none"
            raise UsageError(
                f"the manifest {file} has no column that names the images. Its columns are: {named}. Call one path"
            )
        rest = [f"column {at}" for at in range(3, len(header) + 1)]
        first, header = header, [PATH, "caption", *rest][: len(header)]
        yield 1, dict(zip(header, first, strict=True))
    yield from _rows(rows, header)


def _distinct_names(header: Sequence[str]) -> list[str]:
    """Column names, a repeated one with its number, so that neither column hides the other."""
    times: Counter[str] = Counter()
    names: list[str] = []
    for name in header:
        times[name] += 1
        names.append(f"{name} ({times[name]})" if name and times[name] > 1 else name)
    return names


def _rows(rows: Any, header: list[str]) -> Iterator[ManifestRow]:
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield rows.line_num, f"the row cannot be read: {error}"
            continue
        if any(cell.strip() for cell in row):
            too_many = any(cell.strip() for cell in row[len(header) :])
            yield rows.line_num, "the row has more cells than the header" if too_many else dict(zip(header, row))  # noqa: B905, it may have fewer


def _separator(text: str, suffix: str) -> tuple[str, str]:
    """What separates the cells, and the table without Excel's line that says so."""
    first, _, rest = text.partition("\n")
    if first.lower().startswith("sep=") and len(first.rstrip("\r")) == 5:
        return first[4], rest
    return separator_of(first, suffix), text


def _json(text: str, *, whole: bool) -> Iterator[ManifestRow]:
    """The rows of JSON lines, or of one `whole` value: an array, COCO's captions, or an object by image."""
    try:
        value = parsed(text) if whole else None
    except ValueError:
        value = None  # lines, under another name
    if isinstance(value, list):
        yield from ((at, one if isinstance(one, dict) else "not a JSON object") for at, one in enumerate(value, 1))
    elif isinstance(value, dict) and _is_coco(value):
        yield from _coco(value)
    elif isinstance(value, dict):
        yield from [(1, value)] if PATH in written_fields(value).values() else _by_file(value)
    else:
        yield from _lines(text)


def _lines(text: str) -> Iterator[ManifestRow]:
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                record = parsed(line)
            except ValueError as error:
                yield number, str(error)
                continue
            yield number, record if isinstance(record, dict) else "not a JSON object"


def _is_coco(whole: Mapping[str, Any]) -> bool:
    return isinstance(whole.get("images"), list) and isinstance(whole.get("annotations"), list)


def _coco(whole: Mapping[str, Any]) -> Iterator[ManifestRow]:
    """COCO: images by their ids, and the first caption of each."""
    captions: dict[Any, str] = {}
    for one in whole["annotations"]:
        if isinstance(one, dict) and isinstance(one.get("caption"), str):
            captions.setdefault(str(one.get("image_id")), one["caption"])
    for at, image in enumerate(whole["images"], start=1):
        if not isinstance(image, dict):
            yield at, "not a JSON object"
            continue
        yield at, {"path": image.get("file_name"), "caption": captions.get(str(image.get("id")))}


def _by_file(whole: Mapping[str, Any]) -> Iterator[ManifestRow]:
    """An object from each image's path to its caption, or to an object."""
    for at, (name, said) in enumerate(whole.items(), start=1):
        if isinstance(said, dict):
            yield at, {**said, "path": name}
        else:
            yield at, {"path": name, "caption": said} if isinstance(said, str) else "neither a caption nor an object"


def _columnar(file: ColumnarFile) -> Iterator[ManifestRow]:
    """The rows of a Parquet or Arrow file."""
    names = class_names(file.schema)
    yield from ((number + 1, plain_record(record, names)) for number, record in file.records())
