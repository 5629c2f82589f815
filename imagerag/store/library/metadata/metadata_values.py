"""Parsers of values in records: times, coordinates, tags, and the selection of metadata."""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from imagerag.agent.types import Scalar
from imagerag.store.library.metadata.capture_time import capture_time
from imagerag.store.text_files import clean, parsed, plain_name

POSITION: Final = {"latitude": 90, "longitude": 180}
"""Coordinates in degrees, and how far they go."""

MAX_CAPTION: Final = 20_000
MAX_VALUE: Final = 2_000
MAX_KEYS: Final = 100
"""Characters of a caption, characters of a metadata value, and values that are kept of one image."""

_DEGREES: Final = re.compile(
    r"""\s* ([-+]?\d{1,3}(?:\.\d+)?) \s*
        (?: (?:°|deg) \s* (?: (\d{1,2}(?:\.\d+)?) \s* ['′’] \s* (?: (\d{1,2}(?:\.\d+)?) \s* (?:["″”]|'') \s* )? )? )?
        ([NSEWnsew])? \s*""",
    re.VERBOSE,
)
"""Degrees as ExifTool and maps write them: `52 deg 31' 12.00" N`, `52°31'12"N`, `13.4 E`."""

_NEGATIVE: Final = {"latitude": "S", "longitude": "W"}

DETECTIONS: Final = frozenset(
    ("shapes", "imagedata", "annotations", "detections", "predictions", "objects", "boxes", "bbox", "bboxes",
     "box", "segmentation", "polygon", "points", "keypoints", "regions", "categories", "classid")
)  # fmt: skip
"""Keys in lower case under which detectors and their labelling tools keep what they found."""


def time_of(value: Any) -> datetime | None:
    """Parse a date and time; None if invalid. See `capture_time`."""
    capture = capture_time(value) if isinstance(value, str) else None
    return capture[0] if capture else None


def degrees_of(value: Any, axis: str, hemisphere: str = "") -> float | None:
    """Parse a latitude or longitude, in degrees or in degrees, minutes and seconds; None if invalid.

    Args:
        hemisphere: where EXIF has it apart from the number, `S` or `South`.
    """
    try:
        degrees = float(value) if isinstance(value, int | float | str) else float("nan")
    except (ValueError, OverflowError):
        degrees = _degrees(value, axis)
    if hemisphere.strip().upper().startswith(_NEGATIVE[axis]):
        degrees = -abs(degrees)
    return degrees if abs(degrees) <= POSITION[axis] else None


def _degrees(text: str, axis: str) -> float:
    """Not a number where they are no degrees on this axis."""
    match = _DEGREES.fullmatch(text[:64])
    side = (match[4] or "").upper() if match else ""
    if not match or side not in ("", _NEGATIVE[axis], {"S": "N", "W": "E"}[_NEGATIVE[axis]]):
        return float("nan")
    parts = [float(part or 0) for part in match.groups()[1:3]]
    size = round(abs(float(match[1])) + parts[0] / 60 + parts[1] / 3600, 7)
    is_negative = side == _NEGATIVE[axis] or match[1].startswith("-")
    return float("nan") if max(parts) >= 60 else -size if is_negative else size


def too_long(name: str, text: str, most: int) -> str:
    """The note on a text that is left out."""
    return f"{clean(name)[:60]} was left out: it has {len(text):,} characters, and at most {most:,} are kept"


def metadata_of(
    values: Mapping[str, Any], left_out: list[str] | None = None, oversized: list[str] | None = None
) -> dict[str, Scalar]:
    """Select the values that become metadata: short ones, without results of detectors.

    Args:
        left_out: gets a note on each text that is too long, and on values that are too many.
        oversized: gets the names of objects and lists that are too long. Programs write them beside every image.
    """
    metadata: dict[str, Scalar] = {}
    left_out, surplus = [] if left_out is None else left_out, 0
    oversized = [] if oversized is None else oversized
    for key, value in values.items():
        if _is_drawn(key, value):
            continue
        try:
            scalar = _scalar(value)
        except (RecursionError, ValueError):  # nested deeper than JSON can write
            oversized.append(clean(str(key))[:60])
            continue
        if isinstance(scalar, str) and len(scalar) > MAX_VALUE:
            if isinstance(value, str):
                left_out.append(too_long(key, scalar, MAX_VALUE))
            else:
                oversized.append(clean(str(key))[:60])
        elif len(metadata) < MAX_KEYS:
            metadata[clean(str(key))[:MAX_VALUE]] = scalar
        else:
            surplus += 1
    left_out += [f"{surplus:,} values were left out: at most {MAX_KEYS} are kept"] if surplus else []
    return metadata


def _is_drawn(key: str, value: Any) -> bool:
    """Whether a value is a result of a detector or a labelling tool, or the image itself."""
    plain = plain_name(key).replace("_", "")
    words = isinstance(value, list) and all(isinstance(part, str) for part in value)
    return plain == "imagedata" or (plain in DETECTIONS and isinstance(value, list | dict) and not words)


def tags_of(value: Any, left_out: list[str] | None = None) -> tuple[str, ...] | None:
    """Parse tags: a list, or a text with separators. `left_out` gets a note as in `metadata_of`."""
    if value is None:
        return None
    if isinstance(value, str):
        value = _value(value) if value.lstrip().startswith("[") else re.split(r"[;,|]", value)
    parts = value if isinstance(value, list) else [value]
    return kept_tags((clean(string_of(part)) for part in parts), left_out)


def kept_tags(texts: Iterable[str], left_out: list[str] | None = None) -> tuple[str, ...]:
    """The tags that are kept of clean texts: each once, without those that are too long or too many."""
    tags = [tag for tag in dict.fromkeys(texts) if tag]
    short = [tag for tag in tags if len(tag) <= MAX_VALUE]
    if left_out is not None:
        left_out += [too_long("a tag", tag, MAX_VALUE) for tag in tags if len(tag) > MAX_VALUE]
        surplus = len(short) - MAX_KEYS
        left_out += [f"{surplus:,} tags were left out: at most {MAX_KEYS} are kept"] if surplus > 0 else []
    return tuple(short[:MAX_KEYS])


def object_of(value: Any) -> dict[str, Any]:
    """A metadata field: an object, or a CSV cell with one in it; anything else is kept under its own name."""
    data = _value(value) if isinstance(value, str) else value
    if data is None:
        return {}
    return data if isinstance(data, dict) else {"metadata": value}


def _value(text: str) -> Any:
    try:
        return parsed(text)
    except ValueError:
        return text


def _scalar(value: Any) -> Scalar:
    if isinstance(value, float) and not -float("inf") < value < float("inf"):
        return str(value)
    return value if isinstance(value, int | float | bool) or value is None else clean(string_of(value))


def text_of(value: Any) -> str:
    """A value as text: a list of texts joined, and an object with a `name`, as an author may be, by its name."""
    values = value if isinstance(value, list) else [value]
    parts = [one.get("name") if isinstance(one, dict) else one for one in values]
    texts = [part.strip() for part in parts if isinstance(part, str)]
    return "; ".join(texts) if len(texts) == len(parts) else string_of(value)


def string_of(value: Any) -> str:
    try:
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
