"""Clock of records, calls and deadlines, which does not jump while the process runs.

The time of day is read once. From then on it goes on by a clock that nobody sets, so that no call ends before it began
and no deadline passes because the machine's clock was corrected.
"""

import time
from datetime import UTC, datetime


def _running() -> float:
    """Seconds of a clock that is never set, and goes on while the machine sleeps where the system has one that does."""
    for name in ("CLOCK_BOOTTIME", "CLOCK_MONOTONIC"):  # Linux; macOS, where that of `time.monotonic` stops
        if hasattr(time, name):
            return time.clock_gettime(getattr(time, name))
    return time.monotonic()


_BEGAN = time.time() - _running()


def seconds() -> float:
    """This moment, in seconds since 1970."""
    return _BEGAN + _running()


def now() -> str:
    """This moment, UTC, as ISO 8601 with milliseconds."""
    return datetime.fromtimestamp(seconds(), UTC).isoformat(timespec="milliseconds")
