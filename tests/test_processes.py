"""What is forked behaves as the process it stands for."""

import os
import select
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.processes import IMAGERAG, Python, door, imagerag, python, relayed

ROOT = Path(__file__).parents[1]
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


def test_one_that_ends_while_it_is_killed_has_its_own_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    with Python("-c", "raise SystemExit(3)") as running:
        select.select([running._told], [], [])
        with monkeypatch.context() as patch:
            patch.setattr(running, "poll", lambda: None)  # as it was when it was asked
            running.kill()
    assert running.returncode == 3


def test_the_program_and_what_is_slow_are_imported_already() -> None:
    told = python("-c", "import sys; print(*sorted(name for name in sys.modules if '.' not in name))").stdout.split()
    assert {"torch", "imagerag_open_clip", "langgraph", "lancedb", "imagerag"} <= set(told)
    assert "open_clip" not in told
    assert imagerag("--version").stdout.startswith("imagerag ")


def test_the_program_reads_no_environment_while_it_is_imported() -> None:
    """What is forked has another environment than the process that imported it."""
    code = """
        import os, sys
        ours = os.path.dirname(sys.modules["imagerag"].__file__)
        for name in [name for name in sys.modules if name.partition(".")[0] == "imagerag"]:
            del sys.modules[name]

        class Watched(type(os.environ)):
            def __getitem__(self, name):
                by = sys._getframe(1)
                while by.f_code.co_filename.startswith(("<frozen", os.__file__)):
                    by = by.f_back
                assert not by.f_code.co_filename.startswith(ours), (by.f_code.co_filename, name)
                return super().__getitem__(name)

        os.environ.__class__ = Watched
        sys.path.insert(0, sys.argv[1])
        from tests import processes
        processes.warm()
        print("imagerag" in sys.modules)
    """
    done = python("-c", textwrap.dedent(code), ROOT)
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr


def test_lancedb_whose_threads_do_not_survive_a_fork_works_in_what_is_forked(tmp_path: Path) -> None:
    code = """
        import asyncio, lancedb, sys

        async def number():
            table = await (await lancedb.connect_async(sys.argv[1])).open_table("numbers")
            return await table.count_rows()

        lancedb.connect(sys.argv[1]).create_table("numbers", [{"number": 1}, {"number": 2}])
        print(asyncio.run(number()))
    """
    done = python("-c", textwrap.dedent(code), tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "2\n", "")


def test_many_are_run_and_end_beside_one_another() -> None:
    running = [Python("-c", f"import sys; sys.exit({code})") for code in range(20)]
    assert len({process.pid for process in running}) == len(running)
    assert [process.wait(60) for process in reversed(running)] == list(reversed(range(20)))
    for process in running:
        process.communicate()


def test_all_that_run_tests_side_by_side_ask_the_same_one() -> None:
    """And it stays for the others when one of them ends."""
    code = "import sys; sys.path.insert(0, {!r}); from tests.processes import python; print(python('-c', {!r}).stdout)"
    parent = "import os; print(os.getppid())"
    first = python("-c", parent).stdout
    env = {**os.environ, "PYTEST_XDIST_TESTRUNUID": door().parent.name.rpartition("-")[2]}
    other = python("-c", code.format(str(ROOT), parent), env=env)
    assert (other.stdout.split(), other.stderr) == ([first.strip()], "")
    assert python("-c", parent).stdout == first


def test_one_process_writes_to_another() -> None:
    reading, writing = os.pipe()
    with Python(*IMAGERAG, "--version", stdout=writing):
        os.close(writing)
    with open(reading) as told:
        assert told.read().startswith("imagerag ")


def test_who_is_given_a_command_gets_the_same(tmp_path: Path) -> None:
    options: dict[str, Any] = {"cwd": tmp_path, "env": {**os.environ, "TOLD": "yes"}, "input": "asked", "text": True}
    command = ["-c", TOLD, "3"]
    done, cold = (
        subprocess.run(whole, **options, capture_output=True, check=False)
        for whole in (relayed(*command), [sys.executable, *command])
    )
    assert (done.returncode, done.stdout, done.stderr) == (cold.returncode, cold.stdout, cold.stderr)
    assert "yes asked" in done.stdout


WAITING = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_what_stands_for_a_process_is_ended_with_it(number: signal.Signals) -> None:
    with subprocess.Popen(relayed("-c", WAITING), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as running:
        assert running.stdout
        assert int(running.stdout.readline()) != running.pid
        running.send_signal(number)
        assert running.stdout.read() == b"", "the other has ended, and holds the pipe no more"
        assert running.wait(60) == (1 if number == signal.SIGINT else -number)


def test_streams_that_are_closed_are_closed_for_both() -> None:
    with subprocess.Popen(relayed("-c", "print(open(0).read())"), stdin=subprocess.PIPE, stdout=-1) as running:
        out, _ = running.communicate(b"to the end")
    assert (running.returncode, out) == (0, b"to the end\n")
