"""Two processes at one output folder: the second ends at once and names the first; nothing is paid twice."""

import json
import os
import re
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from imagerag.agent.errors import UsageError
from imagerag.store.output_dir_lock import LOCK, exclusive_writer
from imagerag.tools.testing.mock_openai import DefaultResponder, Fault, MockOpenAIServer, MockResponse, RecordedRequest
from tests.processes import IMAGERAG, Python, imagerag, python

PROMPTS = [{"id": f"p{at}", "prompt": f"a blue star number {at}"} for at in range(4)]


def environment(home: Path) -> dict[str, str]:
    return {**os.environ, "IMAGERAG_HOME": str(home), "OPENAI_API_KEY": "sk-none"}


def evaluation(server: MockOpenAIServer, out: Path, prompts: Path) -> list[str]:
    backends = ["--generator", f"localai:m@{server.base_url}", "--judge", f"openai:m@{server.base_url}"]
    return [
        "eval",
        "run",
        f"prompts:{prompts}",
        "--arms",
        "base,full",
        "--metrics",
        "work",
        "--out",
        str(out),
        *backends,
    ]


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    file = tmp_path / "prompts.jsonl"
    file.write_text("".join(json.dumps(one) + "\n" for one in PROMPTS))
    return file


def wait_for(what: Any) -> None:
    for _ in range(1200):
        if what():
            return
        time.sleep(0.05)
    raise AssertionError("it never came")


def test_two_evaluations_in_one_folder_are_one(tmp_path: Path, prompts: Path) -> None:
    env, out = environment(tmp_path / "home"), tmp_path / "out"
    answer, may_go_on = DefaultResponder(), threading.Event()

    def answered(request: RecordedRequest) -> MockResponse | Fault:
        assert may_go_on.wait(120)
        return answer(request)

    with MockOpenAIServer(answered) as server:
        command = evaluation(server, out, prompts)
        with Python(*IMAGERAG, *command, env=env) as first:
            wait_for(lambda: server.count() >= 1)
            second = imagerag(*command, env=env)
            assert second.returncode == 2, second.stderr
            assert f"is being written by process {first.pid} (" in second.stderr
            assert "give another --out" in second.stderr
            may_go_on.set()
            _, said = first.communicate()
        assert first.returncode == 0, said
        once = server.count()
        assert server.repeats == []
        alone = tmp_path / "alone"
        assert imagerag(*evaluation(server, alone, prompts), env=env).returncode == 0
        assert server.count() == 2 * once
    assert (out / "results.jsonl").read_text() == (alone / "results.jsonl").read_text()


def test_an_evaluation_that_was_killed_lets_go_and_is_gone_on_with(tmp_path: Path, prompts: Path) -> None:
    env, out = environment(tmp_path / "home"), tmp_path / "out"
    with MockOpenAIServer(latency_s=0.1, idempotent=True) as server:
        command = evaluation(server, out, prompts)
        with Python(*IMAGERAG, *command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as first:
            wait_for(lambda: server.count() >= 3)
            first.kill()
        assert first.returncode == -signal.SIGKILL
        again = imagerag(*command, env=env)
        assert again.returncode == 0, again.stderr
    assert len((out / "results.jsonl").read_text().splitlines()) == 2 * len(PROMPTS)
    assert not (out / LOCK).exists()


HOLDING = """
import sys, time
from pathlib import Path
from imagerag.store.output_dir_lock import exclusive_writer
with exclusive_writer(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize(
    "command",
    [
        ("demo", "--out", "{out}"),
        ("batch", "{prompts}", "--out", "{out}", "--preset", "sketch"),
        ("report", "--all", "--out", "{out}"),
        ("eval", "run", "prompts:{prompts}", "--out", "{out}", "--preset", "sketch", "--metrics", "work"),
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_every_command_that_fills_a_folder_keeps_out(tmp_path: Path, prompts: Path, command: tuple[str, ...]) -> None:
    out, env = tmp_path / "out", environment(tmp_path / "home")
    with Python("-c", HOLDING, out) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        second = imagerag(*(word.format(out=out, prompts=prompts) for word in command), env=env)
        holder.kill()
    assert second.returncode == 2, second.stderr
    assert re.search(rf"is being written by process {holder.pid} \(", second.stderr)
    assert [file.name for file in out.iterdir()] == [LOCK]


async def test_an_evaluation_and_a_batch_in_one_process_are_kept_apart_too(tmp_path: Path) -> None:
    refused = pytest.raises(UsageError, match=f"process {os.getpid()}")
    with exclusive_writer(tmp_path / "out"), refused, exclusive_writer(tmp_path / "out"):
        pass


def test_a_folder_that_got_nothing_is_not_left_behind(tmp_path: Path) -> None:
    with exclusive_writer(tmp_path / "a" / "out"):
        pass
    assert not (tmp_path / "a" / "out").exists()
    (tmp_path / "mine").mkdir()
    with exclusive_writer(tmp_path / "mine"):
        pass
    assert (tmp_path / "mine").exists()


def test_a_folder_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot write into"), exclusive_writer(tmp_path / "file"):
        pass


def test_a_killed_holder_lets_go(tmp_path: Path) -> None:
    killing = HOLDING.replace("time.sleep(60)", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert python("-c", killing, tmp_path).returncode == -signal.SIGKILL
    with exclusive_writer(tmp_path):
        assert (tmp_path / LOCK).read_text().startswith(f"{os.getpid()} ")
