"""`imagerag batch` in a process of its own, against a provider that counts what it is asked."""

import json
import os
import signal
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from imagerag.cli import main
from imagerag.tools.testing.mock_openai import MockOpenAIServer, MockResponse, RecordedRequest, tiny_png
from tests.conftest import copied
from tests.processes import IMAGERAG, Python

LINES = 12


def answer(request: RecordedRequest) -> MockResponse:
    if request.asks == "image":
        return MockResponse(images=(tiny_png(request.digest),))
    check = {"number": 1, "requirement": "a cat", "kind": "content", "evidence": "", "met": True, "caption": "a cat"}
    return MockResponse(text=json.dumps({"checks": [check]}))


class Counting(MockOpenAIServer):
    """Says when its nth request has come."""

    def __init__(self, nth: int) -> None:
        super().__init__(answer, latency_s=0.05, idempotent=True)
        self.left, self.came = nth, threading.Event()

    def note(self, request: RecordedRequest) -> None:
        """Record a request, and count it."""
        super().note(request)
        self.left -= 1
        if self.left <= 0:
            self.came.set()


def begin(server: MockOpenAIServer, folder: Path, *flags: str) -> Python:
    backend = f"openai:loopback@{server.base_url}"
    command = (*IMAGERAG, "batch", "in.jsonl", "--out", "out", "--preset", "openai", "--concurrency", "3")
    environment = {**os.environ, "OPENAI_API_KEY": "sk-test", "IMAGERAG_HOME": str(folder / "home"), "COLUMNS": "80"}
    return Python(*command, "--generator", backend, "--judge", backend, *flags, cwd=folder, env=environment)


def write_input(folder: Path) -> None:
    prompts = [json.dumps({"id": f"cat-{n}", "prompt": f"cat number {n}"}) for n in range(LINES)]
    (folder / "in.jsonl").write_text("\n".join(prompts) + "\n")


def results(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "out" / "results.jsonl").read_text().splitlines()]


def stop(child: Python, server: Counting, how: signal.Signals) -> tuple[int, str, str]:
    assert server.came.wait(60)
    child.send_signal(how)
    out, err = child.communicate()
    server.settle()
    return child.wait(), out, err


@pytest.mark.timeout(180)
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_batch_that_is_stopped_anywhere_goes_on_and_pays_for_nothing_twice(
    tmp_path: Path, how: signal.Signals
) -> None:
    write_input(tmp_path)
    with Counting(nth=9) as server:
        code, out, err = stop(begin(server, tmp_path), server, how)
        assert code == (-9 if how is signal.SIGKILL else 130), err
        if how is signal.SIGINT:
            assert "imagerag batch in.jsonl --out out --resume" in err
            assert "Traceback" not in err
        before = results(tmp_path) if (tmp_path / "out" / "results.jsonl").exists() else []
        assert len(before) < LINES
        child = begin(server, tmp_path, "--resume", "--json")
        out, err = child.communicate()
        assert child.returncode == 0, err
        summary = json.loads(out)
        assert (summary["total"], summary["remaining"], summary["previously_done"]) == (LINES, 0, len(before))
        after = results(tmp_path)
        assert after[: len(before)] == before
        assert sorted(one["id"] for one in after) == sorted(f"cat-{n}" for n in range(LINES))
        assert {one["outcome"] for one in after} == {"aligned"}
        # Only what was on the wire when the process died is asked again, under its key: the service gives the answer
        # that it was paid for.
        keys = Counter(request.idempotency_key for request in server.requests if request.method == "POST")
        assert len(keys) == 2 * LINES
        assert sum(keys.values()) - len(keys) <= 3
        assert server.errors == []


def test_exit_codes_and_what_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    monkeypatch.setenv("IMAGERAG_HOME", str(tmp_path / "home"))
    (tmp_path / "in.txt").write_text("a cat\n\nanother cat\n")
    with MockOpenAIServer(answer) as server:
        backend = f"openai:loopback@{server.base_url}"
        backends = ["--preset", "openai", "--generator", backend, "--judge", backend]

        def run(*flags: str) -> Any:
            return CliRunner().invoke(main, ["batch", *flags])

        done = run("in.txt", "--out", "out", *backends)
        assert done.exit_code == 0, done.stderr
        assert "2 prompts of 2 run" in done.stdout
        assert "[2/2]" in done.stderr
        assert (tmp_path / "out" / "00003.png.json").exists()
        assert run("in.txt", "--out", "out", *backends).exit_code == 2
        # What it was started with need not be said again.
        again = run("in.txt", "--out", "out", "--resume", "--json")
        assert (again.exit_code, json.loads(again.stdout)["previously_done"]) == (0, 2)
        other = run("in.txt", "--out", "out", "--resume", "--judge", "sketch")
        assert other.exit_code == 2
        assert "judge" in other.stderr
        assert server.count() == 4
        (tmp_path / "bad.jsonl").write_text('"a cat"\n{oops\n')
        bad = run("bad.jsonl", "--out", "bad", "--json", *backends)
        assert (bad.exit_code, json.loads(bad.stdout)["status"]) == (1, {"done": 1, "failed": 0, "invalid": 1})
        (tmp_path / "oops.jsonl").write_text("{oops\n" * 7)
        told = run("oops.jsonl", "--out", "oops", "-q", *backends).stdout
        assert "7  cannot be run\n" in told
        assert "    00001  it is not JSON" in told
        assert "… and 2 more, see results.jsonl" in told
        (tmp_path / "home" / "prices.toml").write_text('[models."*@127.0.0.1"]\nper_call = 0.4\n')
        spent = run("in.txt", "--out", "dear", "--max-cost-usd", "0.5", "--max-run-cost-usd", "0.6", *backends)
        assert spent.exit_code == 5, spent.stdout
        assert "--resume" in spent.stderr


def test_a_filter_of_the_command_is_kept(sketch_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMAGERAG_HOME", str(copied(sketch_home, tmp_path / "home")))
    (tmp_path / "in.txt").write_text("a red circle\n")
    command = ["batch", "in.txt", "--out", "out", "--preset", "sketch", "--filter", "width>0", "--filter", "not tag=x"]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.stderr
    kept = json.loads((tmp_path / "out" / "batch.json").read_text())["settings"]["options"]
    assert kept["filter"] == "width>0 and not tag=x"
    assert CliRunner().invoke(main, [*command, "--resume"]).exit_code == 0
    other = CliRunner().invoke(main, [*command[:-2], "--resume"])
    assert other.exit_code == 2
    assert "started with filter 'width>0 and not tag=x', now 'width>0'" in other.stderr.replace("\n", " ")
