"""Budget of a server over all its runs: for its lifetime, and for a day.

A run's own limits are a promise about that run; a client that starts a hundred runs spends a hundred times as much. So
the most that a run may spend is held back here before it begins, and what it did spend is booked when it ends.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from math import inf
from typing import Final, TypeVar

from imagerag.agent.completion import to_completion
from imagerag.agent.errors import BudgetExceededError
from imagerag.formatting.numbers import dollars
from imagerag.store.daily_usage import Amount, DailyUsage, today

Number = TypeVar("Number", int, float)

NO_LIMIT: Final = 1 << 60


@dataclass(frozen=True, kw_only=True)
class ServerLimits:
    """Limits of all runs of a server together; None is no limit.

    Attributes:
        max_calls: model calls while it runs.
        max_cost_usd: US dollars while it runs.
        daily_calls: model calls a day (UTC), of all servers of its home, restarts included.
        daily_cost_usd: US dollars a day, likewise.
    """

    max_calls: int | None = None
    max_cost_usd: float | None = None
    daily_calls: int | None = None
    daily_cost_usd: float | None = None


@dataclass
class BudgetShare:
    """The share of one run in the budget.

    Attributes:
        max_calls: model calls; None where nobody limits them.
        max_cost_usd: US dollars, likewise.
        spent: what it has spent, once that is known; until then it counts as all that it may.
    """

    max_calls: int | None
    max_cost_usd: float | None
    spent: Amount | None = None

    def book(self, calls: int, usd: float | None) -> None:
        """Say what was spent; of an unknown price, it is all that might have been."""
        self.spent = Amount(calls, usd if usd is not None else self.max_cost_usd or 0.0)


@dataclass
class ServerBudget:
    """The rest of a server's budget.

    Attributes:
        limits: what there was to begin with.
        daily: where a day's spending is kept.
    """

    limits: ServerLimits
    daily: DailyUsage | None = None
    _spent: Amount = field(default_factory=Amount)
    _held: dict[int, Amount] = field(default_factory=dict)
    _one_by_one: asyncio.Lock = field(default_factory=asyncio.Lock)
    _ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def calls_limited(self) -> bool:
        """Whether model calls are counted."""
        return self.limits.max_calls is not None or self.limits.daily_calls is not None

    @property
    def cost_limited(self) -> bool:
        """Whether US dollars are counted."""
        return self.limits.max_cost_usd is not None or self.limits.daily_cost_usd is not None

    @asynccontextmanager
    async def share(self, calls: int | None, usd: float | None, *, whole: bool = False) -> AsyncIterator[BudgetShare]:
        """Hold back what a run may spend, waiting for others that hold what it needs.

        Args:
            calls, usd: what it may spend by its own limits; all that is left where None.
            whole: it spends by these limits, and can be given no smaller ones.

        Raises:
            BudgetExceededError: there is nothing left, or not enough.
        """
        if not (self.calls_limited or self.cost_limited):
            yield BudgetShare(calls, usd)
            return
        share, entry = await self._hold(calls, usd, whole)
        key = id(share)
        try:
            yield share
        finally:
            reservation = self._held.pop(key)
            spent = share.spent or reservation
            self._spent = Amount(self._spent.calls + spent.calls, self._spent.usd + spent.usd)
            try:
                if entry is not None and self.daily is not None:
                    await to_completion(asyncio.to_thread(self.daily.settle, entry, spent))
            finally:
                ended, self._ended = self._ended, asyncio.Event()
                ended.set()

    async def _hold(self, calls: int | None, usd: float | None, whole: bool) -> tuple[BudgetShare, int | None]:
        request = Amount(NO_LIMIT if calls is None else calls, inf if usd is None else usd)
        while True:
            ended = self._ended
            async with self._one_by_one:
                available = await self._remaining()
                enough = request.calls <= available.calls and request.usd <= available.usd
                if enough or not self._held:
                    if (whole and not enough) or available.calls < 1 or available.usd <= 0:
                        raise BudgetExceededError(await self._why_not())
                    share = self._smaller(calls, usd, available)
                    amount = Amount(
                        share.max_calls or 0 if self.calls_limited else 0,
                        share.max_cost_usd or 0.0 if self.cost_limited else 0.0,
                    )
                    entry = await self._daily_entry(amount)
                    if entry != 0:
                        self._held[id(share)] = amount
                        return share, entry
                    continue  # another server of this home was first
            await ended.wait()

    def _smaller(self, calls: int | None, usd: float | None, available: Amount) -> BudgetShare:
        if self.calls_limited:
            calls = available.calls if calls is None else min(calls, available.calls)
        if self.cost_limited:
            usd = available.usd if usd is None else min(usd, available.usd)
        return BudgetShare(calls, usd)

    async def _daily_entry(self, amount: Amount) -> int | None:
        """The day's entry for an amount: None where days are not limited, 0 where it does not fit."""
        if self.daily is None:
            return None
        most = Amount(
            NO_LIMIT if self.limits.daily_calls is None else self.limits.daily_calls,
            inf if self.limits.daily_cost_usd is None else self.limits.daily_cost_usd,
        )
        taking = asyncio.ensure_future(asyncio.to_thread(self.daily.take, today(), amount, most))
        try:
            return await to_completion(taking) or 0
        except asyncio.CancelledError:  # nobody would settle it, and the day would have so much less
            if not taking.cancelled() and taking.exception() is None and (entry := taking.result()):
                await to_completion(asyncio.to_thread(self.daily.settle, entry, Amount()))
            raise

    async def _remaining(self) -> Amount:
        limits, day = self.limits, await self._today()
        calls = self._spent.calls + sum(amount.calls for amount in self._held.values())
        usd = self._spent.usd + sum(amount.usd for amount in self._held.values())
        return Amount(
            min(_rest(limits.max_calls, calls, NO_LIMIT), _rest(limits.daily_calls, day.calls, NO_LIMIT)),
            min(_rest(limits.max_cost_usd, usd, inf), _rest(limits.daily_cost_usd, day.usd, inf)),
        )

    async def _today(self) -> Amount:
        return Amount() if self.daily is None else await asyncio.to_thread(self.daily.spent, today())

    async def _why_not(self) -> str:
        day, limits, parts = await self._today(), self.limits, []
        if limits.max_calls is not None:
            parts.append(f"{self._spent.calls} of {limits.max_calls} model calls")
        if limits.max_cost_usd is not None:
            parts.append(f"{dollars(self._spent.usd)} of {dollars(limits.max_cost_usd)}")
        if limits.daily_calls is not None:
            parts.append(f"{day.calls} of {limits.daily_calls} model calls today (UTC)")
        if limits.daily_cost_usd is not None:
            parts.append(f"{dollars(day.usd)} of {dollars(limits.daily_cost_usd)} today (UTC)")
        # A day is shared with other servers, whose runs count at their most until they end.
        spent = "spent, or set aside for runs under way," if self.daily is not None else "spent"
        return f"this server has {spent} {', '.join(parts)}, and the rest is too little for this run"


def _rest(limit: Number | None, spent: Number, otherwise: Number) -> Number:
    if limit is None:
        return otherwise
    return limit - spent if limit > spent else limit - limit
