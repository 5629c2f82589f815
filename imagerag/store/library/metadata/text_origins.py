"""Origins of a row's texts, and transfer of texts to the row of a changed file.

The column `described` holds the identity of the sidecars, then short hashes of all values embedded in the file. A value
of the row that is not among these comes from a person, a sidecar or a manifest.
"""

from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from hashlib import sha256
from typing import Any, Final

from imagerag.store.library.description_columns import DESCRIPTION_COLUMNS
from imagerag.store.library.locations import shown_path
from imagerag.store.library.metadata.image_metadata import NOTES, ImageMetadata
from imagerag.store.library.schema import OCR_COLUMNS, ImageRecord

_FIELDS: Final = tuple(
    one.name
    for one in fields(ImageMetadata)
    if one.name not in ("metadata", "source", *NOTES, *OCR_COLUMNS, *DESCRIPTION_COLUMNS)
)
"""Without the words in the image and its description: a changed file has others, and is read and described again."""

_DEFAULT_TITLE: Final = "title of no one"


def sidecars_in(described: str) -> str:
    """The identity of sidecars and manifest in a row's `described`."""
    return described.partition(" ")[0]


def with_sidecars(described: str, sidecars: str) -> str:
    """A row's `described` with another identity of sidecars; the hashes stay."""
    return sidecars + "".join(described.partition(" ")[1:])


def with_origins(row: ImageRecord, embedded: ImageMetadata, default_title: str = "") -> ImageRecord:
    """The row with hashes of the values embedded in its file, and of the default title."""
    marks = {_mark(name, value) for name, value in _field_values(vars(embedded)) if not _is_empty(value)}
    marks |= {_mark(_DEFAULT_TITLE, default_title)} if default_title else set()
    return replace(row, described=" ".join([sidecars_in(row.described), *sorted(marks)])) if marks else row


def with_title_of_file(row: ImageRecord, title: str) -> ImageRecord:
    """The row of a renamed file: a title that was the file's name is the new name, any other one stays."""
    if not title or not _is_default(row, "title", row.title):
        return row
    marks = _marks(row) - {_mark(_DEFAULT_TITLE, row.title)} | {_mark(_DEFAULT_TITLE, title)}
    return replace(row, title=title, described=" ".join([sidecars_in(row.described), *sorted(marks)]))


def with_texts_of(new: ImageRecord, old: ImageRecord) -> ImageRecord:
    """The row of a changed file with the texts of its former image.

    In this order count: new values from sidecars and manifests, values given for the old image, values in the file now,
    values in the file before.
    """
    fields = dict(_field_values(vars(new)))
    old_values = {
        name: value for name, value in _field_values(vars(old)) if _stays(name, value, fields.get(name), old, new)
    }
    metadata = {name.partition(".")[2]: value for name, value in old_values.items() if name not in _FIELDS}
    texts: dict[str, Any] = {name: value for name, value in old_values.items() if name in _FIELDS}
    if old.source and _is_path(new) and not _is_path(old):
        texts["source"] = old.source
    marks = {_mark(name, value) for name, value in old_values.items()} & _marks(old)
    described = " ".join([sidecars_in(new.described), *sorted(_marks(new) | marks)])
    return replace(new, **texts, metadata={**new.metadata, **metadata}, described=described)


def _stays(name: str, value: Any, now: Any, old: ImageRecord, new: ImageRecord) -> bool:
    """Whether a value of the old image takes precedence over the new one."""
    if _is_empty(value):
        return False
    if _is_empty(now) or _is_default(new, name, now):
        return True
    anew = sidecars_in(new.described) != sidecars_in(old.described)
    return (not anew or _is_of_file(new, name, now)) and not _is_of_file(old, name, value)


def _field_values(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield from ((name, values[name]) for name in _FIELDS)
    yield from ((f"metadata.{key}", value) for key, value in (values["metadata"] or {}).items())


def _is_empty(value: Any) -> bool:
    return value is None or value == "" or value == ()


def _mark(name: str, value: Any) -> str:
    return sha256(f"{name}={value}".encode(errors="replace")).hexdigest()[:8]


def _marks(row: ImageRecord) -> set[str]:
    return set(row.described.split(" ")[1:])


def _is_of_file(row: ImageRecord, name: str, value: Any) -> bool:
    return _mark(name, value) in _marks(row) or _is_default(row, name, value)


def _is_default(row: ImageRecord, name: str, value: Any) -> bool:
    return name == "title" and _mark(_DEFAULT_TITLE, value) in _marks(row)


def _is_path(row: ImageRecord) -> bool:
    """Whether a row's source is one of its files, that is, not given by a person."""
    return row.source in {shown_path(file.path) for file in row.files}
