"""Readings of a typed value: a number, a truth value, a period of time, a text in each of its spellings."""

import re
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum
from typing import Any, Final
from unicodedata import normalize

from imagerag.agent.types.base import Scalar

_NUMBER: Final = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,3})?", re.ASCII)
_FLAGS: Final = {"true": True, "yes": True, "false": False, "no": False}
_DATE: Final = re.compile(
    r"(?P<year>\d{4})(?:-(?P<month>\d\d?)(?:-(?P<day>\d\d?)"
    r"(?:[T ](?P<hour>\d\d?):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,](?P<fraction>\d{1,6}))?)?"
    r"(?P<zone>Z|[+-]\d\d:?\d\d)?)?)?)?",
    re.ASCII | re.IGNORECASE,
)
LATEST: Final = datetime.max.replace(tzinfo=UTC)


def number_of(text: str) -> float | None:
    """The number that a text is; None for none, and for one that is too large."""
    number = float(text) if _NUMBER.fullmatch(text.strip()) else None
    return number if number is not None and abs(number) < float("inf") else None


def flag_of(text: str) -> bool | None:
    """The truth value that a text is."""
    return _FLAGS.get(text.strip().lower())


def period_of(text: str) -> tuple[datetime, datetime] | None:
    """The time that a date of any precision stands for: its beginning, and the first instant after it, UTC.

    2024 is a year, 2024-05 a month, 2024-05-03 a day, 2024-05-03T10:00 a minute. A time without a zone is UTC.
    """
    match = _DATE.fullmatch(text.strip())
    if not match:
        return None
    part = {name: int(value) for name, value in match.groupdict().items() if value and name not in ("zone", "fraction")}
    fraction = match["fraction"] or ""
    try:
        start = datetime(
            part["year"], part.get("month", 1), part.get("day", 1), part.get("hour", 0), part.get("minute", 0),
            part.get("second", 0), int(fraction.ljust(6, "0") or 0), tzinfo=_zone(match["zone"]),
        ).astimezone(UTC)  # fmt: skip
        return start, _after(start, part, fraction)
    except (ValueError, OverflowError):
        return None


def _zone(text: str | None) -> tzinfo:
    if not text or text.upper() == "Z":
        return UTC
    return datetime.fromisoformat(f"2000-01-01T00:00{text}").tzinfo or UTC


def _after(start: datetime, part: dict[str, int], fraction: str) -> datetime:
    """The first instant after a date of this precision; the latest that there is where that would be later."""
    try:
        if "day" not in part:
            months = part["year"] * 12 + part.get("month", 12)
            return datetime(months // 12, months % 12 + 1, 1, tzinfo=UTC)
        if fraction:
            return start + timedelta(microseconds=10 ** (6 - len(fraction)))
        length = next((unit for unit in ("second", "minute") if unit in part), "day")
        return start + timedelta(**{f"{length}s": 1})
    except (ValueError, OverflowError):
        return LATEST


def spellings(text: str) -> list[str]:
    """A text as it is written, and in the composed and decomposed form of Unicode."""
    return list(dict.fromkeys((text, normalize("NFC", text), normalize("NFD", text))))


def case_folded(text: str) -> str:
    """A text in the form that `~` compares: ß as SS, both small sigmas as Σ. Accents stay, because a filter can tell
    by them what to let through.

    The upper case of the lower case, which LanceDB has too; it has no function for `str.casefold`.
    """
    return text.lower().upper()


def pattern_of(value: str) -> tuple[bool, str, bool]:
    """The value of `~`: whether it must be where the text begins, what must be there, whether the text ends with it.

    Without a `*` it may be anywhere. A backslash before a `*` takes its meaning away.
    """
    match = re.fullmatch(r"(?s)(\*?)(.*?)((?<!\\)\*)?", value)
    assert match is not None  # the pattern takes any text
    first, middle, last = bool(match[1]), match[2].replace("\\*", "*"), bool(match[3])
    return (not first and last), middle, (first and not last)


def inner_star(value: str) -> int | None:
    """Position of a `*` inside the value of `~`, neither first nor last; None without one."""
    match = re.search(r"(?<!^)(?<!\\)\*(?!$)", value)
    return match.start() if match else None


_EXACT: Final = 2**53
"""Whole numbers above are no exact doubles: they are compared as text."""

_STORED_NUMBER: Final = re.compile(r"[-+]?(?:0|[1-9]\d{0,14})(?:\.\d{1,15})?(?:[eE][-+]?\d{1,2})?", re.ASCII)
_STORED_DATE: Final = re.compile(r"\d{4}-\d{2}|\d{4}[-:]\d{2}[-:]\d{2}(?:[T ]\d{2}:\d{2}.*)?", re.ASCII)
_MONTH_LENGTH: Final = len("2024-05")


class Kind(StrEnum):
    """The kind of a key's values. Metadata values can be of several kinds, a built-in column is of one."""

    TEXT = "text"
    NUMBER = "number"
    FLAG = "flag"
    TIME = "time"
    TAGS = "tags"


def kinds_of(value: Scalar) -> dict[Kind, Any]:
    """A metadata value as each kind that it is: text that reads as a number or as a date is that, too, because tables
    and sidecars write both as text."""
    if isinstance(value, bool):
        return {Kind.FLAG: value}
    if isinstance(value, int | float):
        return {Kind.TEXT: str(value)} if abs(value) > _EXACT else {Kind.NUMBER: float(value)}
    if value is None:
        return {}
    values: dict[Kind, Any] = {Kind.TEXT: value}
    if _STORED_NUMBER.fullmatch(value):
        values[Kind.NUMBER] = float(value)
    elif (time := time_of(value)) is not None:
        values[Kind.TIME] = time
    return values


def _is_month(text: str) -> bool:
    """Whether a text that may be a date says no day."""
    return len(text) == _MONTH_LENGTH


def time_of(text: str) -> datetime | None:
    """The instant that a date says, as ISO 8601 or EXIF write it: of a month its first; UTC where it names no zone."""
    if not _STORED_DATE.fullmatch(text):
        return None
    date = f"{text}-01" if _is_month(text) else text[:10].replace(":", "-")
    try:
        time = datetime.fromisoformat(date + text[10:])
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
