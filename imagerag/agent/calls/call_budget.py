"""The budget of a run as one call meets it: whether it may be made, and what is booked while it has no answer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from imagerag.agent import clock
from imagerag.agent.calls import pending_calls
from imagerag.agent.calls.costs import (
    Tariffs,
    budget_violation,
    estimator_for,
    max_cost,
    max_observed_cost,
    requests_made,
    told_by,
)
from imagerag.agent.errors import BudgetExceededError
from imagerag.agent.ports import PriceEstimator
from imagerag.agent.types import ModelCall, RunConfig


@dataclass(frozen=True, kw_only=True)
class Reservation:
    """A call that may be made.

    Attributes:
        call: with the most it can cost, where a budget in money is kept.
        booked: as it counts until it is answered: at its highest price, with all requests it may come to.
        seconds: left until the deadline; None when there is none.
        requests: that the run may still make; None when it may make any number.
    """

    call: ModelCall
    booked: ModelCall
    seconds: float | None
    requests: int | None


@dataclass(frozen=True, kw_only=True)
class CallBudget:
    """What a run may spend.

    Attributes:
        tariffs: what is known of the backends' prices.
        done_again: the run does another one again: what it reuses counts as the calls they were.
    """

    config: RunConfig
    tariffs: Tariffs
    done_again: bool = False

    def reserve(self, call: ModelCall, content: Mapping[str, Any], calls: Sequence[ModelCall]) -> Reservation:
        """Reserve what a call may take.

        Args:
            content: what it is asked with.
            calls: all calls of the run so far.

        Raises:
            BudgetExceededError: it would be one call too many, could cost too much, or the deadline has come.
        """
        limit, assumed_usd = self.config.max_cost_usd, self.config.assume_cost_usd_per_call
        tariff, most, assumed = self._most(call, content, calls)
        if limit is not None and (why := budget_violation(call.role, call.backend, calls, tariff, most, limit)):
            raise BudgetExceededError(why)
        seconds, left = self.check(calls), self._requests_left(calls)
        if not (limit is None and assumed_usd is None):
            call = call.model_copy(update={"max_cost_usd": most, "assumed": assumed})
        requests = tariff.requests if left is None else max(1, min(tariff.requests, left))
        highest = max_observed_cost(call.role, calls) if most is None else most
        booked = pending_calls.pending_call(call, max_cost_usd=highest, assumed=assumed, requests=requests)
        return Reservation(call=call, booked=booked, seconds=seconds, requests=left)

    def check(self, calls: Sequence[ModelCall]) -> float | None:
        """Seconds left until the deadline; None when there is none.

        Raises:
            BudgetExceededError: it has come, or the calls that may be made are made.
        """
        left = self._requests_left(calls)
        if left is not None and left <= 0:
            raise BudgetExceededError(f"the run may make {self.config.max_calls} model calls, and has made them")
        until = self.config.deadline_at
        seconds = until - clock.seconds() if until is not None else None
        if seconds is not None and seconds <= 0:
            raise BudgetExceededError("the deadline has come")
        return seconds

    def _requests_left(self, calls: Sequence[ModelCall]) -> int | None:
        limit = self.config.max_calls
        return None if limit is None else limit - requests_made(calls, done_again=self.done_again)

    def _most(
        self, call: ModelCall, content: Mapping[str, Any], calls: Sequence[ModelCall]
    ) -> tuple[PriceEstimator, float | None, bool]:
        """What is known of a call's price, the most it can cost, and whether that is what was said to assume."""
        tariff = told_by(estimator_for(call.role, self.tariffs), call.role, calls)
        usd = self.config.assume_cost_usd_per_call
        partial_images = self.config.partial_images if call.role == "generate" else 0
        most = max_cost(tariff, content, self.config.size, partial_images)
        if most is not None or tariff.known or usd is None:
            return tariff, most, False
        return tariff, max_cost(tariff.assuming(usd), content, self.config.size), True
