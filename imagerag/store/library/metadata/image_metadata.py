"""Metadata of one image: caption, tags, licence and so on, from records of any program.

Small values that match no imagerag field become metadata; pixels and polygons in the sidecars of programs do not.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from imagerag.agent.types import DescriptionDetails, Scalar
from imagerag.store.library.description_columns import exported_description
from imagerag.store.library.metadata.capture_time import TAKEN_OFFSET, UTC_OFFSET, capture_time, offset_between
from imagerag.store.library.metadata.field_names import PATH, TAKEN, TEXTS, hemisphere_of, written_fields
from imagerag.store.library.metadata.licence_names import licence_name
from imagerag.store.library.metadata.metadata_values import (
    MAX_CAPTION,
    POSITION,
    degrees_of,
    metadata_of,
    object_of,
    string_of,
    tags_of,
    text_of,
    time_of,
    too_long,
)
from imagerag.store.library.schema import ImageRecord
from imagerag.store.text_files import clean

NOTES: Final = ("left_out", "oversized")
"""Fields of `ImageMetadata` that are no metadata."""


@dataclass(frozen=True, kw_only=True)
class ImageMetadata:
    """Metadata of one image from a manifest row, a sidecar or the file; None means absent.

    Attributes:
        taken: time of exposure by the camera's clock, marked as UTC whatever the offset.
        language: of the caption, as a BCP 47 tag.
        latitude, longitude: in degrees, both or none.
        ocr, ocr_confidence: the words that OCR read in an exported image; both or none.
        description, described_by, description_confidence, description_details: a model's description of an exported
            image; a person's is the caption.
        left_out: notes on what was too long or too much to be kept; merging drops them.
        oversized: names of objects and lists that were too long to be kept; merging drops them.
    """

    title: str | None = None
    caption: str | None = None
    tags: tuple[str, ...] | None = None
    metadata: Mapping[str, Scalar] | None = None
    source: str | None = None
    author: str | None = None
    licence: str | None = None
    taken: datetime | None = None
    camera: str | None = None
    lens: str | None = None
    place: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    language: str | None = None
    ocr: str | None = None
    ocr_confidence: float | None = None
    description: str | None = None
    described_by: str | None = None
    description_confidence: float | None = None
    description_details: DescriptionDetails | None = None
    left_out: tuple[str, ...] = field(default=(), repr=False, compare=False)
    oversized: tuple[str, ...] = field(default=(), repr=False, compare=False)

    @property
    def _values(self) -> dict[str, Any]:
        """Fields that are there."""
        return {name: value for name, value in vars(self).items() if value is not None and name not in NOTES}

    def applied_to(self, row: ImageRecord) -> ImageRecord:
        """The row with all of these values; other values of its metadata stay. Of one moment in UTC and by the camera's
        clock the clock's time stays."""
        values = self._values
        metadata = {**row.metadata, **(self.metadata or {})}
        if self.taken and row.taken and (self.metadata or {}).get(TAKEN_OFFSET) == UTC_OFFSET:
            offset = offset_between(row.taken, self.taken)
            if offset is not None:
                values["taken"], metadata[TAKEN_OFFSET] = row.taken, offset
        return replace(row, **{**values, "metadata": metadata})

    def filling(self, row: ImageRecord) -> ImageRecord:
        """The row with its empty fields filled: existing values stay."""
        lacking = {name: value for name, value in self._values.items() if getattr(row, name) in (None, "", ())}
        return replace(row, **{**lacking, "metadata": {**(self.metadata or {}), **row.metadata}})

    def or_else(self, other: "ImageMetadata") -> "ImageMetadata":
        """These values, with absent ones taken from the other."""
        metadata = {**(other.metadata or {}), **(self.metadata or {})}
        return replace(other, **{**self._values, "metadata": metadata or None, "left_out": (), "oversized": ()})


