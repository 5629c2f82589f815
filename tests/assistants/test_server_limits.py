"""What all runs of a server may spend together: in its life and on a day, over restarts and among several servers."""

import asyncio
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagerag.agent.errors import BudgetExceededError
from imagerag.assistants.usage_limits import BudgetShare, ServerBudget, ServerLimits
from imagerag.store.daily_usage import Amount, DailyUsage, today
from tests.cancellation_points import cancelled_at


async def spend(
    allowance: ServerBudget, calls: int, usd: float | None = 0.0, *, most: int | None = None
) -> BudgetShare:
    async with allowance.share(most, None) as share:
        share.book(calls, usd)
    return share


async def test_without_limits_a_run_is_given_what_it_asked_for() -> None:
    async with ServerBudget(ServerLimits()).share(7, None) as share:
        assert (share.max_calls, share.max_cost_usd) == (7, None)


async def test_a_run_gets_what_is_left_and_then_none_begins() -> None:
    allowance = ServerBudget(ServerLimits(max_calls=10, max_cost_usd=1.0))
    assert (await spend(allowance, 4, 0.25)).max_calls == 10
    second = await spend(allowance, 6, 0.5)
    assert (second.max_calls, second.max_cost_usd) == (6, 0.75)
    with pytest.raises(BudgetExceededError, match="10 of 10 model calls"):
        await spend(allowance, 1)


async def test_its_own_limit_stays_the_smaller_one() -> None:
    assert (await spend(ServerBudget(ServerLimits(max_calls=10)), 1, most=3)).max_calls == 3


async def test_money_of_an_unknown_price_is_booked_as_all_that_it_might_have_been() -> None:
    allowance = ServerBudget(ServerLimits(max_cost_usd=1.0))
    async with allowance.share(None, 0.6) as share:
        share.book(1, None)
    async with allowance.share(None, None) as left:
        assert left.max_cost_usd == pytest.approx(0.4)


async def test_runs_at_once_never_hold_more_than_there_is() -> None:
    allowance, held, most = ServerBudget(ServerLimits(max_calls=10)), 0, 0

    async def run() -> None:
        nonlocal held, most
        async with allowance.share(4, None) as share:
            held += share.max_calls or 0
            most = max(most, held)
            await asyncio.sleep(0.01)
            share.book(2, 0.0)
            held -= share.max_calls or 0

    ended = await asyncio.gather(*(run() for _ in range(8)), return_exceptions=True)
    assert most <= 10
    assert sum(isinstance(one, BudgetExceededError) for one in ended) == 3  # five runs of two calls are the ten


async def test_a_run_that_was_cancelled_counts_as_all_that_it_may_have_spent() -> None:
    allowance = ServerBudget(ServerLimits(max_calls=10))
    with pytest.raises(asyncio.CancelledError):
        async with allowance.share(4, None):
            raise asyncio.CancelledError
    async with allowance.share(None, None) as share:
        assert share.max_calls == 6


async def test_a_day_goes_on_after_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limits, daily = ServerLimits(daily_calls=5, daily_cost_usd=1.0), DailyUsage(tmp_path / "home" / "usage.sqlite")
    await spend(ServerBudget(limits, daily), 3, 0.75)
    again = ServerBudget(limits, DailyUsage(daily.path))
    share = await spend(again, 2, 0.1)
    assert (share.max_calls, share.max_cost_usd) == (2, 0.25)
    with pytest.raises(BudgetExceededError, match=r"5 of 5 model calls today \(UTC\)"):
        await spend(again, 1)
    monkeypatch.setattr("imagerag.assistants.usage_limits.today", lambda: "2999-01-01")
    assert (await spend(again, 1)).max_calls == 5


@pytest.mark.parametrize("again", [False, True], ids=["once", "again and again"])
async def test_a_request_that_is_cancelled_at_any_await_holds_nothing(tmp_path: Path, again: bool) -> None:
    daily = DailyUsage(tmp_path / "usage.sqlite")

    async def refused_before_its_first_step(allowance: ServerBudget) -> None:
        async with allowance.share(None, None) as share:
            share.book(0, 0.0)

    for nth in count(1):
        allowance = ServerBudget(ServerLimits(daily_calls=5, daily_cost_usd=1.0), daily)
        reached = await cancelled_at(refused_before_its_first_step(allowance), nth, again=again)
        assert daily.spent(today()) == Amount(0, 0.0), f"cancelled at await {nth}"
        if not reached:
            break
    assert nth > 3


async def test_a_server_that_died_in_a_run_has_spent_what_the_run_might(tmp_path: Path) -> None:
    daily = DailyUsage(tmp_path / "usage.sqlite")
    assert daily.take("2026-01-01", Amount(4, 0.5), Amount(5, 1.0))
    assert DailyUsage(daily.path).spent("2026-01-01") == Amount(4, 0.5)
    assert daily.take("2026-01-01", Amount(2, 0.0), Amount(5, 1.0)) is None


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 6)), max_size=12), st.integers(0, 20))
def test_no_order_of_runs_spends_more_than_the_limit(runs: list[tuple[int, int]], limit: int) -> None:
    async def all_of_them() -> int:
        allowance, spent = ServerBudget(ServerLimits(max_calls=limit)), 0

        async def one(most: int, wants: int) -> None:
            nonlocal spent
            async with allowance.share(most, None) as share:
                await asyncio.sleep(0)
                made = min(wants, share.max_calls or 0)  # a run keeps its own limit
                spent += made
                share.book(made, 0.0)

        ended = await asyncio.gather(*(one(most, wants) for most, wants in runs), return_exceptions=True)
        assert all(one is None or isinstance(one, BudgetExceededError) for one in ended)
        return spent

    assert asyncio.run(all_of_them()) <= limit
