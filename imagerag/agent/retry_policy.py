"""Retry policy of a backend's failures: the ones worth another try, and the delays.

A service that says when to ask again is asked then (`Calls` waits). One that only says "too many requests" is given
longer than a minute in all, for limits are counted by the minute. After a drawing was paid for, whatever else goes
wrong is given half a minute: a judge that restarts does not cost the image.
"""

from itertools import takewhile
from typing import Final

from imagerag.agent import clock
from imagerag.agent.errors import BackendError, RateLimitedError

BUSY_S: Final = (1.0, 3.0, 9.0, 27.0, 30.0)
"""Pauses before further tries where a service does not say how long, in seconds."""

PAID_S: Final = (5.0, 25.0)
"""The same after a drawing was paid for, and something other than a limit is in the way."""


def is_retryable(error: Exception) -> bool:
    """Whether trying a node again can help: only when a backend says so."""
    return isinstance(error, BackendError) and error.retryable


def requested_delay(error: Exception) -> bool:
    """Whether a service said when to ask again."""
    return isinstance(error, BackendError) and error.retryable and error.retry_after_s is not None


def busy(error: Exception) -> bool:
    """Whether a service is asked too often, and there is time for the next pause."""
    return is_retryable(error) and isinstance(error, RateLimitedError) and _in_time(error, BUSY_S)


def after_payment(error: Exception) -> bool:
    """Whether a drawing was paid for before, and there is time for the next pause."""
    return is_retryable(error) and bool(error.__dict__.get("after_payment")) and _in_time(error, PAID_S)


def _in_time(error: Exception, pauses: tuple[float, ...]) -> bool:
    deadline = error.__dict__.get("deadline_at")
    if deadline is None:
        return True
    failed = list(takewhile(lambda call: not call.completed, reversed(error.__dict__.get("calls") or [])))
    pause = pauses[min(max(len(failed), 1), len(pauses)) - 1]
    return bool(clock.seconds() + pause < deadline)


def describe_delay(seconds: float) -> str:
    """A duration for people: "12 s", "2 min 30 s", "11 h 7 min" (full minutes, rounded up)."""
    if seconds < 120:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes_left = divmod(minutes + (rest > 0), 60)
    if hours:
        return f"{hours} h {minutes_left} min" if minutes_left else f"{hours} h"
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"
