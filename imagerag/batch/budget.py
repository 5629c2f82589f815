"""What a batch may spend."""

import asyncio
from dataclasses import dataclass, field

from imagerag.agent.errors import BudgetExceededError
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

    async def hold(self, name: str, most: float) -> None:
        """Wait until there is room for `most` US dollars, and keep it.

        Raises:
            BudgetExceededError: there will be none.
        """
        async with self.changed:
            while self.limit is not None and self._taken + most > self.limit + 1e-9:
                if not self.held:
                    gone = dollars(self._taken)
                    raise BudgetExceededError(
                        f"the batch may spend {dollars(self.limit)} and has spent {gone}; the next run, "
                        f"{name}, can cost {dollars(most)}: go on with a larger --max-cost-usd, and --resume"
                    )
                await self.changed.wait()
            self.held[name] = most

    @property
    def _taken(self) -> float:
        return self.spent + sum(self.half_made.values()) + sum(self.held.values())

    async def pay(self, name: str, cost: float | None) -> float:
        """Book what a run cost; the most it could have, where that is not known. Gives what was booked."""
        async with self.changed:
            held = self.held.pop(name, 0.0)
            booked = held if cost is None else cost
            self.spent += booked
            self.changed.notify_all()
        return booked
