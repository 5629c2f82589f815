"""A password or a key inside an address goes to that address, and into nothing that is written or shown.

A whole run through every door: everything printed, logged at DEBUG, every file of the home and every database is
searched for it, and the request did carry it.
"""

import base64
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from imagerag import ImageRAG
from imagerag.agent.errors import SpecError
from imagerag.agent.types import RunSpec
from imagerag.agent.url_redaction import credentials_of, public
from imagerag.cli import main
from imagerag.evals.harness.arms import parse_arms
from imagerag.graphs.configuration.settings import resolve
from imagerag.tools.spec import BackendSpec
from tests.conftest import copied
from tests.tools.wire import Wire, wire

USER, PASSWORD, KEY = "bobby-tables", "hunter2-pass-phrase", "querykey-9f8e7d6c5b4a"
BASIC = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
SECRETS = (PASSWORD, KEY, BASIC, f"{USER}:")


@pytest.fixture
def server() -> Iterator[Wire]:
    with wire() as one:
        yield one


def with_secrets(server: Wire, how: str) -> str:
    place = f"127.0.0.1:{server.port}/v1"
    return {
        "password": f"http://{USER}:{PASSWORD}@{place}",
        "query": f"http://{place}?api_key={KEY}&api-version=2",
        "both": f"http://{USER}:{PASSWORD}@{place}?access_token={KEY}",
    }[how]


def leaks(*texts: bytes) -> set[str]:
    return {secret for secret in SECRETS for text in texts if secret.encode() in text}


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_command_of_a_whole_run(
    server: Wire, tmp_path: Path, sketch_home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    copied(sketch_home, tmp_path / "home")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMAGERAG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("IMAGERAG_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("IMAGERAG_JUDGE", f"openai:some-vlm@{with_secrets(server, 'both')}")
    caplog.set_level(logging.DEBUG)
    said: list[bytes] = []

    def run(*arguments: str) -> str:
        done = CliRunner().invoke(main, ["--debug", *arguments])
        said.extend((done.stdout.encode(), done.stderr.encode(), repr(done.exception).encode()))
        return done.stdout

    run("generate", "a red circle", "--preset", "sketch", "--max-rounds", "1", "--out", "one.png", "--json")
    run("doctor", "--json", "--preset", "sketch")
    (entry,) = json.loads(run("runs", "--json"))["runs"]
    run("show", entry["run_id"], "--json")
    run("report", entry["run_id"], "--out", "report.html")
    run("replay", entry["run_id"], "--from", "1", "--json")
    assert any(b"some-vlm@http://127.0.0.1" in text for text in said)
    assert leaks(*said, caplog.text.encode()) == set()
    assert {name: leaks(data) for name, data in files_of(tmp_path).items() if leaks(data)} == {}
    assert {"report.html", "one.png"} <= {path.name for path in tmp_path.iterdir()}
    # It was sent all the same: to the very server, and to no other.
    assert {request.headers["authorization"] for request in server.arrived} == {f"Basic {BASIC}"}
    assert all(KEY in request.line for request in server.arrived)


def test_the_log_of_the_client_itself_holds_none(server: Wire, tmp_path: Path) -> None:
    spec = f"openai:some-vlm@{with_secrets(server, 'both')}"
    code = """
import asyncio
from imagerag.agent.types import SamplingParams
from imagerag.tools.judges.vlm.chat_protocol import ChatMessage
from imagerag.tools.registry import make_judge
from imagerag.agent.url_redaction import public
judge = make_judge(public(input()))
asyncio.run(judge.chat.ask([ChatMessage(role="user", parts=("hello",))], schema=None, variation=SamplingParams()))
"""
    command = [sys.executable, "-c", code]
    env = {**os.environ, "OPENAI_LOG": "debug"}
    done = subprocess.run(command, input=spec.encode(), capture_output=True, env=env, cwd=tmp_path, timeout=200)
    assert done.returncode == 0, done.stderr
    assert b"HTTP Request" in done.stderr or b"Request" in done.stderr
    assert leaks(done.stdout, done.stderr) == set()
    assert len(server.arrived) == 1


@pytest.mark.parametrize(
    "text",
    [
        f"openai:m@http://{USER}:{PASSWORD}@h/v1",
        f"openai:m@HTTPS://{USER}:{PASSWORD}@h/v1",
        f"openai:m @ http://{USER}:{PASSWORD}@h:1/v1",
        f"openai:m@https://h/v1?api_key={KEY}",
        f"openai:m@https://h/v1?api-version=1&sig={KEY}#x",
        f"openai:m@https://h/v1#token={KEY}",
        f"openai:m?votes=3@http://{USER}:{PASSWORD}@h/v1,sketch",
        f"sketch,openai:m@http://{USER}:{PASSWORD}/?#@h/v1",
        f"vqa:openai:m@http://{USER}:{PASSWORD}@h/v1",
        f"openai:m?api_key={KEY}@https://h/v1",
        f"openai:m?key_env={KEY}@https://h/v1",
        f"http://{USER}:{PASSWORD}@h/v1",
        f"openai:m@ftp://{USER}:{PASSWORD}@h/v1",
    ],
)
def test_wherever_it_stands_in_a_spec(text: str) -> None:
    clean = public(text)
    assert leaks(clean.encode()) == set(), clean
    assert public(clean) == clean
    setup = RunSpec(generator=text, judge="sketch", reranker=text)
    assert leaks(setup.model_dump_json().encode(), repr(setup).encode()) == set()
    assert leaks(repr(resolve(generator=text, preset="sketch")).encode()) == set()
    assert leaks(told_of(text).encode()) == set()


def told_of(text: str) -> str:
    """How a spec shows, or what is wrong with it."""
    try:
        return repr(BackendSpec.parse_all(text))
    except SpecError as error:
        return str(error)


def test_a_name_of_an_arm_holds_none() -> None:
    (arm,) = parse_arms(f"full+judge=openai:m@http://{USER}:{PASSWORD}@h/v1")
    assert leaks(arm.model_dump_json().encode()) == set()
    assert arm.setup["judge"] == "openai:m@http://h/v1"


def test_it_is_remembered_for_that_address_alone() -> None:
    public(f"openai:m@https://{USER}:{PASSWORD}@only.example/v1")
    found = credentials_of("https://only.example/v1/images/generations")
    assert found is not None
    assert found.password == PASSWORD
    assert PASSWORD not in repr(found)
    for other in ("http://only.example/v1", "https://only.example:8443/v1", "https://only.example/v10/x",
                  "https://only.example.evil/v1", "https://evil.example/only.example/v1"):  # fmt: skip
        assert credentials_of(other) is None


async def test_the_api_keeps_none_either(server: Wire, tmp_path: Path) -> None:
    rag = ImageRAG(preset="sketch", judge=f"openai:m@{with_secrets(server, 'both')}", home=tmp_path / "home")
    record = await rag.generate("a red circle", max_rounds=0)
    assert leaks(record.model_dump_json().encode(), repr(rag.settings).encode(), repr(rag.__dict__).encode()) == set()
    assert {name: leaks(data) for name, data in files_of(tmp_path).items() if leaks(data)} == {}
    assert server.arrived
    assert all(KEY in request.line for request in server.arrived)
