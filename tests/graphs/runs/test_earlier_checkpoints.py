"""Runs that an earlier version kept, with the whole state in every checkpoint: a home made by that version."""

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from imagerag.agent.types import Outcome
from imagerag.formatting.interface_terms import document_in_commands
from imagerag.graphs.runs.events import last_record
from imagerag.graphs.runs.fork import ForkOptions
from imagerag.graphs.runs.history import steps

CAPTION = "a detailed picture of a heart"


@pytest.fixture
def earlier(tmp_path: Path, make_stage: Any) -> Any:
    with tarfile.open(Path(__file__).parents[1] / "data" / "earlier_home.tar.xz") as packed:
        packed.extractall(tmp_path, filter="data")
    stage = make_stage(tmp_path / "home")
    for similarity in (0.9, 0.8):
        stage.library.plant(CAPTION, similarity=similarity, title=f"Heart {similarity}")
    return stage, json.loads((tmp_path / "expected.json").read_text()), tmp_path / "home"


def differing(was: Any, now: Any, at: str = "") -> list[str]:
    """Where a document says something else than before; neither a later field is one, nor another form of nothing."""
    if isinstance(was, dict) and isinstance(now, dict):
        return [place for name in was for place in differing(was[name], now.get(name), f"{at}.{name}")]
    if isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
        return [place for number, one in enumerate(was) for place in differing(one, now[number], f"{at}[{number}]")]
    return [] if was == now or not (was or now) else [f"{at}: {was!r} != {now!r}"]


async def test_records_and_steps_are_what_they_were(earlier):
    stage, expected, home = earlier
    for run_id, was in expected.items():
        record = await stage.runner.record(run_id)
        now = document_in_commands(record.as_json())  # what is to be done was told in commands then
        assert differing(was["record"], json.loads(json.dumps(now).replace(str(home), "HOME"))) == []
        listed = await steps(stage.runner.dependencies, run_id)
        assert [[s.index, s.node, s.status, s.before, s.after] for s in listed] == was["steps"]


async def test_a_run_that_waited_is_told_its_choice_and_goes_on(earlier):
    stage, _, _ = earlier
    stage.judge.enqueue([])
    record = await last_record(stage.runner.resume("waiting", choose=[2]))
    assert (record.outcome, record.references[0].title) == (Outcome.ALIGNED, "Heart 0.8")
    assert record == await stage.runner.record("waiting")


async def test_a_run_that_was_killed_goes_on_where_it_was(earlier):
    stage, expected, _ = earlier
    stage.judge.enqueue([])
    record = await last_record(stage.runner.resume("killed"))
    assert record.outcome is Outcome.ALIGNED
    assert record.calls["generate"] == expected["killed"]["record"]["calls"]["generate"] + 1
    nodes = [step.node for step in await steps(stage.runner.dependencies, "killed")]
    assert nodes[: len(expected["killed"]["steps"])] == [step[1] for step in expected["killed"]["steps"]]


async def test_every_step_can_be_replayed_without_a_call(earlier):
    stage, expected, _ = earlier
    for index, *_ in expected["ended"]["steps"]:
        record = await last_record(stage.runner.replay("ended", ForkOptions(step=index), new_id=f"again{index}"))
        assert record.canonical() == (await stage.runner.record("ended")).canonical()
    assert not stage.generator.calls
    assert not stage.judge.calls
