"""Manifests: one file that says something of many images.

CSV with any of the usual separators, JSON lines, a JSON array of objects, a JSON object from file to caption or to an
object, COCO's captions, or Parquet. Of several manifests the later one counts, field by field. Whatever none says stays
as it is in the library: indexing a folder again without its manifest takes no caption away.
"""

import csv
import io
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from imagerag.agent.errors import UsageError
from imagerag.agent.images.formats import IMAGE_SUFFIXES
from imagerag.store.library.image_metadata import (
    PATH,
    ImageMetadata,
    clean,
    fields_of,
    guessed_caption,
    plain_name,
    read_metadata,
    with_caption,
    written_fields,
)
from imagerag.store.library.sources.image_table import SUFFIXES as TABLE_SUFFIXES
from imagerag.store.library.sources.image_table import ColumnarFile, class_names, open_table, plain_value
from imagerag.store.path_policy import OUTSIDE, PathPolicy
from imagerag.store.text_files import SEPARATORS, parsed, read_text, separator_of

_TABLES: Final = (".csv", ".tsv", ".tab", ".psv")
_JSON: Final = (".json", ".jsonl", ".ndjson")
_URL_COLUMNS: Final = ("url", "image_url", "img_url", "image_link")
_NO_DOWNLOAD: Final = "Nothing is downloaded: fetch the images first, as with img2dataset"
_URL: Final = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_LONGEST_CELL: Final = 2**24


@dataclass(frozen=True)
class Manifest:
    """Descriptions by the image file they are about.

    Attributes:
        entries: absolute path → description.
        problems: (row or path, reason) of rows that describe no image that can be found.
        columns: what each column was read as: one of our fields, or "metadata".
        files: the manifests themselves.
    """

    entries: Mapping[Path, ImageMetadata] = field(default_factory=dict)
    problems: Sequence[tuple[str, str]] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    files: Collection[Path] = ()

    def overridden_by(self, other: "Manifest") -> "Manifest":
        """Both, the other one's fields first."""
        entries = dict(self.entries)
        for path, said in other.entries.items():
            entries[path] = said.or_else(entries[path]) if path in entries else said
        problems = [*self.problems, *other.problems]
        return Manifest(entries, problems, {**self.columns, **other.columns}, {*self.files, *other.files})

    @property
    def captions(self) -> int:
        """How many of the images that were found got a caption from it."""
        return sum(bool(said.caption) for said in self.entries.values())


Manifests = str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None
"""No manifest, one, or several."""


def split_manifests(manifests: Manifests) -> tuple[list[Path], list[Path]]:
    """Manifests that describe files, and tables that have the pictures in them, in their order."""
    if manifests is None or isinstance(manifests, str | os.PathLike):
        manifests = [] if manifests is None else [manifests]
    files = [Path(one) for one in manifests]
    tables = [one for one in files if one.suffix.lower() in TABLE_SUFFIXES and _has_pictures(one)]
    return [one for one in files if one not in tables], tables


def read_manifests(
    files: Sequence[Path], roots: Sequence[Path] = (), *, given: Sequence[Path] = (), allow_outside: bool = False
) -> Manifest:
    """Read manifests; what a later one says of an image counts, and the others fill what it does not say.

    Raises:
        UsageError: as `read_manifest`.
    """
    whole = Manifest()
    for file in files:
        whole = whole.overridden_by(read_manifest(file, roots, given=given, allow_outside=allow_outside))
    return whole


def read_beside(files: Iterable[Path], given: Sequence[Path] = (), *, allow_outside: bool = False) -> Manifest:
    """Read manifests that lie in folders of images; one that cannot be read, or names no images, is a problem.

    Args:
        given: the files and folders that are indexed: one that is a link leads into them or is left out.
    """
    whole = Manifest()
    for file in sorted(files):
        try:
            if file.is_symlink() and not PathPolicy(file.parent, given, allow_outside).allows(file):
                raise UsageError(f"it is a link to a file outside of what is indexed: {OUTSIDE}")
            found = read_manifest(file)
        except UsageError as error:
            found = Manifest(problems=[(clean(str(file)), str(error))])
        whole = whole.overridden_by(replace(found, files={file}))
    return whole


