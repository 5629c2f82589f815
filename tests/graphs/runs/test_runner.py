"""Starting, following, interrupting, killing and resuming a run, with real checkpoints and a real journal."""

import asyncio
import signal
import sqlite3
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest

from imagerag.agent.errors import RunStateError, UnknownLibraryError, UnknownRunError, UsageError
from imagerag.agent.types import Outcome, RunSpec
from imagerag.graphs.runs.events import last_record
from imagerag.graphs.validation import MAX_PROMPT
from imagerag.store import run_index as run_list
from imagerag.store.file_lock import is_locked
from tests.processes import Python, python
from tests.scripted_runs import scripted_spec

CAPTION = "a detailed picture of a heart"


async def test_events_tell_the_run_in_order_and_the_last_carries_the_record(stage):
    stage.library.plant(CAPTION)
    stage.judge.enqueue(["a heart"], [])
    events = [event async for event in stage.runner.start("a heart", scripted_spec(), run_id="mine")]
    assert [event.sequence for event in events] == list(range(len(events)))
    assert [events[0].kind, events[1].kind, events[-1].kind] == ["started", "step", "ended"]
    assert events[1].node == "generate"
    assert events[-1].record.outcome is Outcome.ALIGNED
    assert await stage.runner.record("mine") == events[-1].record
    assert Path(events[-1].record.image.path).read_bytes() == await stage.runner.dependencies.blobs.get(
        events[-1].record.image.sha256
    )
    assert all(event.as_json()["schema"] == "imagerag.event/1" for event in events)


async def test_the_list_of_runs_says_how_each_ended(stage):
    stage.judge.enqueue([], ["a heart"])
    for name in ("one", "two"):
        await last_record(stage.runner.start(f"prompt {name}", scripted_spec(), run_id=name))
    entries = await stage.runner.dependencies.runs.list()
    assert {(entry.run_id, entry.status, entry.outcome) for entry in entries} == {
        ("one", "ended", "aligned"),
        ("two", "ended", "no_usable_reference"),
    }


async def test_a_run_that_asks_waits_and_goes_on_with_what_was_chosen(stage):
    stage.library.plant(CAPTION, similarity=0.9, title="Heart 1")
    second = stage.library.plant(CAPTION, similarity=0.8, title="Heart 2")
    stage.judge.enqueue(["a heart"], [])
    waiting = await last_record(stage.runner.start("a heart", scripted_spec(select=True), run_id="ask"))
    assert (waiting.status, waiting.outcome) == ("interrupted", None)
    assert [(c["number"], c["title"]) for c in waiting.question["candidates"]] == [(1, "Heart 1"), (2, "Heart 2")]
    assert "choose=[1, 2]" in waiting.next_steps[0]
    with pytest.raises(RunStateError, match="waits for a choice"):
        await last_record(stage.runner.resume("ask"))
    with pytest.raises(UsageError, match="1 to 2"):
        await last_record(stage.runner.resume("ask", choose=[3]))
    record = await last_record(stage.runner.resume("ask", choose=[2]))
    assert record.outcome is Outcome.ALIGNED
    assert [(ref.image, ref.selected_by) for ref in record.references] == [(second, "by_hand")]
    with pytest.raises(RunStateError, match="has ended"):
        await last_record(stage.runner.resume("ask", choose=[1]))


async def test_more_than_can_be_sent_are_refused_and_the_run_goes_on_waiting(stage):
    images = [stage.library.plant(CAPTION, similarity=0.9 - at / 10, title=f"Heart {at}") for at in range(3)]
    stage.judge.enqueue(["a heart"], [])
    waiting = await last_record(
        stage.runner.start("a heart", scripted_spec(select=True, max_references=2), run_id="ask")
    )
    assert waiting.question["limit"] == 2
    for many in ([1, 2, 3], [1, images[1].sha256, "3"]):
        with pytest.raises(UsageError, match="3 are too many: at most 2 can be sent"):
            await last_record(stage.runner.resume("ask", choose=many))
    assert (await stage.runner.record("ask")).status == "interrupted"
    record = await last_record(stage.runner.resume("ask", choose=[3, 1, images[2].sha256]))
    assert [ref.image for ref in record.references] == [images[2], images[0]]


async def test_choosing_none_is_an_answer(stage):
    stage.library.plant(CAPTION)
    stage.judge.enqueue(["a heart"])
    await last_record(stage.runner.start("a heart", scripted_spec(select=True), run_id="none"))
    record = await last_record(stage.runner.resume("none", choose=[]))
    assert record.outcome is Outcome.NO_USABLE_REFERENCE
    assert [c.decision for c in record.searches[0].candidates] == ["rejected_by_hand"]


@pytest.mark.parametrize("prompt", ["", " \n\t", "x" * (MAX_PROMPT + 1), "a\0b", "half a \ud83d character"], ids=repr)
async def test_prompts_that_cannot_be_drawn_are_refused_at_once(stage, prompt):
    with pytest.raises(UsageError):
        await last_record(stage.runner.start(prompt, scripted_spec()))
    assert stage.generator.calls == []


