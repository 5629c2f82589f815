"""What is said about one image: captions, tags, licence and the rest, from records of any maker.

A record's own names (`caption`, `tags`, …) come first; what others call the same thing is understood where they are
not there. What is left is metadata, as long as it is small: pixels and polygons that a program keeps in its sidecars
are no metadata.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from imagerag.agent.types import Scalar
from imagerag.store.library.capture_time import capture_time
from imagerag.store.library.schema import ImageRecord
from imagerag.store.text_files import parsed

TEXTS: Final = ("title", "caption", "source", "author", "licence", "camera", "lens", "place")
TAKEN: Final = "taken"
POSITION: Final = {"latitude": 90, "longitude": 180}
"""Coordinates in degrees, and how far they go."""

PATH: Final = "path"

ALIASES: Final[Mapping[str, tuple[str, ...]]] = {
    "path": ("file_name", "filename", "file", "filepath", "file_path", "image_path", "image_file", "image_name",
             "imagepath", "image", "img", "img_path", "picture", "photo", "sourcefile"),
    "caption": ("text", "description", "captions", "image_description", "imagedescription", "caption_abstract",
                "alt_text", "alt", "prompt", "label"),
    "title": ("object_name", "objectname"),
    "tags": ("keywords",),
    "licence": ("license", "license_name", "rights"),
    "author": ("artist", "creator", "photographer", "byline", "by_line"),
    "camera": ("camera_model",),
    "lens": ("lens_model", "lensmodel"),
    "place": ("location",),
    "taken": ("date_taken", "taken_at", "datetimeoriginal", "date_time_original", "capture_date"),
    "latitude": ("lat", "gps_latitude", "gpslatitude"),
    "longitude": ("lon", "lng", "gps_longitude", "gpslongitude"),
}  # fmt: skip
"""What others call our fields, the likeliest first; each counts only where none before it says anything."""

_NAMES: Final = {field: frozenset((field, *ALIASES[field])) for field in (TAKEN, *POSITION)}

_CAPTION: Final = re.compile(r"(?:^|_)captions?(?:_\d+|_[a-z]{2})?$")

MAX_CAPTION: Final = 20_000
MAX_VALUE: Final = 2_000
MAX_KEYS: Final = 100
"""Characters of a caption, characters of a metadata value, and values that are kept of one image."""

DETECTIONS: Final = frozenset(
    ("shapes", "imagedata", "annotations", "detections", "predictions", "objects", "boxes", "bbox", "bboxes",
     "box", "segmentation", "polygon", "points", "keypoints", "regions", "categories", "classid")
)  # fmt: skip
"""Keys in lower case under which detectors and their labelling tools keep what they found."""


@dataclass(frozen=True, kw_only=True)
class ImageMetadata:
    """What a manifest row, a sidecar or the file itself says of one image; None is "says nothing".

    Attributes:
        taken: when it was photographed, as the camera's clock showed it, marked as UTC whatever the offset.
        language: of the caption, as a BCP 47 tag.
        latitude, longitude: in degrees, both or none.
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

    def applied_to(self, row: ImageRecord) -> ImageRecord:
        """The row with everything that is said here."""
        said = {name: value for name, value in vars(self).items() if value is not None}
        return replace(row, **said)

    def filling(self, row: ImageRecord) -> ImageRecord:
        """The row with what is said here where it says nothing itself: what a person said of it stays."""
        said = {name: value for name, value in vars(self).items() if value is not None}
        lacking = {name: value for name, value in said.items() if getattr(row, name) in (None, "", ())}
        return replace(row, **{**lacking, "metadata": {**(self.metadata or {}), **row.metadata}})

    def or_else(self, other: "ImageMetadata") -> "ImageMetadata":
        """What is said here, and by the other one where nothing is."""
        said = {name: value for name, value in vars(self).items() if value is not None}
        metadata = {**(other.metadata or {}), **(self.metadata or {})}
        return replace(other, **{**said, "metadata": metadata or None})


