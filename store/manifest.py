"""What is said about images beside their pixels: manifests and sidecar files.

Whatever a description does not say stays as it is in the library: indexing a folder again without its manifest takes
no caption away.
"""

import csv
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from imagerag.agent.errors import UsageError
from imagerag.agent.types import Scalar
from imagerag.store.rows import Row

SIDECARS = (".json", ".txt")
TEXTS = ("title", "caption", "source", "author", "licence")


@dataclass(frozen=True, kw_only=True)
class Description:
    """What a manifest row or a sidecar says of one image; None is "says nothing"."""

    title: str | None = None
    caption: str | None = None
    tags: tuple[str, ...] | None = None
    metadata: Mapping[str, Scalar] | None = None
    source: str | None = None
    author: str | None = None
    licence: str | None = None

    def applied_to(self, row: Row) -> Row:
        """The row with everything that is said here."""
        said = {name: value for name, value in vars(self).items() if value is not None}
        return replace(row, **said)


@dataclass(frozen=True)
class Manifest:
    """Descriptions by the image file they are about.

    Attributes:
        entries: absolute path → description.
        problems: (row or path, reason) of rows that describe no image that can be found.
    """

    entries: Mapping[Path, Description] = field(default_factory=dict)
    problems: Sequence[tuple[str, str]] = ()


def read_manifest(file: Path, roots: Sequence[Path] = ()) -> Manifest:
    """Read a `.csv`, `.tsv` or JSON-lines manifest.

    Each row has `path` (absolute, or relative to the manifest, or to one of `roots`) and any of caption, title, tags,
    metadata, source, author, licence (or license); what else it has is metadata.

    Raises:
        UsageError: there is no such file, or it is not text.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"the manifest {file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"the manifest {file} is not UTF-8 text (JSON lines or CSV)") from None
    entries: dict[Path, Description] = {}
    problems: list[tuple[str, str]] = []
    for line, record in _records(text, file.suffix.lower()):
        where = f"{file.name}, line {line}"
        if isinstance(record, str):
            problems.append((where, record))
            continue
        name = record.get("path")
        if not isinstance(name, str) or not name.strip():
            problems.append((where, "the row has no path"))
        elif (found := _locate(name.strip(), [file.parent, *roots])) is None:
            problems.append((name, f"named in {where}, but there is no such file"))
        else:
            entries[found] = describe(record)
    return Manifest(entries, problems)


def read_sidecar(image: Path) -> Description:
    """What `NAME.json` or else `NAME.txt` beside an image says; a text file is its caption.

    Raises:
        UsageError: the sidecar is there but cannot be read; the message says why.
    """
    for suffix in SIDECARS:
        file = image.with_suffix(suffix)
        if not file.is_file():
            continue
        try:
            text = file.read_text(encoding="utf-8-sig")
            if suffix == ".txt":
                return Description(caption=clean(text))
            record = json.loads(text)
        except (OSError, ValueError) as error:
            raise UsageError(f"its sidecar {file.name} cannot be read: {error}") from None
        if not isinstance(record, dict):
            raise UsageError(f"its sidecar {file.name} is not a JSON object")
        return describe(record)
    return Description()


def describe(record: Mapping[str, Any]) -> Description:
    """A description from a manifest row or a sidecar's object; empty and null fields say nothing."""
    said = {key: value for key, value in record.items() if key and value not in (None, "", [], {})}
    said.pop("path", None)
    if "license" in said:
        said.setdefault("licence", said.pop("license"))
    tags, metadata = said.pop("tags", None), said.pop("metadata", None)
    texts = {name: clean(_as_string(said.pop(name))) for name in TEXTS if name in said}
    given = _object(metadata)
    extra = {clean(key): _scalar(value) for key, value in {**said, **given}.items()}
    if "title" not in texts and isinstance(name := extra.get("name"), str):
        texts["title"] = name
    return Description(tags=_tags(tags), metadata=extra or None, **texts)


def clean(text: str) -> str:
    """Trimmed, and without what cannot be written as UTF-8 (file names may hold such bytes)."""
    return text.encode("utf-8", "replace").decode("utf-8").strip()


def _records(text: str, suffix: str) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """(line, row, or why it is none)."""
    if suffix in (".csv", ".tsv"):
        reader = csv.DictReader(text.splitlines(keepends=True), delimiter="\t" if suffix == ".tsv" else ",")
        for row in reader:
            too_many = row.pop(None, None)
            yield reader.line_num, "the row has more cells than the header" if too_many else row
        return
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                record = json.loads(line)
            except ValueError as error:
                yield number, f"not JSON: {error}"
                continue
            yield number, record if isinstance(record, dict) else "not a JSON object"


def _locate(name: str, folders: Sequence[Path]) -> Path | None:
    for folder in folders:
        path = folder / Path(name).expanduser()
        try:
            if path.is_file():
                return Path(os.path.abspath(path))
        except (OSError, ValueError):  # a name too long, or with a NUL in it
            return None
    return None


def _tags(value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    if isinstance(value, str):
        value = _parsed(value) if value.lstrip().startswith("[") else re.split(r"[;,]", value)
    parts = value if isinstance(value, list) else [value]
    return tuple(dict.fromkeys(tag for part in parts if (tag := clean(_as_string(part)))))


def _object(value: Any) -> dict[str, Any]:
    """A metadata field: an object, or a CSV cell with one in it; anything else is kept under its own name."""
    parsed = _parsed(value) if isinstance(value, str) else value
    if parsed is None:
        return {}
    return parsed if isinstance(parsed, dict) else {"metadata": value}


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _scalar(value: Any) -> Scalar:
    if isinstance(value, float) and not -float("inf") < value < float("inf"):
        return str(value)
    return value if isinstance(value, int | float | bool) or value is None else clean(_as_string(value))


def _as_string(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
