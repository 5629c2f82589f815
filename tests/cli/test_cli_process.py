"""The command line as a process: streams, signals, encodings."""

import json
import os
import select
import signal
import subprocess
import sys
import textwrap
import time
import tomllib
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from imagerag.cli import main
from tests.cli.conftest import HELD, KNOWN
from tests.processes import IMAGERAG, Python

SLOW = """
import asyncio, sys
from imagerag.tools.sketch.generator import SketchGenerator

drawn = SketchGenerator.generate

async def generate(self, prompt, references, **options):
    if references:
        print("REDRAWING", file=sys.stderr, flush=True)
        await asyncio.sleep(60)
    return await drawn(self, prompt, references, **options)

SketchGenerator.generate = generate
from imagerag.cli import main
main(sys.argv[1:])
"""
"""The program with a painter that takes a minute when it is given references."""


def imagerag(*arguments: str, **options: Any) -> "subprocess.CompletedProcess[str]":
    """The program as it starts by itself."""
    command = [sys.executable, *IMAGERAG, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, **options)


def slow_run() -> Python:
    """A run that has begun to draw its second picture."""
    running = Python("-c", SLOW, "generate", HELD, "--json")
    assert running.stderr is not None
    for line in running.stderr:
        if "REDRAWING" in line:
            return running
    raise AssertionError(f"it ended with {running.wait()} and never drew again")


def here(*arguments: str) -> Result:
    """A command in this process, which has everything loaded."""
    return CliRunner().invoke(main, list(arguments))


def test_threads_of_the_models_do_not_wait_busily(monkeypatch: pytest.MonkeyPatch) -> None:
    for given, kept in (("ACTIVE", "ACTIVE"), ("", "PASSIVE")):
        monkeypatch.setenv("OMP_WAIT_POLICY", given)
        if not given:
            monkeypatch.delenv("OMP_WAIT_POLICY")
        assert here("trust", "--help").exit_code == 0
        assert os.environ["OMP_WAIT_POLICY"] == kept


