"""Mapping of names in records to imagerag's fields: `File Name` is the path, `photographer` the author.

imagerag's own names (`caption`, `tags`, …) take precedence; aliases count only where these are absent.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from imagerag.agent.caption_language import primary_language
from imagerag.store.library.metadata.metadata_values import POSITION, degrees_of, time_of
from imagerag.store.text_files import plain_name

LANGUAGE: Final = "language"
TEXTS: Final = ("title", "caption", "source", "author", "licence", "camera", "lens", "place", LANGUAGE)
TAKEN: Final = "taken"
PATH: Final = "path"

ALIASES: Final[Mapping[str, tuple[str, ...]]] = {
    "path": ("sourcefile", "file_name", "filename", "file", "filepath", "file_path", "image_path", "image_file",
             "image_name", "imagepath", "image", "img", "img_path", "picture", "photo"),
    "caption": ("text", "description", "captions", "image_description", "imagedescription", "caption_abstract",
                "alt_text", "alt", "prompt", "label"),
    "title": ("object_name", "objectname", "headline"),
    "tags": ("keywords", "subject"),
    "licence": ("license", "license_name", "usageterms", "rights", "copyright", "copyrightnotice"),
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

_LISTS: Final = frozenset(("subject", *ALIASES["author"]))
"""Names whose values may be lists of texts; `subject` is nothing else: in a text it is what an image is about."""

_PREFIX: Final = re.compile(r"[A-Za-z][\w-]*:(?=\w)")
"""What ExifTool and JSON-LD write before a name: `XMP:Title`, `XMP-dc:Title`, `dc:title`."""

_CAPTION: Final = re.compile(r"(?:^|_)captions?(?:_\d+|_[a-z]{2})?$")


def fields_of(names: "Mapping[str, Any] | list[str]") -> dict[str, str]:
    """Name → imagerag field: `Path` is the path, and so is `file_name` where there is no `path`."""
    return dict(_fields_of(tuple(names)))


@lru_cache(maxsize=512)
def _fields_of(names: tuple[str, ...]) -> Mapping[str, str]:
    """`fields_of`: the rows of a table, and the sidecars of a program, have the same names over and over."""
    plain = {name: _plain(name) for name in names}
    fields: dict[str, str] = {}
    for field in (PATH, *TEXTS, TAKEN, *POSITION, "tags", "metadata"):
        for alias in (field, *ALIASES.get(field, ())):
            hits = [name for name in names if plain[name] == alias and name not in fields]
            if hits:
                fields[min(hits, key=lambda name: ":" in name)] = field
                break
    return fields


def _plain(name: str) -> str:
    """A name as the aliases are written, without the prefix of its group."""
    return plain_name(_PREFIX.sub("", name, count=1) if _PREFIX.match(name) else name)


def written_fields(record: Mapping[str, Any]) -> dict[str, str]:
    """`fields_of`, of those whose values can stand for such a field: a class number is no caption."""
    return fields_of({key: value for key, value in record.items() if _tells(key, value)})


def hemisphere_of(record: Mapping[str, Any], axis: str) -> str:
    """The hemisphere that a record names beside a coordinate, as EXIF does: `GPSLatitudeRef`; empty where none."""
    names = (name for name in record if _plain(name).replace("_", "") == f"gps{axis}ref")
    return next((one for name in names if isinstance(one := record[name], str)), "")


def typed_field(name: str) -> str | None:
    """The field, other than text, that a name stands for: `taken`, `latitude`, `longitude`; None for others."""
    return next((field for field, names in _NAMES.items() if _plain(name) in names), None)


def guessed_caption(record: Mapping[str, Any]) -> dict[str, str]:
    """The column most similar to a caption where none has that name: `blip_caption`, `caption_0`."""
    if "caption" in fields_of(record).values():
        return {}
    likely = [name for name, one in record.items() if isinstance(one, str) and _CAPTION.search(_plain(name))]
    return {min(likely): "caption"} if likely else {}


def with_caption(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """The record with such a column renamed to the caption."""
    guessed = guessed_caption(record)
    return {guessed.get(name, name): one for name, one in record.items()} if guessed else record


def _tells(key: str, value: Any) -> bool:
    """Whether a value is valid for an imagerag field: aliases need text, and a number is no caption."""
    plain = _plain(key)
    if plain in _LISTS and isinstance(value, list):
        return bool(value) and all(isinstance(one, str) for one in value)
    if plain == "subject":
        return False
    if plain == LANGUAGE:  # of the caption: other names of languages are of what the image shows
        return isinstance(value, str) and bool(primary_language(value))
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
