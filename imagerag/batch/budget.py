"""Budget of a batch."""

import asyncio
from dataclasses import dataclass, field

from imagerag.agent.calls.error_calls import calls_from_error
from imagerag.agent.errors import BudgetExceededError
from imagerag.agent.run_record import RunRecord
from imagerag.formatting.numbers import dollars


@dataclass
class BatchBudget:
    """The budget of a batch. A run is begun only when the most it can cost is left beside what others may still cost.

    Attributes:
        limit: US dollars; None is no limit.
        spent: by runs that have ended.
        held: what runs that are under way may cost, by the id of their line.
        half_made: what runs have cost that were left in the middle, by their id, until they are gone on with.
    """

    limit: float | None
    spent: float = 0.0
    held: dict[str, float] = field(default_factory=dict)
    half_made: dict[str, float] = field(default_factory=dict)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def hold(self, name: str, most: float, *, run_id: str, limit: float | str | None) -> None:
        """Wait until there is room for what a run can cost in all, and keep it.

        Args:
            name: the id of its line.
            most: US dollars that it can cost from here on.
            run_id: what a kill has left of it is counted too.
            limit: its own limit, in US dollars.

        Raises:
            BudgetExceededError: there will be none.
        """
        before = self.half_made.pop(run_id, 0.0)
        whole = before + most if limit is None else min(before + most, max(before, float(limit)))
        try:
            await self._hold(name, whole)
        except BaseException:
            if before:
                self.half_made[run_id] = before
            raise

    async def _hold(self, name: str, most: float) -> None:
        async with self.changed:
            while self.limit is not None and self._committed_usd + most > self.limit + 1e-9:
                if not self.held:
                    spent = dollars(self._committed_usd)
                    raise BudgetExceededError(
                        f"the batch may spend {dollars(self.limit)} and has spent {spent}; the next run, "
                        f"{name}, can cost {dollars(most)}: go on with a larger `max_cost_usd`, and `resume=True`"
                    )
                await self.changed.wait()
            self.held[name] = most

    @property
    def _committed_usd(self) -> float:
        return self.spent + sum(self.half_made.values()) + sum(self.held.values())

    async def pay(self, name: str, cost: float | None) -> float:
        """Book what a run cost; the most it could have, where that is not known. Gives what was booked."""
        async with self.changed:
            reserved = self.held.pop(name, 0.0)
            booked = reserved if cost is None else cost
            self.spent += booked
            self.changed.notify_all()
        return booked


def known_cost(error: Exception) -> float:
    """US dollars of the calls that an error says were made before it."""
    return sum(call.cost_usd or 0.0 for call in calls_from_error(error))


def spent_by(record: RunRecord) -> float:
    """The cost of a run so far: calls without a response at their highest price, unknown prices left out."""
    return sum(call.counted_usd or 0.0 for call in record.call_log if call.counts)