Record = tuple[int, dict[str, Any] | str]
"""A row's line and the row, or why it is none."""


def read_manifest(
    file: Path, roots: Sequence[Path] = (), *, given: Sequence[Path] = (), allow_outside: bool = False
) -> Manifest:
    """Read a manifest: a table (`.csv`, `.tsv`), JSON lines, or JSON.

    Each row has `path` (absolute, or relative to the manifest, or to one of `roots`) and any of caption, title, tags,
    metadata, source, author, licence, or what others call these (see `describing.ALIASES`); what else it has is
    metadata. A row that names a file outside of the manifest's folder, `roots` and `given` is a problem.

    Args:
        roots: folders that paths may be relative to.
        given: further files that the user named himself.
        allow_outside: any file of the machine may be named.

    Raises:
        UsageError: there is no such file, it is in no form that is read, or none of its columns names the images.
    """
    places = _Places((file.parent, *roots), PathPolicy(file.parent, (*roots, *given), allow_outside))
    entries: dict[Path, ImageMetadata] = {}
    problems: list[tuple[str, str]] = []
    columns: Counter[tuple[str, str]] = Counter()
    for line, record in _records(file, places):
        where = f"{file.name}, line {line}"
        if isinstance(record, str):
            problems.append((where, record))
            continue
        filled = {name: value for name, value in record.items() if value not in (None, "")}
        fields = written_fields(filled) | guessed_caption(record)
        columns.update((name, fields.get(name, "metadata")) for name in filled)
        name = next((record[column] for column, field in fields.items() if field == PATH), None)
        if not isinstance(name, str) or not name.strip():
            problems.append((where, _pathless(record)))
        elif (found := places.find(name.strip())) is None:
            why = "there is no such file"
            if _URL.match(name.strip()):
                why = f"it is a URL. {_NO_DOWNLOAD}"
            elif places.is_outside(name.strip()):
                why = f"it is outside of the folders given: {OUTSIDE}"
            problems.append((clean(name), f"named in {where}, but {why}"))
        else:
            try:
                entries[found] = read_metadata(with_caption(record))
            except ValueError as error:
                problems.append((where, str(error)))
    return Manifest(entries, problems, _read_as(columns))


def _records(file: Path, places: "_Places") -> Iterator[Record]:
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
    yield from _table(text, file, places) if _is_table(file, text) else _json(text, whole=whole)


def _pathless(record: Mapping[str, Any]) -> str:
    urls = {name for name in record if plain_name(name) in _URL_COLUMNS and record[name]}
    if urls:
        return f"the row has a URL ({min(urls)}) and no path. {_NO_DOWNLOAD}"
    return "the row has no path"


def _read_as(columns: "Counter[tuple[str, str]]") -> dict[str, str]:
    """What each column was read as in most rows."""
    read: dict[str, str] = {}
    for (name, meant), _ in sorted(columns.items(), key=lambda one: (-one[1], one[0][1] == "metadata")):
        read.setdefault(name, meant)
    return read


def _is_table(file: Path, text: str) -> bool:
    """Whether a manifest is a table and not JSON: by its suffix, and under any other by how it begins."""
    if file.suffix.lower() in (*_TABLES, *_JSON):
        return file.suffix.lower() in _TABLES
    first = text.lstrip().partition("\n")[0]
    if first.startswith(("{", "[")):
        return False
    if not any(mark in first for mark in SEPARATORS):
        raise UsageError(f"the manifest {file} is in no form that is read: give CSV, JSON lines or JSON")
    return True


# --- tables ---------------------------------------------------------------------------------------------------------


def _table(text: str, file: Path, places: "_Places") -> Iterator[Record]:
    """The rows of a table. One without a header is known by its first cell, which is an image's path."""
    separator, text = _separator(text, file.suffix.lower())
    csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_CELL))
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        header = _told_apart([cell.strip() for cell in next(rows, [])])
    except csv.Error as error:
        raise UsageError(f"the manifest {file}, line 1, cannot be read: {error}") from None
    has_url = any(plain_name(name) in _URL_COLUMNS for name in header)
    if PATH not in fields_of(header).values() and not has_url:
        if not header or places.find(header[0]) is None:
            named = ", ".join(cell or "(empty)" for cell in header)[:300] or "none"
            raise UsageError(
                f"the manifest {file} has no column that names the images. Its columns are: {named}. Call one path"
            )
        rest = [f"column {at}" for at in range(3, len(header) + 1)]
        first, header = header, [PATH, "caption", *rest][: len(header)]
        yield 1, dict(zip(header, first, strict=True))
    yield from _rows(rows, header)


