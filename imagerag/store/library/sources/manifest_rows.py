"""The rows of manifests: of tables, of JSON in its usual forms, and of Parquet and Arrow files."""

import csv
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any, Final, TextIO

from imagerag.agent.errors import UsageError
from imagerag.agent.visible_text import is_blank
from imagerag.store.csv_rows import CsvRows, Lines, separated
from imagerag.store.library.metadata.field_names import PATH, fields_of, written_fields
from imagerag.store.library.sources.base64_images import LONGEST, image_column
from imagerag.store.library.sources.image_table import ColumnarFile, class_names, path_in, plain_record
from imagerag.store.library.sources.source_suffixes import JSON, SEPARATED
from imagerag.store.library.sources.source_suffixes import TABLES as TABLE_SUFFIXES
from imagerag.store.text_files import SEPARATORS, open_text, parsed, plain_name

URL_COLUMNS: Final = ("url", "image_url", "img_url", "image_link")
LONGEST_LINE: Final = LONGEST + 2**20
"""Characters of a row: it may have an image in it, as base64."""

_BEGINNING: Final = 2**16

_COCO: Final = frozenset(
    ("id", "file_name", "license", "flickr_url", "coco_url", "width", "height", "date_captured", "image_id")
)
"""Names of COCO's own values of an image."""

ManifestRow = tuple[int, dict[str, Any] | str]
"""A row's line and its values by column, or why it cannot be read."""


def read_rows(file: Path, is_image: Callable[[str], bool]) -> Iterator[ManifestRow]:
    """The rows of a manifest of any kind."""
    try:
        if file.suffix.lower() in TABLE_SUFFIXES:
            yield from _columnar(ColumnarFile(file))
        elif _is_table(file):
            with open_text(file, newline="") as text:
                yield from _table(text, file, is_image)
        else:
            with open_text(file) as text:
                yield from map(_with_paths, _json(text, whole=file.suffix.lower() == ".json"))
    except UsageError:
        raise
    except OSError as error:
        raise UsageError(f"the manifest {file} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"the manifest {file} cannot be read: {error}") from None


def _is_table(file: Path) -> bool:
    """Whether a manifest is a table and not JSON: by its suffix, and under any other by how it begins."""
    if file.suffix.lower() in (*SEPARATED, *JSON):
        return file.suffix.lower() in SEPARATED
    with open_text(file) as text:
        first = text.read(_BEGINNING).lstrip().partition("\n")[0]
    if first.startswith(("{", "[")):
        return False
    if not any(mark in first for mark in SEPARATORS):
        raise UsageError(f"the manifest {file} is in no form that is read: give CSV, JSON lines or JSON")
    return True


def _table(text: TextIO, file: Path, is_image: Callable[[str], bool]) -> Iterator[ManifestRow]:
    """The rows of a table. One without a header is known by its first cell, which is an image's path."""
    lines = Lines(text, LONGEST_LINE)
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST_LINE))
    try:
        separator, rest = separated(lines, file.suffix.lower())
        rows = CsvRows(rest, separator, LONGEST_LINE)
        header = _distinct_names([cell.strip() for cell in next(filter(_has_content, rows), [])])
    except csv.Error as error:
        raise UsageError(f"the manifest {file}, line 1, cannot be read: {error}") from None
    records = _rows(rows, header)
    if PATH in fields_of(header).values() or any(plain_name(name) in URL_COLUMNS for name in header):
        yield from records
    elif header and is_image(header[0]):
        names = [PATH, "caption", *(f"column {at}" for at in range(3, len(header) + 1))][: len(header)]
        yield 1, dict(zip(names, header, strict=True))
        yield from _rows(rows, names)
    else:
        first = next(records, (0, ""))
        if isinstance(first[1], str) or image_column(first[1]) is None:
            if not header:
                raise UsageError(f"the manifest {file} is empty")
            columns = ", ".join(cell or "(empty)" for cell in header)[:300]
            raise UsageError(
                f"the manifest {file} has no column that names the images. Its columns are: {columns}. Call one path"
            )
        yield first
        yield from records


def _distinct_names(header: Sequence[str]) -> list[str]:
    """Column names, a repeated one with its number, so that neither column hides the other."""
    times: Counter[str] = Counter()
    names: list[str] = []
    for name in header:
        times[name] += 1
        names.append(f"{name} ({times[name]})" if name and times[name] > 1 else name)
    return names


def _rows(rows: CsvRows, header: list[str]) -> Iterator[ManifestRow]:
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield rows.line_num, f"the row cannot be read: {error}"
            continue
        if _has_content(row):
            too_many = _has_content(row[len(header) :])
            yield rows.line_num, "the row has more cells than the header" if too_many else dict(zip(header, row))  # noqa: B905, it may have fewer


def _has_content(row: Sequence[str]) -> bool:
    return any(cell.strip() for cell in row)


