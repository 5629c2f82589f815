"""Removing runs: what goes, what others need stays, whatever ends the process in between."""

import asyncio
import os
import signal
import sqlite3
import textwrap
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imagerag.agent.errors import RunStateError, UnknownRunError
from imagerag.agent.run_record import RunRecord
from imagerag.agent.types import Outcome
from imagerag.graphs.runs import removal, run_sizes
from imagerag.graphs.runs.continuation import ContinueOptions
from imagerag.graphs.runs.events import last_record
from imagerag.graphs.runs.fork import ForkOptions
from imagerag.graphs.runs.pruning import PruneLimits, choose_runs
from imagerag.graphs.runs.reindexing import missing_from_index
from imagerag.graphs.runs.removal import collect, preview, remove_runs
from imagerag.graphs.runs.run_sizes import measure
from imagerag.store.blob_references import footprints
from imagerag.store.file_lock import run_lock
from imagerag.store.images.blob_store import sha256s_in
from imagerag.store.integrity_check import blob_files, integrity_problems
from tests.processes import Python
from tests.scripted_runs import scripted_spec

CAPTION = "a detailed picture of a heart"


async def ran(stage: Any, run_id: str, *judgements: Any, prompt: str = "", **config: Any) -> RunRecord:
    stage.judge.enqueue(*judgements)
    return await last_record(
        stage.runner.start(prompt or f"a heart for {run_id}", scripted_spec(**config), run_id=run_id)
    )


async def remove(stage: Any, *run_ids: str, **options: Any) -> Any:
    dependencies = stage.runner.dependencies
    return await remove_runs(dependencies, [await dependencies.runs.get(one) for one in run_ids], **options)


def blobs_of(stage: Any) -> set[str]:
    return {path.parent.name + path.name for path in blob_files(stage.runner.dependencies.home)}


def images(record: RunRecord) -> set[str]:
    """What it drew, and what it drew with: a run keeps copies of the library's images that it used."""
    used = {one.image.sha256 for attempt in record.attempts for one in attempt.references}
    return used | {attempt.image.sha256 for attempt in record.attempts}


async def test_a_removed_run_leaves_nothing_and_the_others_are_whole(stage):
    stage.library.plant(CAPTION)
    one, two = await ran(stage, "one", ["a heart"], []), await ran(stage, "two", ["a heart"], [])
    home = stage.runner.dependencies.home
    result = home.images / "one.png"
    result.parent.mkdir(parents=True)
    result.write_bytes(b"x")
    planned = await preview(stage.runner.dependencies, [await stage.runner.dependencies.runs.get("one")])
    assert (planned.dry_run, planned.kept, len(planned.runs)) == (True, 1, 1)
    assert blobs_of(stage) == images(one) | images(two)
    done = await remove(stage, "one")
    assert (done.freed_bytes, done.kept) == (planned.freed_bytes, 1)
    assert blobs_of(stage) == images(two)
    assert footprints(home).keys() - {""} == {"two"}
    assert not result.exists()
    with pytest.raises(UnknownRunError):
        await stage.runner.record("one")
    assert await stage.runner.record("two") == two
    assert [*integrity_problems(home)] == []
    assert missing_from_index(stage.runner.dependencies) == []


async def test_an_image_of_two_runs_stays_with_the_other(stage):
    first = await ran(stage, "first", [], prompt="the same heart")
    second = await ran(stage, "second", [], prompt="the same heart")
    assert images(first) == images(second)
    assert (await remove(stage, "first")).freed_bytes < (await remove(stage, "second")).freed_bytes
    assert blobs_of(stage) == set()


async def test_a_run_that_is_being_made_is_refused_and_passed_over_by_prune(stage):
    await ran(stage, "ended", [])
    await ran(stage, "held", [])
    home = stage.runner.dependencies.home
    with run_lock(home.lock("held"), "held"):
        with pytest.raises(RunStateError, match="held is being made right now"):
            await remove(stage, "ended", "held")
        assert len(await stage.runner.dependencies.runs.list()) == 2
        done = await remove(stage, "ended", "held", pass_over=True)
    assert ([one.run_id for one in done.runs], done.in_use, done.kept) == (["ended"], ["held"], 1)