@pytest.mark.parametrize("run_id", ["", "a/b", "../x", "a.b", "x" * 101, "a b"])
async def test_a_run_id_that_cannot_be_one_is_refused(stage, run_id):
    with pytest.raises(UsageError, match="run id"):
        await last_record(stage.runner.start("a heart", scripted_spec(), run_id=run_id))


async def test_unknown_runs_and_libraries_are_named(stage):
    with pytest.raises(UnknownRunError, match="nothing-like-it"):
        await stage.runner.record("nothing-like-it")
    with pytest.raises(UnknownLibraryError, match="elsewhere"):
        await last_record(stage.runner.start("x", RunSpec(generator="scripted", judge="scripted", library="elsewhere")))


async def test_leaving_the_loop_early_cancels_the_run_and_keeps_the_drawing(stage):
    stage.judge.enqueue(["a heart"])
    events = stage.runner.start("a heart", scripted_spec(), run_id="left")
    async for event in events:
        if event.node == "generate":
            break
    await events.aclose()
    record = await stage.runner.record("left")
    assert (record.outcome, record.best_attempt) == (Outcome.CANCELLED, 0)
    assert (await stage.runner.dependencies.runs.get("left")).outcome is Outcome.CANCELLED


async def test_a_cancelled_task_stops_spending(stage):
    stage.judge.latency_s = 30
    task = asyncio.create_task(last_record(stage.runner.start("a heart", scripted_spec(), run_id="gone")))
    while not stage.judge.calls:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await stage.runner.record("gone")).outcome is Outcome.CANCELLED
    assert (len(stage.generator.calls), len(stage.judge.calls)) == (1, 1)


async def test_many_runs_at_once_do_not_touch_each_other(stage):
    stage.judge.enqueue(*[[]] * 12)
    records = await asyncio.gather(
        *(last_record(stage.runner.start(f"prompt {n}", scripted_spec(), run_id=f"run-{n}")) for n in range(12))
    )
    assert [record.prompt for record in records] == [f"prompt {n}" for n in range(12)]
    assert len({record.image.sha256 for record in records}) == 12


KILLED = """
    import asyncio, os, signal, sys
    sys.path.insert(0, sys.argv[3])
    from conftest import make_stage
    from imagerag.agent.types import RunSpec

    die_at = int(sys.argv[2])
    stage = make_stage(sys.argv[1])
    stage.library.plant("a detailed picture of a heart", similarity=0.9)
    stage.library.plant("a detailed picture of a heart", similarity=0.8)
    stage.judge.enqueue(["a heart"], ["a heart"], [])

    async def run():
        setup = RunSpec(generator="scripted", judge="scripted", library="scripted")
        async for event in stage.runner.start("a heart", setup, run_id="killed"):
            if event.sequence == die_at:
                os.kill(os.getpid(), signal.SIGKILL)

    asyncio.run(run())
"""


@pytest.mark.parametrize("die_at", [1, 2, 4, 5, 6, 7, 9, 12])
async def test_a_killed_run_goes_on_where_it_was_and_asks_nothing_again(tmp_path, make_stage, die_at):
    home = tmp_path / "home"
    killed = python("-c", textwrap.dedent(KILLED), home, str(die_at), Path(__file__).parents[1])
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    stage = make_stage(home)
    stage.library.plant(CAPTION, similarity=0.9)
    stage.library.plant(CAPTION, similarity=0.8)
    before = await stage.runner.record("killed")
    assert (before.status, before.outcome) == ("running", None)
    assert before.next_steps == ["the run is unfinished: `rag.runs.resume('killed')`"]
    stage.judge.enqueue(*[["a heart"], ["a heart"], []][before.calls.get("judge.critique", 0) :])
    record = await last_record(stage.runner.resume("killed"))
    assert (record.outcome, len(record.attempts)) == (Outcome.ALIGNED, 3)
    assert record.calls == {"generate": 3, "judge.critique": 3}
    assert len(stage.generator.calls) == 3 - before.calls["generate"]


TORN = """
    import asyncio, os, signal, sys
    sys.path.insert(0, sys.argv[2])
    from conftest import make_stage
    from imagerag.agent.nodes import Nodes
    from imagerag.agent.types import RunSpec

    drawn = Nodes._draw

    async def dies_with_the_answer_in_hand(self, *given):
        await drawn(self, *given)
        os.kill(os.getpid(), signal.SIGKILL)

    Nodes._draw = dies_with_the_answer_in_hand

    async def run():
        setup = RunSpec(generator="scripted", judge="scripted", library="scripted")
        async for event in make_stage(sys.argv[1]).runner.start("a heart", setup, run_id="torn"):
            pass

    asyncio.run(run())
"""


