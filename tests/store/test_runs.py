"""The list of runs."""

import asyncio

import pytest

from imagerag.agent.errors import UnknownRunError
from imagerag.agent.types import Outcome
from imagerag.store.runs import RunList


@pytest.fixture
def runs(tmp_path):
    return RunList(tmp_path / "home" / "run_list.sqlite")


async def test_first_created_last_known(runs):
    first = await runs.upsert("r1", prompt="a cat", status="running", library="shop")
    await runs.upsert("r1", prompt="a cat", status="ended", outcome=Outcome.ALIGNED, library="shop", score=1.0)
    found = await runs.get("r1")
    assert (found.status, found.outcome, found.score, found.library) == ("ended", Outcome.ALIGNED, 1.0, "shop")
    assert found.created == first.created
    assert found.updated > first.updated


async def test_prefix_when_unique(runs):
    for run_id in ("abc1", "abc2", "abd", "ab%_"):
        await runs.upsert(run_id, prompt="x", status="running")
    assert (await runs.get("abd")).run_id == "abd"
    assert (await runs.get("ab%")).run_id == "ab%_"
    with pytest.raises(UnknownRunError, match="abc1, abc2"):
        await runs.get("abc")
    with pytest.raises(UnknownRunError, match=r"most recent are .*abd"):
        await runs.get("zz")
    await runs.upsert("abc", prompt="x", status="running")
    assert (await runs.get("abc")).run_id == "abc"


async def test_nothing_yet(runs):
    assert await runs.list() == []
    with pytest.raises(UnknownRunError, match="none yet"):
        await runs.get("")
    assert not runs.path.exists()


async def test_newest_first_and_filters(runs):
    for number, prompt in enumerate(("A Fox's 100% den", "ÄPFEL; DROP TABLE runs", "a fox_")):
        outcome = Outcome.FAILED if number == 1 else Outcome.ALIGNED
        await runs.upsert(f"r{number}", prompt=prompt, status="ended", outcome=outcome)
    assert [run.run_id for run in await runs.list()] == ["r2", "r1", "r0"]
    assert [run.run_id for run in await runs.list(1)] == ["r2"]
    assert [run.run_id for run in await runs.list(outcome="failed")] == ["r1"]
    assert [run.run_id for run in await runs.list(text="fox's")] == ["r0"]
    assert [run.run_id for run in await runs.list(text="äpfel")] == ["r1"]
    assert [run.run_id for run in await runs.list(text="%")] == ["r0"]
    assert len(await runs.list(None, text="fox", outcome=Outcome.ALIGNED)) == 2


async def test_many_writers(runs):
    lists = [RunList(runs.path) for _ in range(4)]
    await asyncio.gather(*(lists[n % 4].upsert(f"run-{n % 25}", prompt=f"p{n}", status="running") for n in range(100)))
    assert len(await runs.list(None)) == 25
