"""Every model call of a node goes through here: budget before it, a record after it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from imagerag.agent.errors import BudgetExceededError, JudgeReplyError
from imagerag.agent.ports import GeneratedImage, Reading
from imagerag.agent.state import RunState, coming_round
from imagerag.agent.types import Call, Knobs, Variation

Answer = TypeVar("Answer", bound=Reading | GeneratedImage)
Failure = TypeVar("Failure", bound=Exception)


@dataclass
class Calls:
    """The calls one node makes: `made` goes into the node's update.

    Attributes:
        spent: model calls the run made before this node.
        round: the round they are booked under.
    """

    knobs: Knobs
    spent: int
    round: int
    made: list[Call] = field(default_factory=list)

    @classmethod
    def of(cls, state: RunState, knobs: Knobs) -> "Calls":
        """The calls of a node that was handed `state`."""
        return cls(knobs, len(state.get("calls") or []), coming_round(state))

    async def make(
        self, role: str, backend: str, ask: Callable[[], Awaitable[Answer]], variation: Variation | None = None
    ) -> Answer:
        """Make one call within the budget and record it, whether it succeeds or not.

        Raises:
            BudgetExceededError: it would be one call too many, or the deadline has come.
        """
        left = self._check_budget()
        began = time.monotonic()

        def note(raw: str, cost_usd: float | None = None, error: str | None = None) -> None:
            took = time.monotonic() - began
            self.made.append(
                Call(
                    role=role,
                    backend=backend,
                    round=self.round,
                    variation=variation or Variation(),
                    elapsed_s=took,
                    cost_usd=cost_usd,
                    raw=raw,
                    error=error,
                )
            )

        clock = asyncio.timeout(left)
        try:
            async with clock:
                answer = await ask()
        except Exception as error:
            note(getattr(error, "raw", ""), error=str(error) or type(error).__name__)
            if clock.expired():
                raise self._over("the deadline came during a call") from None
            carrying(self.made, error)
            raise
        note(getattr(answer, "raw", ""), answer.cost_usd)
        return answer

    async def make_readable(
        self,
        role: str,
        backend: str,
        ask: Callable[[Variation], Awaitable[Answer]],
        variation: Variation | None = None,
    ) -> Answer:
        """Make one call, and once more with other words when the answer cannot be read.

        Raises:
            JudgeReplyError: neither answer could be read.
        """
        first = variation or Variation()
        try:
            return await self.make(role, backend, lambda: ask(first), first)
        except JudgeReplyError:
            again = first.model_copy(update={"wording": first.wording + 1})
            return await self.make(role, backend, lambda: ask(again), again)

    def _check_budget(self) -> float | None:
        """Seconds left until the deadline; None when there is none."""
        if self.knobs.max_calls is not None and self.spent + len(self.made) >= self.knobs.max_calls:
            raise self._over(f"the run may make {self.knobs.max_calls} model calls, and has made them")
        left = self.knobs.deadline_at - time.time() if self.knobs.deadline_at is not None else None
        if left is not None and left <= 0:
            raise self._over("the deadline has come")
        return left

    def _over(self, message: str) -> BudgetExceededError:
        return carrying(self.made, BudgetExceededError(message))


def carrying(calls: list[Call], error: Failure) -> Failure:
    """The error, carrying the calls its node made: a node that fails returns no update that could."""
    error.__dict__["calls"] = calls
    return error


def calls_of(error: BaseException) -> list[Call]:
    """The calls that a failed node made before it failed."""
    calls: list[Call] = error.__dict__.get("calls", [])
    return calls
