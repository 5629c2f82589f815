"""Parser of exposure times in the formats of EXIF, XMP, IPTC and people."""

import re
from datetime import UTC, datetime
from typing import Final

__all__ = ["TAKEN_OFFSET", "UTC_OFFSET", "CaptureTime", "capture_time", "offset_between"]

TAKEN_OFFSET: Final = "taken_offset"
"""The metadata value that holds how far the camera's clock was ahead of UTC."""

UTC_OFFSET: Final = "+00:00"

_ZONES: Final = range(-12 * 60, 14 * 60 + 1, 15)
"""Minutes by which clocks are ahead of UTC somewhere."""

_DATE: Final = re.compile(
    r"""\s* (\d{4}) (?: [:/.-]? (\d{2}) (?: [:/.-]? (\d{2}) )? )?
        (?: [T\s]+ (\d{2}) :? (\d{2}) (?: :? (\d{2}) (?:[.,]\d+)? )? )? \s* (Z | [+-]\d{2}:?\d{2})? \s*""",
    re.VERBOSE,
)
_OFFSET: Final = re.compile(r"\s*(?:(Z)|([+-])(\d{2}):?(\d{2}))\s*")

CaptureTime = tuple[datetime, str]
"""What the camera's clock showed, and how far it was ahead of UTC (`+02:00`); empty where nothing says so."""


def capture_time(text: str | None, offset: str | None = None) -> CaptureTime | None:
    """Parse a date and time of EXIF, XMP or IPTC; None for an invalid one, such as `0000:00:00 00:00:00`.

    Args:
        text: at least a year; a missing month or day counts as the first.
        offset: UTC offset of the clock, if the text has none.

    Returns:
        The local time of the clock, marked as UTC whatever the offset: a search for May means the camera's May.
    """
    match = _DATE.fullmatch(text[:64]) if text else None
    if match is None:
        return None
    year, month, day, hour, minute, second, zone = match.groups()
    date = (int(year), int(month or 1), int(day or 1))
    try:
        time = datetime(*date, int(hour or 0), int(minute or 0), min(int(second or 0), 59), tzinfo=UTC)
    except ValueError:
        return None
    return (time, _offset(zone or offset or "")) if time.year >= 1800 else None


def offset_between(clock: datetime, utc: datetime) -> str | None:
    """The offset of a camera's clock that showed one time when it was the other in UTC; None where no clock does."""
    minutes, rest = divmod(round((clock - utc).total_seconds()), 60)
    if rest or minutes not in _ZONES:
        return None
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


def _offset(text: str) -> str:
    match = _OFFSET.fullmatch(text[:16])
    if match is None:
        return ""
    zulu, sign, hours, minutes = match.groups()
    if zulu:
        return UTC_OFFSET
    return f"{sign}{hours}:{minutes}" if int(hours) <= 15 and int(minutes) < 60 else ""
