"""Retry delay that a service requests, in all common formats.

A header (`retry-after`, `retry-after-ms`), a field of the body (Gemini's `retryDelay`, `retry_after` and the like), or
text ("Please try again in 1m2s"): the longest is used. If there is none, the headers with a limit's reset time are used
(`x-ratelimit-reset-requests: 1m12.5s`), except for limits that are not used up.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

MAX_WAIT_S: Final = 24 * 3600.0

_UNITS: Final[Mapping[str, float]] = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_NUMBER: Final = r"\d+(?:\.\d+)?"
_UNIT: Final = r"(?:milliseconds?|millis|msecs?|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d)(?![A-Za-z])"
_PART: Final = re.compile(rf"({_NUMBER})\s*({_UNIT}|(?:m|h|d|s|ms)(?=\d))", re.I)
_DURATION: Final = rf"{_NUMBER}\s*[a-z]+(?:[\s,]*(?:and\s+)?{_NUMBER}\s*[a-z]+)*"
_AGAIN: Final = r"(?:try(?:ing)?\s+(?:it\s+)?again|retry(?:ing)?|re-?send|wait(?:ing)?|come\s+back|available|resets?)"
_WORDS: Final = re.compile(rf"{_AGAIN}[^\d\n(]{{0,48}}?({_DURATION})", re.I)
_BARE: Final = re.compile(rf"{_AGAIN}\s+(?:in|after|for)\s+({_NUMBER})(?!\d|\.\d|\s*[a-z])", re.I)
_AT: Final = re.compile(
    rf"{_AGAIN}[^\d\n(]{{0,24}}?\s(?:at|after|until)\s+(\d{{4}}-\d\d-\d\d[T ]\d\d:\d\d[\d:.Z+-]*)", re.I
)
_FIELDS: Final = re.compile(
    r"""\\?["']?(?P<name>(?:x-)?retry[-_ ]?(?:after|delay|in)(?:[-_ ]?(?:ms|millis(?:econds)?|s|secs?|seconds?))?"""
    r"""|retryinfo|(?:wait|resets?)[-_](?:in[-_])?(?:ms|millis(?:econds)?|s|secs?|seconds?))\\?["']?\s*(?:[:=]\s*|(?=\{))"""
    r"""(?:\{\s*\\?["']?seconds\\?["']?\s*:\s*)?\\?["']?(?P<value>\d[^"'\\,}\]\n]*)""",
    re.I,
)
_RESET: Final = re.compile(r"^(?:x-|anthropic-)?rate-?limit-(?:(.+)-)?reset(?:-(.+))?$")


def retry_delay(headers: Mapping[str, str], body: str) -> float | None:
    """Seconds to wait; None if the service does not say.

    Args:
        headers: of the response; names in any case.
        body: of the response, as text.
    """
    lower_headers = {name.lower(): value for name, value in headers.items()}
    delays = [*_stated(lower_headers), *_fields(body), *_worded(body)]
    if not delays:
        delays = list(_resets(lower_headers))[:1]
    return min(max(0.0, max(delays)), MAX_WAIT_S) if delays else None


def duration(text: str) -> float | None:
    """Seconds of "12", "12s", "1m12.5s", "250ms", "1 minute 2 seconds"; None if it is no duration."""
    text = text.strip()
    if re.fullmatch(r"-?\d+(?:\.\d+)?(?:e\d+)?", text, re.I):
        return float(text)
    parts = list(_PART.finditer(text))
    if not parts or re.sub(r"[\s,]|and", "", _PART.sub("", text), flags=re.I):
        return None
    return sum(float(part[1]) * _UNITS[_unit(part[2])] for part in parts)


def _unit(word: str) -> str:
    word = word.lower()
    return "ms" if word.startswith(("ms", "mil")) else word[0]


def moment(text: str) -> float | None:
    """Seconds from now to an HTTP date, an ISO 8601 time, or an epoch in seconds or milliseconds; None otherwise."""
    text = text.strip()
    if re.fullmatch(r"\d{9,16}(?:\.\d+)?", text):
        seconds = float(text)
        return (seconds / 1000 if seconds > 1e11 else seconds) - datetime.now(UTC).timestamp()
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            at = parse(text)
        except (TypeError, ValueError):
            continue
        return ((at if at.tzinfo else at.replace(tzinfo=UTC)) - datetime.now(UTC)).total_seconds()
    return None


def _either(text: str) -> float | None:
    """A duration or a point in time, as services mix them; a number from the year 2001 on is a point in time."""
    seconds = duration(text)
    if seconds is None or 1e9 <= seconds < 1e11 or seconds >= 1e12:
        at = moment(text)
        return seconds if at is None else at
    return seconds


def _stated(headers: Mapping[str, str]) -> Iterator[float]:
    milliseconds = duration(headers.get("retry-after-ms") or headers.get("x-ms-retry-after-ms") or "")
    if milliseconds is not None:
        yield milliseconds / 1000
        return
    seconds = _either(headers.get("retry-after", ""))
    if seconds is not None:
        yield seconds


def _fields(body: str) -> Iterator[float]:
    for match in _FIELDS.finditer(body):
        seconds, name = _either(match["value"].strip()), match["name"].lower()
        if seconds is not None:
            yield seconds / 1000 if re.search(r"ms$|millis", name) else seconds


def _worded(body: str) -> Iterator[float]:
    yield from filter(None, (moment(at.rstrip(".")) for at in _AT.findall(body)))
    yield from (float(seconds) for seconds in _BARE.findall(body))
    for match in _WORDS.finditer(body):
        words = match[1]
        while " " in words and duration(words) is None:  # "12 seconds or 3 images": the part that is a duration
            words = words.rpartition(" ")[0]
        seconds = None if words.isdigit() else duration(words)
        if seconds is not None:
            yield seconds


def _resets(headers: Mapping[str, str]) -> Iterator[float]:
    """Reset times of used-up limits, else of those without a remaining count (latest first), else of the others."""
    used_up: list[float] = []
    unknown: list[float] = []
    others: list[float] = []
    for name, value in headers.items():
        match = _RESET.match(name)
        seconds = _either(value) if match else None
        if match is None or seconds is None:
            continue
        remaining = duration(headers.get(name.replace("reset", "remaining"), ""))
        (unknown if remaining is None else others if remaining > 0 else used_up).append(seconds)
    yield from sorted(used_up, reverse=True) or sorted(unknown, reverse=True) or sorted(others)
