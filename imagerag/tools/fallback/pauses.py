"""Members of a fallback that a run does not call again: their quota is spent, or they asked to wait."""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from imagerag.agent import clock
from imagerag.agent.errors import BackendError, QuotaError, RateLimitedError
from imagerag.agent.retry_policy import describe_delay

_RUNS: Final = 256
"""Runs that are remembered; a process may serve thousands."""


@dataclass(frozen=True)
class Pause:
    """Why and until when a member is not called.

    Attributes:
        until: in seconds since 1970; None is the rest of the run.
    """

    error: BackendError
    until: float | None

    @property
    def reminder(self) -> BackendError:
        """The member's error in place of a call: no request was sent."""
        remaining = None if self.until is None else max(0.0, self.until - clock.seconds())
        how_long = "in this run" if remaining is None else f"for {describe_delay(remaining)}"
        reminder = type(self.error)(f"{self.error}; it is not asked again {how_long}", retry_after_s=remaining)
        reminder.sent = False
        return reminder


@dataclass
class Pauses:
    """The paused members of a fallback, by run and place. They are kept in memory only."""

    _runs: OrderedDict[str, dict[int, Pause]] = field(default_factory=OrderedDict)

    def of(self, run_id: str) -> dict[int, Pause]:
        """The members that are paused now, by their place."""
        now = clock.seconds()
        paused = self._runs.get(run_id, {})
        return {place: pause for place, pause in paused.items() if pause.until is None or pause.until > now}

    def remove(self, run_id: str, place: int) -> None:
        """End the pause of a member that responded."""
        self._runs.get(run_id, {}).pop(place, None)

    def add(self, run_id: str, place: int, error: BackendError) -> None:
        """Pause a member after an error that a call soon after would get again; other errors pause nobody."""
        wait = error.retry_after_s
        if not run_id or not (isinstance(error, QuotaError) or (isinstance(error, RateLimitedError) and wait)):
            return
        self._runs.setdefault(run_id, {})[place] = Pause(error, None if wait is None else clock.seconds() + wait)
        self._runs.move_to_end(run_id)
        while len(self._runs) > _RUNS:
            self._runs.popitem(last=False)
