"""`imagerag mcp` as editors start it: a process of its own, spoken to over stdin and stdout."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import mcp.client.stdio
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters

from imagerag import ImageRAG
from imagerag.agent.types import Outcome
from imagerag.formatting import labels
from tests.conftest import copied
from tests.processes import IMAGERAG, relayed

HELD = "a red solid heart and a blue split crescent on a mint background"
"""What the sketch painter cannot draw without the library."""

PATIENCE_S = 30
"""How long a client waits for the end of a server whose runs are to end before that."""


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients do not kill a server that takes longer than two seconds to end."""
    monkeypatch.setattr(mcp.client.stdio, "PROCESS_TERMINATION_TIMEOUT", PATIENCE_S)


def started(home: Path, *options: str, cold: bool = False) -> StdioServerParameters:
    """How a client starts it: forked, unless it is to start as it does for users."""
    environment = {**os.environ, "IMAGERAG_HOME": str(home), "OPENAI_API_KEY": "sk-none"}
    arguments = [*IMAGERAG, "mcp", *options]
    command, *rest = [sys.executable, *arguments] if cold else relayed(*arguments)
    return StdioServerParameters(command=command, args=rest, env=environment, cwd=str(home))


def over_loopback(place: Any) -> list[str]:
    """Options for backends that are asked over HTTP, and no library: nothing large is loaded."""
    at = place.loopback.base_url
    return ["--preset", "openai", "--generator", f"localai:m@{at}", "--judge", f"openai:m@{at}"]


async def test_the_embedded_world_with_a_human_in_it(sketch_home: Path, tmp_path: Path, mode: str, kit: Any) -> None:
    copied(sketch_home, tmp_path, dirs_exist_ok=True)
    human, heard = kit.human(["1"]), list[str]()

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append(message or "")

    server = started(tmp_path, "--preset", "sketch")
    async with Client(server, mode=mode, elicitation_callback=human) as client:
        assert client.protocol_version == ("2025-11-25" if mode == "legacy" else mode)
        drawn = await client.call_tool("generate_image", {"prompt": HELD, "select": True}, progress_callback=hear)
        assert drawn.structured_content["outcome"] == "aligned"
        picture = (await client.read_resource(drawn.structured_content["image"]["uri"])).contents[0]
        assert picture.mime_type == "image/png"
        started_ = await client.call_tool("start_image", {"prompt": HELD})
        done = await client.call_tool("run_result", {"run_id": started_.structured_content["run_id"], "wait_s": 50})
        assert done.structured_content["outcome"] == "aligned"
        wrong = await client.call_tool("generate_image", {"promt": HELD})
        assert wrong.is_error
    assert "licence" in human.asked[0]
    assert labels.node_done("retrieve") in heard


async def test_closing_stdin_stops_the_spending(place: Any, tmp_path: Path, mode: str, patient: None) -> None:
    place.provider.may_draw.clear()
    async with Client(started(tmp_path, *over_loopback(place)), mode=mode) as client:
        call = asyncio.create_task(client.call_tool("generate_image", {"prompt": "a boat"}))
        await client.call_tool("start_image", {"prompt": "a ship"})
        async with asyncio.timeout(60):
            while place.loopback.count() < 2:
                await asyncio.sleep(0.02)
        call.cancel()
    place.provider.may_draw.set()
    assert await place.quiet() == 2
    assert {run.outcome for run in await ImageRAG(home=tmp_path).runs.list()} == {Outcome.CANCELLED}


