"""The budget of a run, checked before each call, and the reservation of a call that has no response yet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from imagerag.agent import clock
from imagerag.agent.calls import pending_calls
from imagerag.agent.calls.costs import (
    Backends,
    after_observed_calls,
    budget_violation,
    estimator_for,
    max_cost,
    max_observed_cost,
    requests_made,
)
from imagerag.agent.errors import BudgetExceededError
from imagerag.agent.ports import PriceEstimator
from imagerag.agent.types import ModelCall, RunConfig


@dataclass(frozen=True, kw_only=True)
class Reservation:
    """A call that fits the budget.

    Attributes:
        call: with its upper bound in US dollars, where there is a budget in money.
        booked: the call as it counts until there is a response: at its upper bound, with all its possible requests.
        seconds: until the deadline; None without one.
        requests: number that the run may still make; None is any number.
    """

    call: ModelCall
    booked: ModelCall
    seconds: float | None
    requests: int | None


@dataclass(frozen=True, kw_only=True)
class CallBudget:
    """The limits of a run: requests, US dollars, deadline.

    Attributes:
        backends: what is called, for its prices.
        done_again: the run replays another one: its cached calls count as the calls they were.
    """

    config: RunConfig
    backends: Backends
    done_again: bool = False

    def reserve(self, call: ModelCall, content: Mapping[str, Any], calls: Sequence[ModelCall]) -> Reservation:
        """Reserve the requests and the cost of a call.

        Args:
            content: of the request.
            calls: all calls of the run so far.

        Raises:
            BudgetExceededError: it would be one call too many, could cost too much, or the deadline has come.
        """
        limit, assumed_usd = self.config.max_cost_usd, self.config.assume_cost_usd_per_call
        tariff, most, assumed = self._most(call, content, calls)
        if limit is not None and (why := budget_violation(call.role, call.backend, calls, tariff, most, limit)):
            raise BudgetExceededError(why)
        seconds, remaining = self.check(calls), self._requests_left(calls)
        if not (limit is None and assumed_usd is None):
            call = call.model_copy(update={"max_cost_usd": most, "assumed": assumed})
        requests = tariff.requests if remaining is None else max(1, min(tariff.requests, remaining))
        highest = max_observed_cost(call.role, calls) if most is None else most
        booked = pending_calls.pending_call(call, max_cost_usd=highest, assumed=assumed, requests=requests)
        return Reservation(call=call, booked=booked, seconds=seconds, requests=remaining)

    def check(self, calls: Sequence[ModelCall]) -> float | None:
        """Seconds left until the deadline; None when there is none.

        Raises:
            BudgetExceededError: it has come, or the calls that may be made are made.
        """
        remaining = self._requests_left(calls)
        if remaining is not None and remaining <= 0:
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
        """The price estimator of a call, its upper bound in US dollars, and whether that bound is the assumed price."""
        tariff = after_observed_calls(estimator_for(call.role, self.backends), call.role, calls)
        usd = self.config.assume_cost_usd_per_call
        partial_images = self.config.partial_images if call.role == "generate" else 0
        most = max_cost(tariff, content, self.config.size, partial_images)
        if most is not None or tariff.known or usd is None:
            return tariff, most, False
        return tariff, max_cost(tariff.assuming(usd), content, self.config.size), True
