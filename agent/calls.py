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
        left = self._time_left()
        if self.knobs.max_calls is not None and self.spent + len(self.made) >= self.knobs.max_calls:
            raise BudgetExceededError(f"the run may make {self.knobs.max_calls} model calls, and has made them")
        began = time.monotonic()
        raw, cost, error = "", None, None
        try:
            async with asyncio.timeout(left):
                answer = await ask()
            raw, cost = getattr(answer, "raw", ""), answer.cost_usd
        except TimeoutError as caught:
            if left is None or time.monotonic() - began < left:
                error = str(caught) or "timed out"
                raise
            error = "the deadline came during the call"
            raise BudgetExceededError(error) from None
        except JudgeReplyError as caught:
            raw, error = caught.raw, str(caught)
            raise
        except Exception as caught:
            error = str(caught)
            raise
        finally:
            self.made.append(
                Call(
                    role=role,
                    backend=backend,
                    round=self.round,
                    variation=variation or Variation(),
                    elapsed_s=time.monotonic() - began,
                    cost_usd=cost,
                    raw=raw,
                    error=error,
                )
            )
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

    def _time_left(self) -> float | None:
        if self.knobs.deadline_at is None:
            return None
        left = self.knobs.deadline_at - time.time()
        if left <= 0:
            raise BudgetExceededError("the deadline has come")
        return left