async def test_an_answer_that_arrived_before_the_kill_is_not_asked_for_again(tmp_path, make_stage):
    """The node had its answer, the checkpoint did not: what the journal holds is used."""
    home = tmp_path / "home"
    killed = python("-c", textwrap.dedent(TORN), home, Path(__file__).parents[1])
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    stage = make_stage(home, [[]])
    record = await last_record(stage.runner.resume("torn"))
    assert record.outcome is Outcome.ALIGNED
    assert stage.generator.calls == []
    assert record.calls == {"generate": 1, "judge.critique": 1}


async def test_no_image_is_in_a_checkpoint(stage):
    import io
    import random

    from PIL import Image

    noise = Image.frombytes("RGB", (256, 256), random.Random(0).randbytes(256 * 256 * 3))
    buffer = io.BytesIO()
    noise.save(buffer, "PNG")
    big = buffer.getvalue()
    assert len(big) > 150_000
    stage.generator.enqueue(big, big + b"\0", big + b"\0\0")
    for similarity in (0.9, 0.8):
        stage.library.plant(CAPTION, similarity=similarity)
    stage.judge.enqueue(["a heart"], ["a heart"], [])
    await last_record(stage.runner.start("a heart", scripted_spec(), run_id="weigh"))
    home = stage.runner.dependencies.home
    for file in (home.checkpoints, home.store, home.run_list):
        with sqlite3.connect(file) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        content = file.read_bytes()
        assert len(content) < 400_000
        assert big[1000:1100] not in content
        assert b"iVBORw0KGgo" not in content


async def test_an_id_that_is_taken_is_refused_and_the_run_stays_as_it_was(stage):
    stage.judge.enqueue([])
    first = await last_record(stage.runner.start("a heart", scripted_spec(), run_id="mine"))
    with pytest.raises(RunStateError, match="there is a run mine already"):
        await last_record(stage.runner.start("a star", scripted_spec(), run_id="mine"))
    assert await stage.runner.record("mine") == first
    assert [entry.prompt for entry in await stage.runner.dependencies.runs.list()] == ["a heart"]


async def test_a_run_is_made_by_one_at_a_time(stage):
    stage.library.plant(CAPTION)
    stage.judge.enqueue(["a heart"], [])
    run = stage.runner.start("a heart", scripted_spec(), run_id="mine")
    async for event in run:
        if event.node == "critique":
            break
    with pytest.raises(RunStateError, match="being made right now"):
        await last_record(stage.runner.resume("mine"))
    assert (await last_record(run)).outcome is Outcome.ALIGNED
    assert len(stage.generator.calls) == 2
    assert not list((stage.runner.dependencies.home.root / "running").iterdir())


async def test_a_run_that_another_process_makes_is_not_resumed_and_one_that_was_killed_is(tmp_path, make_stage):
    stage = make_stage(tmp_path / "home")
    stage.judge.enqueue([])
    run = stage.runner.start("a heart", scripted_spec(), run_id="theirs")
    async for event in run:
        if event.kind == "step":
            break
    # The run is half made; a process of its own now holds it, as if it made it.
    lock = stage.runner.dependencies.home.lock("theirs")
    stage.runner.__dict__["left_open"] = True
    await run.aclose()
    code = (
        "import fcntl, sys, time; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX); print(flush=True); "
        "time.sleep(60)"
    )
    holder = Python("-c", code, lock)
    assert holder.stdout is not None
    try:
        holder.stdout.readline()
        assert is_locked(lock)
        with pytest.raises(RunStateError, match="being made right now"):
            await last_record(stage.runner.resume("theirs"))
    finally:
        holder.kill()
        holder.communicate()
    assert not is_locked(lock)
    assert (await last_record(stage.runner.resume("theirs"))).outcome is Outcome.ALIGNED


async def test_a_run_that_is_cancelled_before_its_first_step_is_listed_as_cancelled(stage):
    run = stage.runner.start("a heart", scripted_spec(), run_id="early")
    await anext(run)
    await run.aclose()
    entries = await stage.runner.dependencies.runs.list()
    assert [(entry.run_id, entry.status, entry.outcome, entry.library) for entry in entries] == [
        ("early", "ended", "cancelled", "scripted")
    ]


async def test_a_run_that_is_cancelled_while_it_is_listed_is_listed_as_cancelled(stage, monkeypatch):
    runs = stage.runner.dependencies.runs
    written, begun, opened = run_list.upsert_row, threading.Event(), threading.Event()

    def slow(connection: Any, entry: Any) -> None:
        if entry.status == "running":
            begun.set()
            opened.wait(30)
        written(connection, entry)

    monkeypatch.setattr(run_list, "upsert_row", slow)
    task = asyncio.create_task(last_record(stage.runner.start("a heart", scripted_spec(), run_id="early")))
    await asyncio.to_thread(begun.wait, 30)
    task.cancel()
    await asyncio.sleep(0)
    opened.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    entry = await runs.get("early")
    assert (entry.status, entry.outcome, entry.library) == ("ended", "cancelled", "scripted")
