"""Model calls and their costs."""

from collections.abc import Iterable, Mapping
from math import fsum

from pydantic import Field

from imagerag.agent.types.base import FrozenModel, SamplingParams, earlier_names


class ModelCall(FrozenModel):
    """One call of a model, as it was made.

    Attributes:
        role: which port was called, for instance "judge.critique".
        round: the round it belongs to.
        elapsed_s: wall time in seconds.
        cost_usd: what it cost; None when the price is not known (never zero for unknown).
        max_cost_usd: what it could have cost at most, where a budget in money was kept and that was known.
        assumed: nobody knows its price, and `max_cost_usd` is what the user said to count it at.
        usage: tokens by kind, where the service counts them.
        raw_response: the model's own words, where it answered in words.
        error: the error's message, when it failed.
        request: SHA-256 of everything the call was asked with.
        completed: False when no answer arrived (an error on the way).
        unsettled: no answer arrived, and nobody can know whether the service charges for it all the same: the process
            was killed, the run cancelled, or the time was over. Or what arrived was paid for and cannot be read, and
            tells no cost. It counts at `max_cost_usd`.
        call_id: tells a call without an answer from others like it; empty for those that were answered.
        retry_after_s: how long the service then asked to wait, in seconds.
        cached: the answer came from another run's journal and cost nothing.
        requests: how often a model was asked for this one answer: more than once where a judge voted, and not at all
            where nothing could be sent (no key, nobody listening).
        note: why backends asked before this one did not answer (a fallback).
    """

    role: str
    backend: str
    round: int = 0
    variation: SamplingParams = SamplingParams()
    elapsed_s: float = Field(ge=0)
    cost_usd: float | None = None
    max_cost_usd: float | None = None
    assumed: bool = False
    usage: Mapping[str, int] = Field(default_factory=dict)
    raw_response: str = ""
    error: str | None = None
    request: str = ""
    completed: bool = True
    unsettled: bool = False
    call_id: str = ""
    retry_after_s: float | None = None
    cached: bool = False
    requests: int = Field(default=1, ge=0)
    note: str = ""

    _earlier = earlier_names(most_usd="max_cost_usd", raw="raw_response", answered="completed", reused="cached")

    @property
    def counted_usd(self) -> float | None:
        """The cost in US dollars, or the upper bound it counts at; None when neither is known."""
        return self.max_cost_usd if self.cost_usd is None and (self.assumed or self.unsettled) else self.cost_usd

    @property
    def counts(self) -> bool:
        """Whether it may have cost something. A failed call did not, unless its cost is known or its end is unknown."""
        return self.error is None or self.unsettled or self.cost_usd is not None

    def canonical(self) -> "ModelCall":
        """A copy without billing fields, for comparison."""
        return self.model_copy(update={"cached": False, "cost_usd": 0.0, "max_cost_usd": None, "assumed": False})


def cost_of_calls(calls: Iterable[ModelCall]) -> float | None:
    """The total cost of calls in US dollars; None when the cost of one is not known."""
    costs = [call.counted_usd for call in calls if call.counts]
    return None if None in costs else fsum(cost for cost in costs if cost is not None)


def assumed_cost(calls: Iterable[ModelCall]) -> float:
    """The part of `cost_of_calls` that was assumed, in US dollars."""
    assumed = [call.max_cost_usd or 0.0 for call in calls if call.counts and call.assumed and call.cost_usd is None]
    return fsum(assumed)


def unsettled_cost(calls: Iterable[ModelCall]) -> float:
    """The part of `cost_of_calls` that calls without an answer, or with one that cannot be read, cost at most, in US
    dollars."""
    return fsum(
        call.max_cost_usd or 0.0 for call in calls if call.unsettled and not call.assumed and call.cost_usd is None
    )
