"""Unfinished runs: being made by a process, stopped in the middle, or killed before their first step."""

import asyncio
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from click.testing import CliRunner

from imagerag import ImageRAG
from imagerag.agent.errors import RunStateError, UnknownRunError
from imagerag.agent.types import Outcome, RunConfig, RunSpec
from imagerag.assistants.run_text import format_run
from imagerag.cli import main
from imagerag.formatting.interface_terms import as_commands
from imagerag.graphs.runs.continuation import ContinueOptions
from imagerag.graphs.runs.estimates import estimate_continuation, estimate_resume
from imagerag.graphs.runs.events import last_record
from imagerag.graphs.runs.fork import ForkOptions
from imagerag.graphs.runs.pruning import PruneLimits, choose_runs
from imagerag.graphs.runs.reindexing import find_record
from imagerag.graphs.runs.removal import remove_runs
from imagerag.store.file_lock import is_left, run_lock, under_way

SETUP = RunSpec(generator="scripted", judge="scripted", library="scripted", config=RunConfig())


@asynccontextmanager
async def half_made(stage: Any, run_id: str = "mine") -> AsyncIterator[None]:
    """A run of which one step is made, by this process."""
    stage.judge.enqueue([])
    run = stage.runner.start("a heart", SETUP, run_id=run_id)
    async for event in run:
        if event.kind == "step":
            break
    try:
        yield
    finally:
        await run.aclose()


async def killed_at_once(stage: Any, run_id: str = "early") -> None:
    """Leave what a process leaves that is killed before the first step of its run, in a home with another run."""
    stage.judge.enqueue([])
    await last_record(stage.runner.start("a star", SETUP, run_id="whole"))
    dependencies = stage.runner.dependencies
    await dependencies.runs.upsert(run_id, prompt="a heart", status="running")
    dependencies.home.lock(run_id).touch()


async def test_of_a_run_that_is_being_made_the_process_is_named_and_what_follows_it(stage: Any) -> None:
    dependencies = stage.runner.dependencies
    async with half_made(stage):
        record = await find_record(dependencies, "mine")
        (step,) = record.next_steps
        assert step.startswith(f"run mine is being made right now (by process {os.getpid()}, since 2")
        assert step.endswith("`rag.runs.steps('mine')` shows how far it is")
        assert as_commands(step).endswith("imagerag show mine --watch shows how far it is")
        assert "imagerag" not in format_run(record)
        assert "by process" in format_run(record)
        for refused in (
            last_record(stage.runner.continue_run("mine", ContinueOptions())),
            last_record(stage.runner.resume("mine")),
            estimate_continuation(dependencies, "mine", ContinueOptions()),
            estimate_resume(dependencies, "mine"),
        ):
            with pytest.raises(RunStateError, match=f"is being made right now .by process {os.getpid()}, since "):
                await refused
    stopped = await find_record(dependencies, "mine")
    assert "being made" not in "".join(stopped.next_steps)


async def test_a_lock_that_names_no_process_is_one_all_the_same(stage: Any) -> None:
    lock = stage.runner.dependencies.home.lock("mine")
    with run_lock(lock, "mine"):
        lock.write_text("")
        assert re.fullmatch(
            r"run mine is being made right now \(since [-0-9: ]+ UTC\): .* shows how far it is", under_way(lock, "mine")
        )


async def test_a_run_that_was_killed_before_its_first_step_is_said_to_be_one(stage: Any) -> None:
    await killed_at_once(stage)
    for door in (
        find_record(stage.runner.dependencies, "early"),
        last_record(stage.runner.resume("early")),
        last_record(stage.runner.continue_run("early", ContinueOptions())),
        last_record(stage.runner.replay("early", ForkOptions(step=1))),
    ):
        with pytest.raises(UnknownRunError, match="early was stopped before its first step") as caught:
            await door
        assert "Begin anew: `rag.generate('a heart')`" in str(caught.value)
        assert "`rag.runs.remove('early')`" in str(caught.value)
    with pytest.raises(UnknownRunError, match="no run 'nosuch'"):
        await last_record(stage.runner.resume("nosuch"))


async def test_the_list_corrects_what_a_killed_process_left(stage: Any) -> None:
    await killed_at_once(stage)
    rag = ImageRAG(preset="sketch", home=stage.runner.dependencies.home.root)
    assert is_left(stage.runner.dependencies.home.lock("early"))
    listed = {entry.run_id: entry for entry in await rag.runs.list()}
    assert (listed["early"].status, listed["early"].outcome) == ("ended", Outcome.CANCELLED)
    assert not stage.runner.dependencies.home.lock("early").exists(), "it is looked at once"
    assert await rag.runs.list(status="running") == []
    with pytest.raises(UnknownRunError, match="stopped before its first step"):
        await rag.runs.get("early")
    entry = await stage.runner.dependencies.runs.get("early")
    removed = await remove_runs(stage.runner.dependencies, [entry])
    assert [one.run_id for one in removed.runs] == ["early"]
    assert [one.run_id for one in await rag.runs.list()] == ["whole"]


async def test_the_list_corrects_a_run_that_ended_and_was_killed_before_that_was_listed(stage: Any) -> None:
    await killed_at_once(stage, "other")
    home = stage.runner.dependencies.home
    await stage.runner.dependencies.runs.upsert("whole", prompt="a star", status="running")
    home.lock("whole").touch()
    entries = await ImageRAG(preset="sketch", home=home.root).runs.list(status="running")
    assert entries == []
    assert (await stage.runner.dependencies.runs.get("whole")).outcome is Outcome.ALIGNED


async def test_prune_takes_a_run_without_a_step_and_leaves_one_that_can_be_resumed(stage: Any) -> None:
    await killed_at_once(stage)
    stage.runner.__dict__["left_open"] = True
    async with half_made(stage):
        pass
    chosen = await choose_runs(stage.runner.dependencies, PruneLimits(keep=0))
    assert {one.run_id for one in chosen} == {"early", "whole"}


async def test_the_command_tells_a_stopped_run_from_one_that_is_being_made(stage: Any) -> None:
    stage.runner.__dict__["left_open"] = True
    async with half_made(stage, "stopped"):
        pass
    async with half_made(stage, "made"):
        home = str(stage.runner.dependencies.home.root)
        shown = await asyncio.to_thread(CliRunner().invoke, main, ["--home", home, "runs"])
    lines = {line.split()[0]: line for line in shown.stdout.splitlines()}
    assert "… stopped" in lines["stopped"]
    assert "… being made" in lines["made"]