def plain_name(name: str) -> str:
    """A column's name without case, spaces and hyphens: `File Name` is `file_name`."""
    return re.sub(r"[\s\-.]+", "_", clean(name).lower()).strip("_")


def fields_of(names: "Mapping[str, Any] | list[str]") -> dict[str, str]:
    """Which of our fields each name stands for: `Path` is the path, `file_name` too where there is no `path`."""
    plain = {name: plain_name(name) for name in names}
    found: dict[str, str] = {}
    for field in (PATH, *TEXTS, TAKEN, *POSITION, "tags", "metadata"):
        for wanted in (field, *ALIASES.get(field, ())):
            hits = [name for name in names if plain[name] == wanted and name not in found]
            if hits:
                found[hits[0]] = field
                break
    return found


def written_fields(said: Mapping[str, Any]) -> dict[str, str]:
    """`fields_of`, of those whose values can stand for such a field: a class number is no caption."""
    return fields_of({key: value for key, value in said.items() if _tells(key, value)})


def guessed_caption(record: Mapping[str, Any]) -> dict[str, str]:
    """The column that looks most like a caption where none is called so: `blip_caption`, `caption_0`."""
    if "caption" in fields_of(record).values():
        return {}
    likely = [name for name, one in record.items() if isinstance(one, str) and _CAPTION.search(plain_name(name))]
    return {min(likely): "caption"} if likely else {}