async def test_a_replay_of_a_removed_run_still_costs_nothing(stage):
    stage.library.plant(CAPTION)
    await ran(stage, "first", ["a heart"], [])
    again = await last_record(stage.runner.replay("first", ForkOptions(step=1), new_id="again"))
    asked = len(stage.generator.calls) + len(stage.judge.calls)
    await remove(stage, "first")
    assert blobs_of(stage) >= images(again)
    third = await last_record(stage.runner.replay("again", ForkOptions(step=1), new_id="third"))
    assert third.canonical() == again.canonical()
    assert len(stage.generator.calls) + len(stage.judge.calls) == asked
    await remove(stage, "again", "third")
    assert footprints(stage.runner.dependencies.home).keys() - {""} == set()
    assert blobs_of(stage) == set()


async def test_the_images_of_a_run_go_with_it_after_its_replay_was_removed(stage):
    stage.library.plant(CAPTION)
    await ran(stage, "first", ["a heart"], [])
    for name in ("again", "third"):  # each marks the images of `first` as used, after that one ended
        await last_record(stage.runner.replay("first", ForkOptions(step=1), new_id=name))
    removals = stage.runner.dependencies.runs.removals
    await remove(stage, "third")
    await remove(stage, "again")
    there = blobs_of(stage)
    assert await removals.last_uses()
    assert (await removals.last_uses()).keys() <= there
    planned = await preview(stage.runner.dependencies, [await stage.runner.dependencies.runs.get("first")])
    assert (await remove(stage, "first")).freed_bytes == planned.freed_bytes
    assert blobs_of(stage) == set()
    assert await removals.last_uses() == {}


async def test_an_image_that_somebody_used_after_the_last_removed_run_stays(stage):
    record = await ran(stage, "first", [])
    await last_record(stage.runner.replay("first", ForkOptions(step=1), new_id="again"))
    await remove(stage, "again")
    stage.runner.dependencies.blobs.touch(images(record))  # a request that is about to be made
    await remove(stage, "first")
    assert blobs_of(stage) == images(record)


async def test_what_a_run_goes_on_from_stays_when_that_is_removed(stage):
    stage.library.plant(CAPTION)
    await ran(stage, "first", ["a heart"], ["a heart"], max_rounds=1)
    stage.judge.enqueue([])
    more = await last_record(stage.runner.continue_run("first", ContinueOptions(more_rounds=1), new_id="more"))
    await remove(stage, "first")
    for sha in images(more):
        assert await stage.runner.dependencies.blobs.get(sha)
    assert await stage.runner.record("more") == more


async def test_a_removed_answer_is_not_used_again(stage):
    await ran(stage, "first", [], prompt="the same")
    await remove(stage, "first")
    calls = len(stage.generator.calls)
    record = await ran(stage, "second", [], prompt="the same")
    assert len(stage.generator.calls) == calls + 1
    assert record.outcome is Outcome.ALIGNED


async def test_an_image_that_was_just_put_is_never_collected_and_an_old_one_is(stage):
    from imagerag.tools.testing.fakes import sample_image

    dependencies = stage.runner.dependencies
    kept = await dependencies.blobs.put(sample_image("uploaded"))
    assert await collect(dependencies, []) == 0
    assert blobs_of(stage) == {kept.sha256}
    assert await collect(dependencies, [], grace_s=-1) > 0
    assert blobs_of(stage) == set()


async def test_what_a_killed_process_left_unfinished_goes(stage):
    await ran(stage, "one", [])
    left = stage.runner.dependencies.home.blobs / "ab" / ".tmp-0123"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    os.utime(left, (0, 0))
    await remove(stage, "one")
    assert not left.exists()


async def test_links_to_images_that_are_gone_go_with_them_those_of_earlier_versions_too(stage):
    from imagerag.tools.testing.fakes import sample_image

    home, blobs = stage.runner.dependencies.home, stage.runner.dependencies.blobs
    kept, gone = [await blobs.put(sample_image(name)) for name in ("kept", "gone")]
    long_gone = "0123456789abcdef.png"  # its blob went before links of earlier versions were collected
    for folder in (home.root / "image-links", home.root / "pictures"):
        folder.mkdir()
        for one in (kept, gone):
            (folder / f"{one.sha256[:16]}.png").hardlink_to(blobs.path(one.sha256))
        (folder / long_gone).write_bytes(b"x")
    (home.root / "pictures" / "mine.png").write_bytes(b"mine")
    blobs.path(gone.sha256).unlink()
    await collect(stage.runner.dependencies, [])
    left = {str(path.relative_to(home.root)) for path in home.root.glob("*/*.png")}
    assert left == {f"image-links/{kept.sha256[:16]}.png", f"pictures/{kept.sha256[:16]}.png", "pictures/mine.png"}
    (home.root / "pictures" / "mine.png").unlink()
    await collect(stage.runner.dependencies, [], grace_s=-1)
    assert list(home.root.glob("*/*.png")) == []
    assert not (home.root / "pictures").exists()


