"""A command is stopped while a service has not answered yet: the call is in record and budget all the same."""

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from imagerag.agent.calls.pending_calls import NO_ANSWER
from imagerag.cli import main
from imagerag.tools.testing.mock_openai import DefaultResponder, Endpoint, Fault, MockOpenAIServer
from tests.processes import IMAGERAG, Python

MOST = 2


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, home: Path) -> Iterator[MockOpenAIServer]:
    """A service that draws, and a judge that approves of everything."""
    with MockOpenAIServer(DefaultResponder()) as server:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
        for role in ("GENERATOR", "JUDGE"):
            monkeypatch.setenv(f"IMAGERAG_{role}", f"openai:loopback@{server.base_url}")
        yield server


def stopped(server: MockOpenAIServer, endpoint: Endpoint, how: signal.Signals) -> tuple[int, str, str]:
    """Stop `generate` in the call that hangs; how it ended, and what it said."""
    server.enqueue(endpoint, Fault("hang"))
    command = ("generate", "a red circle", "--max-calls", str(MOST), "--json")
    with Python(*IMAGERAG, *command) as running:
        while not any(request.fault == "hang" for request in server.requests):
            assert running.poll() is None
            time.sleep(0.05)
        running.send_signal(how)
        out, err = running.communicate()
    return running.wait(), out, err


def shown(run: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(CliRunner().invoke(main, ["show", run, "--json"]).stdout)
    return found


@pytest.mark.parametrize(("endpoint", "role"), [("images.generate", "generate"), ("chat", "judge.critique")])
def test_ctrl_c_in_a_call_books_it(server: MockOpenAIServer, endpoint: Endpoint, role: str) -> None:
    code, out, err = stopped(server, endpoint, signal.SIGINT)
    assert (code, "Traceback" in err) == (130, False), err
    record = json.loads(out)
    assert record["outcome"] == "cancelled"
    assert sum(record["calls"].values()) == server.count()
    (lost,) = [call for call in record["call_log"] if call["unsettled"]]
    assert (lost["role"], lost["completed"], lost["error"]) == (role, False, NO_ANSWER)
    resumed = CliRunner().invoke(main, ["resume", record["run_id"]])  # Ctrl-C ends a run: nothing is left to do
    assert resumed.exit_code in (2, 3), resumed.output
    assert sum(shown(record["run_id"])["calls"].values()) == server.count() <= MOST


@pytest.mark.parametrize("endpoint", ["images.generate", "chat"])
def test_a_killed_call_is_booked_by_whoever_looks_and_resume_spends_only_the_rest(
    server: MockOpenAIServer, endpoint: Endpoint
) -> None:
    stopped(server, endpoint, signal.SIGKILL)
    before = shown("last")
    assert (before["status"], sum(before["calls"].values())) == ("running", server.count())
    resumed = CliRunner().invoke(main, ["resume", "last", "--json"])
    record = json.loads(resumed.stdout)
    assert (record["status"], record["run_id"]) == ("ended", before["run_id"])
    assert sum(record["calls"].values()) == server.count() <= MOST
    assert [call["error"] for call in record["call_log"] if call["unsettled"]] == [NO_ANSWER]