async def test_what_is_to_be_kept_outlives_its_client(
    place: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as the client lets the server live. After that it stands still, and goes on where it was."""

    async def begun(client: Client, prompt: str) -> str:
        told = await client.call_tool("start_image", {"prompt": prompt, "keep": True, "max_rounds": 0})
        async with asyncio.timeout(60):
            while not any(prompt in request.prompt for request in place.loopback.requests):
                await asyncio.sleep(0.02)
        return str(told.structured_content["run_id"])

    place.provider.may_draw.clear()  # for longer than a client waits before it kills
    async with Client(started(tmp_path, *over_loopback(place))) as client:
        cut = await begun(client, "a boat")
    assert [(run.run_id, run.status) for run in await ImageRAG(home=tmp_path).runs.list()] == [(cut, "running")]
    place.provider.may_draw.set()
    monkeypatch.setattr(mcp.client.stdio, "PROCESS_TERMINATION_TIMEOUT", PATIENCE_S)
    async with Client(started(tmp_path, *over_loopback(place))) as client:
        told = await client.call_tool("run_status", {"run_id": cut})
        assert "continue_run(run_id) goes on" in told.content[0].text
        resumed = await client.call_tool("continue_run", {"run_id": cut})
        assert resumed.structured_content["outcome"] == "best_effort"
        place.provider.may_draw.clear()
        kept = await begun(client, "a ship")
        place.provider.may_draw.set()
    runs = {run.run_id: run.outcome for run in await ImageRAG(home=tmp_path).runs.list()}
    assert runs == {cut: Outcome.BEST_EFFORT, kept: Outcome.BEST_EFFORT}


async def test_what_is_no_message_at_all_is_survived(place: Any, tmp_path: Path) -> None:
    given = started(tmp_path, *over_loopback(place), cold=True)
    process = await asyncio.create_subprocess_exec(
        given.command,
        *given.args,
        env=given.env,
        cwd=given.cwd,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin
    assert process.stdout
    hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "raw", "version": "0"}}
    call: dict[str, Any] = {"jsonrpc": "2.0", "id": 2, "method": "tools/call"}
    lines = [
        b"\xff\xfe\0garbage",
        b'{"jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": {"name": "\\ud800"}}',
        json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}).encode(),
        json.dumps({"jsonrpc": "2.0", "method": "notifications/initialized"}).encode(),
        json.dumps({**call, "params": {"name": "generate_image", "arguments": {"prompt": "x" * 100_000}}}).encode(),
    ]
    process.stdin.write(b"\n".join(lines) + b"\n")
    answers: dict[int, Any] = {}
    async with asyncio.timeout(60):
        while 2 not in answers:
            message = json.loads(await process.stdout.readline())
            answers[message.get("id")] = message
    assert "100,000 characters are too many" in answers[2]["result"]["content"][0]["text"]
    process.stdin.close()
    async with asyncio.timeout(30):
        assert await process.wait() == 0


async def test_a_client_that_is_killed_leaves_nothing_spending(place: Any, tmp_path: Path) -> None:
    place.provider.may_draw.clear()
    given = started(tmp_path, *over_loopback(place), cold=True)
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([given.command, *given.args], env=given.env, cwd=given.cwd, **pipes) as process:
        assert process.stdin
        assert process.stdout
        hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "raw", "version": "0"}}
        call = {"name": "generate_image", "arguments": {"prompt": "a boat"}, "_meta": {"progressToken": 1}}
        for message in (
            {"id": 1, "method": "initialize", "params": hello},
            {"method": "notifications/initialized"},
            {"id": 2, "method": "tools/call", "params": call},
        ):
            process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        process.stdin.flush()
        async with asyncio.timeout(60):
            while not place.loopback.count():
                await asyncio.sleep(0.02)
        process.stdout.close()  # both ends at once, as when a process dies: what the server writes fails as well
        process.stdin.close()
        await asyncio.to_thread(process.wait, 30)
    place.provider.may_draw.set()
    assert await place.quiet() == 1
    assert [run.outcome for run in await ImageRAG(home=tmp_path).runs.list()] == [Outcome.CANCELLED]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--http", "--host", "0.0.0.0"], "needs a token"),
        (["--root", "/no/such/folder"], "no such folder"),
        (["--preset", "none"], "no preset"),
    ],
)
def test_what_cannot_be_served_is_told_before_anything_is(options: list[str], said: str) -> None:
    from click.testing import CliRunner

    from imagerag.cli import main

    result = CliRunner().invoke(main, ["mcp", *options])
    assert result.exit_code == 2
    assert said in result.stderr


def test_without_the_extra_its_name_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import CliRunner

    from imagerag.cli import main

    monkeypatch.setitem(sys.modules, "mcp.server", None)
    result = CliRunner().invoke(main, ["mcp"])
    assert result.exit_code == 2
    assert "pip install 'imagerag[mcp]'" in result.stderr