async def test_an_image_that_someone_puts_again_outlives_its_run(stage):
    """A request that is about to begin has put the same picture; nothing names it yet."""
    record = await ran(stage, "first", [])
    sha = record.attempts[0].image.sha256
    data = await stage.runner.dependencies.blobs.get(sha)
    await asyncio.sleep(0.02)
    await stage.runner.dependencies.blobs.put(data)
    await remove(stage, "first")
    assert await stage.runner.dependencies.blobs.get(sha) == data


async def test_runs_that_are_being_made_lose_nothing_while_others_are_pruned(stage):
    """Runs begin, draw, replay and end while everything that has ended is removed over and over."""
    stage.library.plant(CAPTION)
    stage.generator.latency_s = 0.01
    made: dict[str, RunRecord] = {}
    dependencies = stage.runner.dependencies

    async def draw(number: int) -> None:
        made[f"kept{number}"] = await ran(stage, f"kept{number}", True, prompt=f"heart {number % 3}")
        await ran(stage, f"gone{number}", True, prompt=f"heart {number % 3}")

    async def prune() -> None:
        for _ in range(25):
            listed = [one for one in await dependencies.runs.list(None) if one.run_id.startswith("gone")]
            await remove_runs(dependencies, listed, pass_over=True)
            await asyncio.sleep(0)

    await asyncio.gather(prune(), *(draw(number) for number in range(12)))
    for run_id, record in made.items():
        assert await stage.runner.record(run_id) == record
        for sha in images(record):
            assert await dependencies.blobs.get(sha)


async def test_every_image_that_checkpoints_name_is_found(stage):
    stage.library.plant(CAPTION)
    record = await ran(stage, "one", ["a heart"], [])
    found = footprints(stage.runner.dependencies.home)["one"].blobs
    assert record.references
    assert images(record) <= found


@given(st.lists(st.binary(max_size=40), max_size=4), st.text("0123456789abcdef", min_size=64, max_size=64))
def test_a_hash_is_found_wherever_it_stands(around, sha):
    data = b"".join(around)
    assert sha in sha256s_in(data + sha.encode() + data)
    assert sha in sha256s_in(data + f"blobs/{sha[:2]}/{sha[2:]}".encode() + b'"' + data)


ENTRIES = st.lists(st.tuples(st.integers(0, 60), st.sampled_from(["ended", "running", "interrupted"])), max_size=12)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ENTRIES, st.none() | st.integers(0, 14), st.none() | st.integers(0, 60), st.booleans())
def test_limits_take_what_they_say(tmp_path_factory, make_stage, listed, keep, days, unfinished):
    stage = make_stage(tmp_path_factory.mktemp("home"))
    runs, now = stage.runner.dependencies.runs, datetime.now(UTC)

    async def chosen() -> list[str]:
        for at, (age, status) in enumerate(listed):
            created = now - timedelta(days=age, seconds=at)
            await runs.upsert(f"run{at}", prompt="x", status=status, created=created)
        older = None if days is None else now - timedelta(days=days)
        limits = PruneLimits(older_than=older, keep=keep, unfinished=unfinished)
        return [one.run_id for one in await choose_runs(stage.runner.dependencies, limits)]

    taken = asyncio.run(chosen())
    newest = sorted(range(len(listed)), key=lambda at: (listed[at][0], at))
    safe = set(newest[: keep or 0])
    expected = {
        f"run{at}"
        for at, (age, status) in enumerate(listed)
        if at not in safe
        and (unfinished or status == "ended")
        and (keep is not None if days is None else (age, at) > (days, 0))
    }
    assert set(taken) == expected