def with_caption(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """The record with such a column under the caption's own name."""
    guessed = guessed_caption(record)
    return {guessed.get(name, name): one for name, one in record.items()} if guessed else record


def read_metadata(record: Mapping[str, Any]) -> ImageMetadata:
    """A description from a manifest row or a sidecar's object; empty and null fields say nothing."""
    said = {key: value for key, value in record.items() if key and value not in (None, "", [], {}, ())}
    if str(said.get("schema", "")).startswith("imagerag.sidecar/"):
        return _of_a_run(said)
    if str(said.get("schema", "")).startswith("imagerag.image/"):
        return _of_an_export(record)
    fields = written_fields(said)
    if not POSITION.keys() <= set(fields.values()):  # half of a position is none, but metadata
        fields = {key: field for key, field in fields.items() if field not in POSITION}
    found: dict[str, Any] = {}
    rest = {key: value for key, value in said.items() if key not in fields}
    tags, given = None, {}
    for key, field in fields.items():
        value = said[key]
        if field == "tags":
            tags = _tags(value)
        elif field == TAKEN:
            found[field] = time_of(value)
        elif field in POSITION:
            found[field] = degrees_of(value, field)
        elif field == "metadata":
            given = _object(value)
        elif field != PATH:
            text = clean(_in_words(value))
            if len(text) <= MAX_CAPTION:
                found[field] = text
    extra = _small({**rest, **given})
    if "title" not in found and isinstance(name := extra.get("name"), str):
        found["title"] = name
    return ImageMetadata(tags=tags, metadata=extra or None, **found)


def clean(text: str) -> str:
    """Trimmed, and without what cannot be written as UTF-8 (file names may hold such bytes)."""
    return text.encode("utf-8", "replace").decode("utf-8").strip()


def _tells(key: str, value: Any) -> bool:
    """Whether a field can stand for one of ours: of what others call it only text can, and a number is no caption."""
    plain = plain_name(key)
    if plain in ("tags", "keywords", "metadata") or plain in TEXTS:
        return True
    if plain in _NAMES[TAKEN]:
        return time_of(value) is not None
    axis = next((axis for axis in POSITION if plain in _NAMES[axis]), None)
    if axis is not None:
        return degrees_of(value, axis) is not None
    if not isinstance(value, str):
        return False
    return plain != "label" or bool(re.search(r"[^\W\d_]", value))


def time_of(value: Any) -> datetime | None:
    """A date and time as metadata writes them; None for what is none. See `capture_time`."""
    found = capture_time(value) if isinstance(value, str) else None
    return found[0] if found else None


def degrees_of(value: Any, axis: str) -> float | None:
    """A latitude or longitude; None for what is none."""
    try:
        degrees = float(value) if isinstance(value, int | float | str) else float("nan")
    except (ValueError, OverflowError):
        return None
    return degrees if abs(degrees) <= POSITION[axis] else None


def _of_a_run(said: Mapping[str, Any]) -> ImageMetadata:
    """What `generate` wrote beside a picture: its prompt, and under whose licences the references in it were."""
    references = [one for one in said.get("references") or [] if isinstance(one, dict)]
    licences, authors = (_each(references, name) for name in ("licence", "author"))
    kept = {name: said[name] for name in ("run_id", "generator", "outcome") if name in said}
    titles = "; ".join(_each(references, "title"))
    return ImageMetadata(
        caption=clean(_as_string(said["prompt"]))[:MAX_CAPTION] if said.get("prompt") else None,
        licence="; ".join(licences) or None,
        author="; ".join(authors) or None,
        metadata=_small({**kept, **({"references": titles} if titles else {})}) or None,
    )


def _of_an_export(record: Mapping[str, Any]) -> ImageMetadata:
    """What `library export` wrote beside a picture: all of it counts, empty texts too."""
    texts = {name: clean(value) for name in (*TEXTS, "language") if isinstance(value := record.get(name), str)}
    position = {axis: degrees_of(record.get(axis), axis) for axis in POSITION}
    values: dict[str, Any] = {**texts, **(position if None not in position.values() else {})}
    return ImageMetadata(
        **values,
        taken=time_of(record.get(TAKEN)),
        tags=_tags(record.get("tags") or []),
        metadata=_small(_object(record.get("metadata"))),
    )


def _each(references: list[dict[str, Any]], name: str) -> list[str]:
    return list(dict.fromkeys(clean(_as_string(one[name])) for one in references if one.get(name)))


def _small(values: Mapping[str, Any]) -> dict[str, Scalar]:
    """What of the values is metadata: everything short, and nothing that a detector drew."""
    kept: dict[str, Scalar] = {}
    for key, value in values.items():
        if _is_drawn(key, value):
            continue
        try:
            scalar = _scalar(value)
        except (RecursionError, ValueError):  # nested deeper than JSON can write
            continue
        if len(kept) < MAX_KEYS and (not isinstance(scalar, str) or len(scalar) <= MAX_VALUE):
            kept[clean(str(key))[:MAX_VALUE]] = scalar
    return kept


def _is_drawn(key: str, value: Any) -> bool:
    """Whether a value is what a detector or a labelling tool found in the picture, or the picture itself."""
    plain = plain_name(key).replace("_", "")
    words = isinstance(value, list) and all(isinstance(part, str) for part in value)
    return plain == "imagedata" or (plain in DETECTIONS and isinstance(value, list | dict) and not words)


def _tags(value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    if isinstance(value, str):
        value = _value(value) if value.lstrip().startswith("[") else re.split(r"[;,|]", value)
    parts = value if isinstance(value, list) else [value]
    tags = dict.fromkeys(tag for part in parts if (tag := clean(_as_string(part))) and len(tag) <= MAX_VALUE)
    return tuple(tags)[:MAX_KEYS]


def _object(value: Any) -> dict[str, Any]:
    """A metadata field: an object, or a CSV cell with one in it; anything else is kept under its own name."""
    read = _value(value) if isinstance(value, str) else value
    if read is None:
        return {}
    return read if isinstance(read, dict) else {"metadata": value}


def _value(text: str) -> Any:
    try:
        return parsed(text)
    except ValueError:
        return text


def _scalar(value: Any) -> Scalar:
    if isinstance(value, float) and not -float("inf") < value < float("inf"):
        return str(value)
    return value if isinstance(value, int | float | bool) or value is None else clean(_as_string(value))


def _in_words(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return "; ".join(part.strip() for part in value)
    return _as_string(value)


def _as_string(value: Any) -> str:
    try:
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