def runs(home: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(here("runs", "--json").stdout)["runs"]
    return found


def test_a_killed_run_is_finished_by_resume(home: Path) -> None:
    running = slow_run()
    running.kill()
    running.communicate()
    (entry,) = runs(home)
    assert entry["status"] == "running"
    assert "not finished" in here("show", entry["run_id"]).stdout
    resumed = here("resume", entry["run_id"], "--json")
    record = json.loads(resumed.stdout)
    assert (resumed.exit_code, record["outcome"]) == (0, "aligned")
    drawn = [call for call in record["call_log"] if call["role"] == "generate"]
    assert sum(call["completed"] for call in drawn) == 2, "nothing is drawn twice"
    assert [call["unsettled"] for call in drawn if not call["completed"]] == [True], "the killed one may have been paid"
    assert runs(home)[0]["outcome"] == "aligned"


def test_ctrl_c_cancels_and_says_how_it_stands(home: Path) -> None:
    running = slow_run()
    running.send_signal(signal.SIGINT)
    out, err = running.communicate()
    assert running.returncode == 130
    assert "Traceback" not in err
    assert "imagerag show" in err.splitlines()[-1]
    record = json.loads(out)
    assert (record["outcome"], len(record["attempts"])) == ("cancelled", 1)
    assert runs(home)[0]["outcome"] == "cancelled"


def test_a_reader_that_goes_away_is_no_error(home: Path) -> None:
    command = f"{sys.executable} -m imagerag generate '{HELD}' --jsonl | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=120, check=False)
    assert json.loads(done.stdout)["kind"] == "started"
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


def test_what_is_unread_at_the_end_is_dropped() -> None:
    code = """
        import sys, imagerag.cli, imagerag.__main__ as program
        imagerag.cli.main = lambda: (sys.stdout.write("unread"), sys.exit(130))
        program.run()
    """
    reading, writing = os.pipe()
    os.close(reading)
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, env=buffered, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (130, b"")


def test_marks_degrade_where_the_terminal_cannot_show_them(home: Path) -> None:
    done = imagerag("generate", KNOWN, env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    assert done.returncode == 0, done.stderr
    assert "+ aligned" in done.stdout
    assert done.stdout.isascii()
    assert done.stderr.isascii()
    assert done.stderr.startswith("preset sketch")
    assert "\x1b" not in done.stdout + done.stderr, "no colour outside of a terminal"


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs pseudo terminals")
@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_colour_in_a_terminal_unless_it_is_not_wanted(home: Path, no_color: str, coloured: bool) -> None:
    leader, follower = os.openpty()
    env = {**os.environ, "NO_COLOR": no_color, "TERM": "xterm"}
    with Python(*IMAGERAG, "library", "list", stdout=follower, env=env) as running:
        running.wait(60)
    os.close(follower)
    assert (b"\x1b[" in os.read(leader, 4096)) is coloured
    os.close(leader)


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs pseudo terminals")
def test_references_are_chosen_in_a_terminal(home: Path) -> None:
    """Ctrl-C at the question leaves the run waiting; `resume` asks again, and again where the answer cannot be."""
    leader, follower = os.openpty()
    terminal = {"stdin": follower, "stdout": subprocess.DEVNULL, "stderr": follower}
    command = (*IMAGERAG, "generate", HELD, "--select", "--threshold", "off", "--max-rounds", "1")
    with Python(*command, **terminal) as running:
        told = read_until(leader, "which ones")
        while running.poll() is None:
            # Python loses a Ctrl-C that comes right before it begins to read, until there is a line.
            time.sleep(0.5)
            running.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                running.wait(20)
    told += read_until(leader, "is left waiting")
    assert (running.returncode, "Traceback" in told) == (130, False)
    (entry,) = runs(home)
    assert entry["status"] == "interrupted"
    os.write(leader, b"99\n1\n")
    with Python(*IMAGERAG, "resume", "last", **terminal) as running:
        told = read_until(leader, "numbers from 1 to")
    assert running.returncode == 0
    os.close(follower)
    os.close(leader)
    record = json.loads(here("show", entry["run_id"], "--json").stdout)
    assert [reference["selected_by"] for reference in record["attempts"][1]["references"]] == ["by_hand"]
    assert (home / "images" / f"{entry['run_id']}-choices.png").is_file()


def read_until(terminal: int, words: str) -> str:
    """What a terminal shows, up to some words at least."""
    shown = b""
    while words.encode() not in shown:
        ready, _, _ = select.select([terminal], [], [], 60)
        assert ready, shown.decode()
        shown += os.read(terminal, 65536)
    return shown.decode()


def test_the_home_can_be_named(home: Path, tmp_path: Path) -> None:
    found = json.loads(here("--home", str(tmp_path / "other"), "library", "list", "--json").stdout)
    assert found["libraries"] == []
    assert not (tmp_path / "other").exists(), "looking makes nothing"


def test_version_and_help(home: Path) -> None:
    assert imagerag("--version").stdout.startswith("imagerag 0.")
    told = imagerag("--help").stdout
    for command in ("demo", "generate", "index", "search", "library", "runs", "show", "resume", "eval"):
        assert f"  {command} " in told
        assert here(command, "--help").exit_code == 0


def test_the_table_of_commands_is_complete_and_each_says_what_it_does() -> None:
    import click

    from imagerag.cli import COMMANDS

    context = click.Context(main)
    for name in COMMANDS:
        command = main.get_command(context, name)
        assert command is not None
        assert command.name == name
        assert command.help


@pytest.mark.parametrize("start", [("-m", "imagerag"), ("-c", "from imagerag.__main__ import run; run()")])
def test_ctrl_c_during_the_first_imports_is_quiet(tmp_path: Path, start: tuple[str, str]) -> None:
    (tmp_path / "click.py").write_text("raise KeyboardInterrupt")
    command = [sys.executable, *start, "runs"]
    done = subprocess.run(command, capture_output=True, timeout=60, env=os.environ | {"PYTHONPATH": str(tmp_path)})
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


def test_the_installed_command_starts_there() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert project["project"]["scripts"]["imagerag"] == "imagerag.__main__:run"