async def test_max_size_takes_the_oldest_until_it_is_met(stage):
    for number in range(4):
        await ran(stage, f"run{number}", [])
    dependencies = stage.runner.dependencies
    whole = await preview(dependencies, await dependencies.runs.list(None))
    limit = sum(one.bytes for one in whole.runs[2:])
    chosen = await choose_runs(dependencies, PruneLimits(max_bytes=limit))
    assert [one.run_id for one in chosen] == ["run0", "run1"]
    assert await choose_runs(dependencies, PruneLimits(max_bytes=whole.freed_bytes)) == []
    some = await choose_runs(dependencies, PruneLimits(max_bytes=0, keep=1))
    assert [one.run_id for one in some] == ["run0", "run1", "run2"]


@pytest.mark.parametrize("written_since", [False, True])
async def test_sizes_that_were_measured_serve_the_choice_and_the_removal(stage, monkeypatch, written_since):
    read: list[str | None] = []

    def counted(home: Any, run_id: str | None = None) -> Any:
        read.append(run_id)
        return footprints(home, run_id)

    for number in range(3):
        await ran(stage, f"run{number}", [])
    dependencies = stage.runner.dependencies
    for module in (run_sizes, removal):
        monkeypatch.setattr(module, "footprints", counted)
    sizes = await measure(dependencies)
    chosen = await choose_runs(dependencies, PruneLimits(max_bytes=0, keep=1), sizes=sizes)
    planned = await preview(dependencies, chosen, sizes=sizes)
    if written_since:
        sizes._at = datetime(2000, 1, 1, tzinfo=UTC)
    done = await remove_runs(dependencies, chosen, sizes=sizes)
    assert (done.runs, done.freed_bytes) == (planned.runs, planned.freed_bytes)
    again = {"run0", "run1"} if written_since else set()
    assert (read[0], {*read[1:-1]}, read[-1]) == (None, again, None)  # at last for what others still refer to


async def test_one_run_is_looked_at_without_the_answers_of_others(stage):
    await ran(stage, "one", [])
    await ran(stage, "two", [])
    home = stage.runner.dependencies.home
    whole = footprints(home)["one"]
    with closing(sqlite3.connect(home.store)) as connection, connection:
        theirs = "prefix = 'answers' AND CAST(value AS TEXT) LIKE '%\"two\"%'"
        others = connection.execute(f"UPDATE store SET value = 'no JSON' WHERE {theirs}")
        assert others.rowcount > 0
    assert footprints(home, "one") == {"one": whole}
    with pytest.raises(ValueError, match="Expecting value"):
        footprints(home)


KILLED = """
    import asyncio, os, random, signal, sys, threading, time
    sys.path.insert(0, sys.argv[2])
    from conftest import make_stage
    from imagerag.graphs.runs.pruning import PruneLimits, choose_runs
    from imagerag.graphs.runs.removal import remove_runs

    stage = make_stage(sys.argv[1])

    async def main():
        dependencies = stage.runner.dependencies
        chosen = await choose_runs(dependencies, PruneLimits(keep=2))
        delay = float(sys.argv[3])
        threading.Thread(target=lambda: (time.sleep(delay), os.kill(os.getpid(), signal.SIGKILL)), daemon=True).start()
        await remove_runs(dependencies, chosen)

    asyncio.run(main())
"""


@pytest.mark.parametrize("delay", [0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3])
async def test_a_prune_that_is_killed_leaves_whole_runs_and_the_next_one_finishes_it(tmp_path, make_stage, delay):
    home = tmp_path / "home"
    stage = make_stage(home)
    records = {f"run{number}": await ran(stage, f"run{number}", []) for number in range(6)}
    process = Python("-c", textwrap.dedent(KILLED), home, Path(__file__).parents[1], str(delay))
    _, stderr = await asyncio.to_thread(process.communicate)
    assert process.returncode in (0, -signal.SIGKILL), stderr
    stage = make_stage(home)
    dependencies = stage.runner.dependencies
    assert missing_from_index(dependencies) == []
    for entry in await dependencies.runs.list(None):
        assert await stage.runner.record(entry.run_id) == records[entry.run_id]
        for sha in images(records[entry.run_id]):
            assert await dependencies.blobs.get(sha)
    await remove_runs(dependencies, await choose_runs(dependencies, PruneLimits(keep=2)))
    kept = {"run4", "run5"}
    assert {one.run_id for one in await dependencies.runs.list(None)} == kept
    assert footprints(dependencies.home).keys() - {""} == kept
    assert blobs_of(stage) == set().union(*(images(records[one]) for one in kept))
    assert await dependencies.runs.removals.list() == []
    assert [*integrity_problems(dependencies.home)] == []