def _told_apart(header: Sequence[str]) -> list[str]:
    """Column names, a repeated one with its number, so that neither column hides the other."""
    times: Counter[str] = Counter()
    names: list[str] = []
    for name in header:
        times[name] += 1
        names.append(f"{name} ({times[name]})" if name and times[name] > 1 else name)
    return names


def _rows(rows: Any, header: list[str]) -> Iterator[Record]:
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


# --- JSON -----------------------------------------------------------------------------------------------------------


def _json(text: str, *, whole: bool) -> Iterator[Record]:
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


def _lines(text: str) -> Iterator[Record]:
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


def _coco(whole: Mapping[str, Any]) -> Iterator[Record]:
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


def _by_file(whole: Mapping[str, Any]) -> Iterator[Record]:
    """An object from each image's path to its caption, or to an object."""
    for at, (name, said) in enumerate(whole.items(), start=1):
        if isinstance(said, dict):
            yield at, {**said, "path": name}
        else:
            yield at, {"path": name, "caption": said} if isinstance(said, str) else "neither a caption nor an object"


# --- Parquet --------------------------------------------------------------------------------------------------------


def _columnar(file: ColumnarFile) -> Iterator[Record]:
    """The rows of a Parquet or Arrow file."""
    names = class_names(file.schema)
    for number, record in file.records():
        said = {
            name: names[name][value] if name in names and value in range(len(names[name])) else plain_value(value)
            for name, value in record.items()
            if not isinstance(value, bytes)
        }
        yield number + 1, said


def _has_pictures(file: Path) -> bool:
    try:
        return open_table(file) is not None
    except (OSError, ValueError):
        return False  # reading it as a manifest says why


# --- files ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Places:
    """Folders in which the images of a manifest may lie; names are compared with their accents composed."""

    folders: Sequence[Path]
    named: PathPolicy
    _listed: dict[Path, Mapping[str, str]] = field(default_factory=dict)
    _by_stem: dict[Path, Mapping[str, str]] = field(default_factory=dict)

    def find(self, name: str) -> Path | None:
        """The file of that name, absolute; None where there is none that may be read."""
        try:
            found = (self._in(path) for path in self._paths(name) if self.named.allows(path))
            return next((file for file in found if file is not None and self.named.allows(file)), None)
        except (OSError, ValueError):  # a name too long, or with a NUL in it
            return None

    def is_outside(self, name: str) -> bool:
        """Whether a name leads nowhere where files may be read."""
        try:
            return not any(self.named.allows(path) for path in self._paths(name))
        except (OSError, ValueError):
            return False

    def _paths(self, name: str) -> Iterator[Path]:
        for one in dict.fromkeys((name, name.replace("\\", "/"))):
            for folder in self.folders:
                yield Path(os.path.abspath(folder / Path(one).expanduser()))

    def _in(self, path: Path) -> Path | None:
        if path.is_file():
            return path
        at = Path(path.anchor)
        for part in path.parts[1:]:
            at = at / part if (at / part).exists() else at / self._names(at).get(_composed(part), part)
        if at.is_file():
            return at
        return path.parent / called if (called := self._stems(path.parent).get(_composed(path.name))) else None

    def _stems(self, folder: Path) -> Mapping[str, str]:
        """The images in a folder by their names without endings, as kohya's manifests have them."""
        if folder not in self._by_stem:
            names = (Path(name) for name in sorted(self._names(folder)))
            self._by_stem[folder] = {one.stem: one.name for one in names if one.suffix.lower() in IMAGE_SUFFIXES}
        return self._by_stem[folder]

    def _names(self, folder: Path) -> Mapping[str, str]:
        """The names in a folder, by their composed form."""
        if folder not in self._listed:
            try:
                self._listed[folder] = {_composed(name): name for name in os.listdir(folder)}
            except OSError:
                self._listed[folder] = {}
        return self._listed[folder]


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)