def _json(text: TextIO, *, whole: bool) -> Iterator[ManifestRow]:
    """The rows of JSON lines, or of one `whole` value: an array, COCO's captions, or an object by image."""
    lines: Iterator[str] = Lines(text, LONGEST_LINE)
    value = None
    if whole:
        content = text.read()
        try:
            value = parsed(content)
        except ValueError:  # lines, under another name
            lines = iter(content.split("\n"))
        else:
            if not isinstance(value, list | dict):
                yield 1, "not a JSON object"
                return
    if isinstance(value, list):
        yield from ((at, one if isinstance(one, dict) else "not a JSON object") for at, one in enumerate(value, 1))
    elif isinstance(value, dict) and _is_coco(value):
        yield from _coco(value)
    elif isinstance(value, dict) and (rows := _only_rows(value)):
        yield from enumerate(rows, 1)
    elif isinstance(value, dict):
        one = PATH in written_fields(value).values() or image_column(value) is not None
        yield from [(1, value)] if one else _by_file(value)
    else:
        yield from _lines(lines)


def _with_paths(row: ManifestRow) -> ManifestRow:
    """A row of JSON in which images of a Hugging Face dataset that were not copied into it are the paths of files."""
    line, record = row
    if isinstance(record, str):
        return row
    return line, {name: value if (path := path_in(value)) is None else path for name, value in record.items()}


def _lines(lines: Iterator[str]) -> Iterator[ManifestRow]:
    for number in count(1):
        try:
            line = next(lines)
        except StopIteration:
            return
        except csv.Error as error:
            yield number, f"the row cannot be read: {error}"
            continue
        if not is_blank(line):
            try:
                record = parsed(line)
            except ValueError as error:
                yield number, str(error)
                continue
            yield number, record if isinstance(record, dict) else "not a JSON object"


def _only_rows(whole: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows in an object that wraps a single list of them: `{"data": […]}`; none in other objects."""
    lists = [value for value in whole.values() if isinstance(value, list)]
    rows = lists[0] if len(lists) == 1 and all(isinstance(row, dict) for row in lists[0]) else []
    return rows if rows and PATH in written_fields(rows[0]).values() else []


def _is_coco(whole: Mapping[str, Any]) -> bool:
    return isinstance(whole.get("images"), list) and isinstance(whole.get("annotations", []), list)


def _coco(whole: Mapping[str, Any]) -> Iterator[ManifestRow]:
    """COCO: images by their ids, the first caption of each, its licence, and the categories of things in it as tags.
    What else an image says of itself is read as in any other row."""
    captions: dict[str, str] = {}
    tags: dict[str, dict[str, None]] = {}
    categories, licences = _by_id(whole.get("categories")), _by_id(whole.get("licenses"))
    for one in whole.get("annotations", []):
        if isinstance(one, dict) and isinstance(one.get("caption"), str):
            captions.setdefault(str(one.get("image_id")), one["caption"])
        elif isinstance(one, dict) and isinstance(name := _of_id(categories, one, "category_id").get("name"), str):
            tags.setdefault(str(one.get("image_id")), {})[name] = None
    for at, image in enumerate(whole["images"], start=1):
        if not isinstance(image, dict):
            yield at, "not a JSON object"
            continue
        named, licence = str(image.get("id")), _of_id(licences, image, "license")
        record = {
            "path": image.get("file_name"),
            "caption": captions.get(named),
            "tags": list(tags.get(named, ())) or None,
            "licence": _licence(licence),
            "source": image.get("flickr_url") or image.get("coco_url"),
        }
        own = {name: value for name, value in image.items() if name not in _COCO}
        yield at, own | {name: value for name, value in record.items() if value is not None}


def _by_id(entries: Any) -> dict[str, Mapping[str, Any]]:
    """The entries of one of COCO's lists by their ids."""
    listed = entries if isinstance(entries, list) else []
    return {str(one["id"]): one for one in listed if isinstance(one, dict) and "id" in one}


def _of_id(entries: Mapping[str, Mapping[str, Any]], record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return entries.get(str(record.get(name)), {})


def _licence(entry: Mapping[str, Any]) -> str | None:
    """A licence of COCO's: its address, if it is one of Creative Commons, else its name."""
    texts = [one for one in (entry.get("url"), entry.get("name")) if isinstance(one, str)]
    return next((one for one in texts if "creativecommons.org/" in one), texts[-1] if texts else None)


def _by_file(whole: Mapping[str, Any]) -> Iterator[ManifestRow]:
    """An object from each image's path to its caption, or to an object."""
    for at, (name, value) in enumerate(whole.items(), start=1):
        if isinstance(value, dict):
            yield at, {**value, "path": name}
        else:
            yield at, {"path": name, "caption": value} if isinstance(value, str) else "neither a caption nor an object"


def _columnar(file: ColumnarFile) -> Iterator[ManifestRow]:
    """The rows of a Parquet or Arrow file."""
    names = class_names(file.schema)
    yield from ((number + 1, plain_record(record, names)) for number, record in file.records())