def read_metadata(record: Mapping[str, Any]) -> ImageMetadata:
    """Read metadata from a manifest row or a sidecar object; empty and null fields count as absent."""
    values = {key: value for key, value in record.items() if key and value not in (None, "", [], {}, ())}
    if str(values.get("schema", "")).startswith("imagerag.sidecar/"):
        return _of_a_run(values)
    if str(values.get("schema", "")).startswith("imagerag.image/"):
        return _of_an_export(record)
    fields = written_fields(values)
    if not POSITION.keys() <= set(fields.values()):  # half of a position becomes metadata
        fields = {key: field for key, field in fields.items() if field not in POSITION}
    own_fields, left_out, oversized = dict[str, Any](), list[str](), list[str]()
    rest = {key: value for key, value in values.items() if key not in fields}
    tags, metadata, offset = None, {}, ""
    for key, name in fields.items():
        value = values[key]
        if name == "tags":
            tags = tags_of(value, left_out)
        elif name == TAKEN:
            own_fields[name], offset = capture_time(value) or (None, "")
        elif name in POSITION:
            own_fields[name] = degrees_of(value, name, hemisphere_of(rest, name))
        elif name == "metadata":
            metadata = object_of(value)
        elif name != PATH:
            text = clean(text_of(value))
            if len(text) <= MAX_CAPTION:
                own_fields[name] = licence_name(text) if name == "licence" else text
            else:
                left_out.append(too_long(key, text, MAX_CAPTION))
    zone = {TAKEN_OFFSET: offset} if offset else {}
    extra = metadata_of({**zone, **rest, **metadata}, left_out, oversized)
    if "title" not in own_fields and isinstance(title := extra.get("name"), str):
        own_fields["title"] = title
    return ImageMetadata(
        tags=tags, metadata=extra or None, **own_fields, left_out=tuple(left_out), oversized=tuple(oversized)
    )


def _of_a_run(run: Mapping[str, Any]) -> ImageMetadata:
    """Metadata from the sidecar of `generate`: the prompt, and the licences of the references."""
    references = [one for one in run.get("references") or [] if isinstance(one, dict)]
    licences, authors = (_each(references, name) for name in ("licence", "author"))
    facts = {name: run[name] for name in ("run_id", "generator", "outcome") if name in run}
    titles = "; ".join(_each(references, "title"))
    return ImageMetadata(
        caption=clean(string_of(run["prompt"]))[:MAX_CAPTION] if run.get("prompt") else None,
        licence="; ".join(licences) or None,
        author="; ".join(authors) or None,
        metadata=metadata_of({**facts, **({"references": titles} if titles else {})}) or None,
    )


def _of_an_export(record: Mapping[str, Any]) -> ImageMetadata:
    """Metadata from the sidecar of `library export`: all fields count, also empty texts."""
    texts = {name: clean(value) for name in TEXTS if isinstance(value := record.get(name), str)}
    position = {axis: degrees_of(record.get(axis), axis) for axis in POSITION}
    values: dict[str, Any] = {**texts, **(position if None not in position.values() else {}), **_ocr(record)}
    values |= exported_description(record)
    return ImageMetadata(
        **values,
        taken=time_of(record.get(TAKEN)),
        tags=tags_of(record.get("tags") or []),
        metadata=metadata_of(object_of(record.get("metadata"))),
    )


def _ocr(record: Mapping[str, Any]) -> dict[str, Any]:
    """What OCR read, if the image was read: a text without a confidence is none."""
    text: Any = record.get("ocr")
    confidence: Any = record.get("ocr_confidence")
    is_read = isinstance(confidence, int | float) and not isinstance(confidence, bool) and 0 <= confidence <= 1
    return {"ocr": clean(text), "ocr_confidence": float(confidence)} if isinstance(text, str) and is_read else {}


def _each(references: list[dict[str, Any]], name: str) -> list[str]:
    return list(dict.fromkeys(clean(string_of(one[name])) for one in references if one.get(name)))
