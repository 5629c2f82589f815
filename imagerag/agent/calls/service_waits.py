"""Waiting as long as a service asked for, where the run has the time and the patience for it."""

from collections.abc import Sequence
from itertools import takewhile

from imagerag.agent import clock
from imagerag.agent.errors import WaitTooLongError
from imagerag.agent.retry_policy import describe_delay
from imagerag.agent.types import ModelCall, RunConfig


def wait_before(calls: Sequence[ModelCall]) -> float | None:
    """Seconds to wait before the next call: what the service asked for when it turned the last one down."""
    return calls[-1].retry_after_s if calls and not calls[-1].completed else None


def too_long_wait(error: Exception, calls: Sequence[ModelCall], config: RunConfig) -> WaitTooLongError | None:
    """The error that ends the run, where a service asks for a longer wait than there is time or patience for.

    Args:
        calls: the node's calls, the one that failed with `error` last.
    """
    wait = getattr(error, "retry_after_s", None)
    if not wait or not getattr(error, "retryable", False):
        return None
    turned_down = list(takewhile(lambda call: not call.completed, reversed(calls)))
    waited = sum(call.retry_after_s or 0 for call in turned_down[1:])
    remaining_s = None if config.deadline_at is None else config.deadline_at - clock.seconds()
    if remaining_s is not None and wait >= remaining_s:
        why = f"the run's deadline is in {describe_delay(max(0.0, remaining_s))} (`deadline_s`)"
    elif waited + wait > config.patience_s:
        before = f", after {describe_delay(waited)} of waiting" if waited else ""
        why = f"a call waits {describe_delay(config.patience_s)} at most{before} (`patience_s`)"
    else:
        return None
    message = f"{error}; it asks to wait {describe_delay(wait)}, and {why}: ask again later, or allow more"
    return WaitTooLongError(message, retry_after_s=wait)
