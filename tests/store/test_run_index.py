"""The list of runs."""

import asyncio
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone

import pytest

from imagerag.agent.errors import UnknownRunError
from imagerag.agent.types import Outcome
from imagerag.store.run_index import RunEntry, RunIndex


@pytest.fixture
def runs(tmp_path):
    return RunIndex(tmp_path / "home" / "run_list.sqlite")


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
    lists = [RunIndex(runs.path) for _ in range(4)]
    await asyncio.gather(*(lists[n % 4].upsert(f"run-{n % 25}", prompt=f"p{n}", status="running") for n in range(100)))
    assert len(await runs.list(None)) == 25


async def test_lines_of_many_runs_share_commits_while_it_is_kept_open(runs):
    async with runs.kept_open() as grouped:
        told = []
        grouped.connection.set_trace_callback(told.append)
        await asyncio.gather(*(runs.upsert(f"run-{n}", prompt="p", status="running") for n in range(50)))
        assert told.count("COMMIT") < 10
        assert len(await runs.list(None)) == 50  # others see them


async def test_filters_by_library_time_cost_and_standing(runs):
    await runs.upsert(
        "dear", prompt="a", status="ended", outcome=Outcome.ALIGNED, library="shop", cost_usd=2.5, calls=9
    )
    await runs.upsert("free", prompt="b", status="ended", outcome=Outcome.FAILED, library="home", cost_usd=0.0, calls=1)
    await runs.upsert("unknown", prompt="c", status="running", library="shop")
    now = datetime.now(UTC)

    async def ids(**wanted):
        return {run.run_id for run in await runs.list(None, **wanted)}

    assert await ids(library="shop") == {"dear", "unknown"}
    assert await ids(min_cost=0.01) == {"dear"}
    assert await ids(max_cost=1) == {"free"}
    assert await ids(status="running") == {"unknown"}
    assert await ids(since=now - timedelta(hours=1)) == {"dear", "free", "unknown"}
    assert await ids(since=now + timedelta(hours=1)) == set()
    assert await ids(until=now.astimezone(timezone(timedelta(hours=5))) + timedelta(seconds=5), library="home") == {
        "free"
    }
    assert await ids(until=now - timedelta(hours=1)) == set()
    assert (await runs.get("dear")).calls == 9


async def test_a_file_of_an_earlier_version_is_brought_up(runs):
    runs.path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(runs.path)) as old, old:
        old.execute(
            "CREATE TABLE runs (run_id TEXT PRIMARY KEY, created TEXT NOT NULL, updated TEXT NOT NULL, status TEXT NOT "
            "NULL, outcome TEXT, prompt TEXT NOT NULL, library TEXT, score REAL, folded TEXT NOT NULL) WITHOUT ROWID"
        )
        moment = "2026-01-02T03:04:05.000000+00:00"
        row = ("old", moment, moment, "ended", "aligned", "a cat", None, 1.0, "a cat")
        old.execute("INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
    both = [RunIndex(runs.path) for _ in range(4)]
    lists = await asyncio.gather(*(each.list() for each in both))
    assert [(run.run_id, run.cost_usd) for run in lists[0]] == [("old", None)]
    await runs.upsert("old", prompt="a cat", status="ended", outcome=Outcome.ALIGNED, cost_usd=0.5)
    assert [run.cost_usd for run in await runs.list(min_cost=0.1)] == [0.5]


async def test_a_list_is_read_page_by_page_and_counted(runs: RunIndex) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    for number in range(7):
        # Some begin at the same moment: the id decides then, and none is listed twice or left out.
        created = at + timedelta(minutes=number // 3)
        await runs.upsert(f"r{number}", prompt="a fox", status="ended", created=created, image=f"{number:064}")
    listed: list[RunEntry] = []
    while page := await runs.list(2, text="FOX", after=(listed[-1].created, listed[-1].run_id) if listed else None):
        listed += page
    assert [run.run_id for run in listed] == ["r6", "r5", "r4", "r3", "r2", "r1", "r0"]
    assert await runs.count(text="FOX") == 7
    assert await runs.count(text="owl") == 0
    assert (await runs.get("r3")).image == f"{3:064}"
    assert [run.run_id for run in await runs.list(after=(at, "r1-gone"))] == ["r1", "r0"]


async def test_the_runs_that_come_from_a_run(runs: RunIndex) -> None:
    await runs.upsert("a", prompt="a", status="ended")
    await runs.upsert("b", prompt="b", status="running", parent_run="a")
    await runs.upsert("b", prompt="b", status="ended")
    assert [run.run_id for run in await runs.list(parent_run="a")] == ["b"]
    assert await RunIndex(runs.path.with_name("none.sqlite")).count() == 0
