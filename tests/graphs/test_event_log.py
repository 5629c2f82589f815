"""What runs log: enough to follow them, nothing that is anybody's business, and nothing at all unless asked."""

import base64
import json
import logging
import subprocess
import sys

import pytest

from imagerag.agent.errors import BackendError
from imagerag.agent.types import RunConfig, RunSpec
from imagerag.logging_setup import log_to_stderr

CAPTION = "a detailed picture of a heart"
SETUP = RunSpec(generator="scripted", judge="scripted", library="scripted")


async def ran(stage, *judgements, **config):
    stage.judge.enqueue(*judgements)
    async for event in stage.runner.start(
        "a heart", SETUP.model_copy(update={"config": RunConfig(**config)}), run_id="r1"
    ):
        kept = event
    return kept.record


def ours(caplog):
    return [one for one in caplog.records if one.name.startswith("imagerag")]


async def test_a_run_is_a_line_at_its_start_and_one_at_its_end(stage, caplog):
    caplog.set_level(logging.INFO, "imagerag")
    await ran(stage, [])
    started, stopped = ours(caplog)
    assert (started.event, stopped.event) == ("run.started", "run.stopped")
    assert {one.run_id for one in ours(caplog)} == {"r1"}
    assert (stopped.outcome, stopped.attempts, stopped.calls, started.generator) == ("aligned", 1, 2, "scripted")


async def test_every_call_is_a_line_for_those_who_look_closely(stage, caplog):
    caplog.set_level(logging.DEBUG, "imagerag")
    await ran(stage, [])
    made = [one for one in ours(caplog) if one.event == "call.answered"]
    assert [(one.levelname, one.role, one.cached) for one in made] == [
        ("DEBUG", "generate", False),
        ("DEBUG", "judge.critique", False),
    ]


async def test_a_call_that_fails_is_a_line_by_its_class(stage, caplog):
    caplog.set_level(logging.INFO, "imagerag")
    stage.generator.enqueue(BackendError("it said sk-secret", retryable=False))
    await ran(stage)
    lost = [one for one in ours(caplog) if one.event == "call.lost"]
    assert [(one.error, one.role) for one in lost] == [("BackendError", "generate")]
    assert "sk-secret" not in caplog.text


async def test_a_question_is_told_as_what_it_is(stage, caplog):
    caplog.set_level(logging.INFO, "imagerag")
    stage.library.plant(CAPTION)
    await ran(stage, ["a heart"], select=True)
    assert [one.getMessage() for one in ours(caplog)][-1] == "run r1: waits for a choice"


async def test_no_line_holds_a_prompt_a_caption_or_a_picture(stage, caplog):
    caplog.set_level(logging.DEBUG, "imagerag")
    stage.library.plant(CAPTION)
    record = await ran(stage, ["a heart"], [])
    told = "\n".join(str(vars(one)) for one in ours(caplog))
    data = [await stage.runner.dependencies.blobs.get(attempt.image.sha256) for attempt in record.attempts]
    assert len(data) == 2
    for secret in ("a heart", CAPTION, *(base64.b64encode(one[:60]).decode()[:40] for one in data)):
        assert secret not in told


@pytest.fixture
def quiet_again():
    yield
    log_to_stderr(None)


async def test_lines_of_json_say_what_the_lines_say(stage, capsys, quiet_again):
    log_to_stderr("debug")
    await ran(stage, [])
    told = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [one["event"] for one in told] == ["run.started", "call.answered", "call.answered", "run.stopped"]
    assert told[-1] | {"time": "", "elapsed_s": 0} == {
        "time": "", "level": "info", "logger": "imagerag.runs", "message": "run r1: aligned", "run_id": "r1",
        "event": "run.stopped", "status": "ended", "outcome": "aligned", "attempts": 1, "calls": 2, "cost_usd": None,
        "elapsed_s": 0,
    }  # fmt: skip


def test_a_program_that_did_not_ask_hears_nothing():
    code = "import imagerag, logging; logging.getLogger('imagerag.x').warning('heard')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("level", "code", "told"), [("loud", 2, "the levels are debug, info, warning"), ("info", 0, "")]
)
def test_the_command_line_logs_at_the_level_that_was_asked_for(level, code, told, tmp_path, monkeypatch, quiet_again):
    from click.testing import CliRunner

    from imagerag.cli import main

    monkeypatch.setenv("IMAGERAG_LOG", level)
    result = CliRunner().invoke(main, ["--home", str(tmp_path), "runs"])
    assert (result.exit_code, told in result.stderr) == (code, True)
