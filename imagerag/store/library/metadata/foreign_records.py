"""Records beside images in the formats of Google Takeout, img2dataset and gallery-dl."""

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

from imagerag.store.library.metadata.capture_time import TAKEN_OFFSET, UTC_OFFSET
from imagerag.store.library.metadata.metadata_values import POSITION

_DOWNLOADING: Final = ("key", "status", "error_message", "width", "height", "original_width", "original_height", "exif",
                       "md5", "sha256")  # fmt: skip
_GALLERY_WORK: Final = ("filename", "extension", "hash", "md5", "width", "height")
_TAKEOUT_WORK: Final = ("title", "photoTakenTime", "creationTime", "geoData", "geoDataExif", "googlePhotosOrigin",
                        "appSource")  # fmt: skip
_TAGS: Final = re.compile(r"^tags?_(?!count)\w+$")


def our_record(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Convert the record of a known program to imagerag's fields; other records stay unchanged."""
    if "photoTakenTime" in record or "googlePhotosOrigin" in record:
        return _of_takeout(record)
    if record.keys() >= {"url", "key", "status"}:
        return _of_img2dataset(record)
    if record.keys() >= {"category", "subcategory", "extension"}:
        return _of_gallery_dl(record)
    return record


def _of_takeout(record: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a record of Google Takeout. Its title is the file name, its time is in UTC, and 0, 0 is no position."""
    fields = {key: value for key, value in record.items() if key not in _TAKEOUT_WORK}
    time = record.get("photoTakenTime")
    with suppress(TypeError, ValueError, OverflowError, OSError, KeyError):
        if time:
            taken = f"{datetime.fromtimestamp(int(time['timestamp']), UTC):%Y-%m-%d %H:%M:%S}Z"
            fields |= {"taken": taken, TAKEN_OFFSET: UTC_OFFSET}
    places = [place for name in ("geoData", "geoDataExif") if isinstance(place := record.get(name), dict)]
    if place := next((one for one in places if one.get("latitude") or one.get("longitude")), None):
        fields |= {axis: place.get(axis) for axis in POSITION}
    if people := [name for one in _objects(record.get("people")) if isinstance(name := one.get("name"), str) and name]:
        fields["people"] = "; ".join(people)
    return fields


def _objects(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _of_img2dataset(record: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a record of img2dataset, without its processing data."""
    fields = {key: value for key, value in record.items() if key not in _DOWNLOADING}
    url = fields.pop("url")
    return {"source": url, **fields}


def _of_gallery_dl(record: Mapping[str, Any]) -> dict[str, Any]:
    """gallery-dl's object, which has what each site has: its lists of tags, its author's name, its page."""
    fields = {key: value for key, value in record.items() if key not in _GALLERY_WORK}
    tags = [tag for key in sorted(record) if _TAGS.match(key) and isinstance(tag := record[key], list)]
    if not fields.get("tags") and tags:
        fields = {key: value for key, value in fields.items() if not _TAGS.match(key)}
        fields["tags"] = [one for part in tags for one in part]
    for key in ("author", "artist", "user", "uploader"):
        value = fields.pop(key, None)
        names = (
            [value.get(name) for name in ("realname", "name", "nick", "username")]
            if isinstance(value, dict)
            else [value]
        )
        fields.setdefault("author", next((name for name in names if name and isinstance(name, str)), None))
        if not fields["author"]:
            del fields["author"]
    pages = (record.get(key) for key in ("post_url", "page_url", "url", "file_url"))
    return {"source": next((page for page in pages if isinstance(page, str) and page), None), **fields}
