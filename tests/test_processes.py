"""What is forked behaves as the process it stands for."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.processes import IMAGERAG, Python, imagerag, python

TOLD = """
import os, sys
print(sys.argv, __name__, os.getcwd(), os.environ.get("TOLD"), sys.stdin.read())
print("an error", file=sys.stderr)
print("unflushed", end="")
sys.exit(int(sys.argv[1]))
"""


@pytest.mark.parametrize("code", [0, 3])
def test_it_has_arguments_a_folder_an_environment_streams_and_an_exit_code(tmp_path: Path, code: int) -> None:
    options: dict[str, Any] = {"cwd": tmp_path, "env": {**os.environ, "TOLD": "yes"}}
    done = python("-c", TOLD, str(code), **options)
    cold = subprocess.run(
        [sys.executable, "-c", TOLD, str(code)],
        **options, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (cold.returncode, cold.stdout, cold.stderr)
    assert "yes" in done.stdout


@pytest.mark.parametrize(
    ("code", "returned", "said"),
    [("1 / 0", 1, "ZeroDivisionError"), ("raise SystemExit('why')", 1, "why\n"), ("import sys; sys.exit()", 0, "")],
)
def test_it_ends_as_python_does(code: str, returned: int, said: str) -> None:
    done = python("-c", code)
    assert (done.returncode, done.stdout) == (returned, "")
    assert done.stderr.endswith(said) or said in done.stderr


def test_it_is_killed_and_waited_for() -> None:
    with Python("-c", "import time; print('here', flush=True); time.sleep(60)") as running:
        assert running.stdout
        assert running.stdout.readline() == "here\n"
        assert running.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            running.wait(0.01)
        os.kill(running.pid, 0)
        running.kill()
    assert (running.returncode, running.poll(), running.wait()) == (-signal.SIGKILL,) * 3
    running.kill()


def test_the_program_is_imported_afresh_beside_what_is_slow() -> None:
    told = python("-c", "import sys; print(*sorted(name for name in sys.modules if '.' not in name))").stdout.split()
    assert {"torch", "open_clip", "langgraph"} <= set(told)
    assert "imagerag" not in told
    assert "lancedb" not in told
    assert imagerag("--version").stdout.startswith("imagerag ")


def test_one_process_writes_to_another() -> None:
    reading, writing = os.pipe()
    with Python(*IMAGERAG, "--version", stdout=writing):
        os.close(writing)
    with open(reading) as told:
        assert told.read().startswith("imagerag ")
