"""Who may connect over HTTP, and what becomes of the runs of a client that is gone."""

import asyncio
import json
import socket
from typing import Any
from unittest.mock import AsyncMock, Mock

import httpx2
import pytest
from anyio import BrokenResourceError
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from imagerag import UsageError
from imagerag.agent.types import Outcome
from imagerag.assistants.tool_result import ToolResult
from imagerag.http_server.access import HttpOptions
from imagerag.mcp.handlers import Handlers
from imagerag.mcp.jobs import Job, Jobs

PROMPT = "a boat under a blue star"
TOKEN = "correct-horse-battery"
MODERN = "2026-07-28"


def call_of(tool: str, arguments: dict[str, Any], version: str) -> tuple[dict[str, Any], dict[str, str]]:
    """A call as it goes over the wire: (body, headers)."""
    params: dict[str, Any] = {"name": tool, "arguments": arguments, "_meta": {"progressToken": 1}}
    headers = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": version}
    if version == MODERN:
        params["_meta"] |= {
            "io.modelcontextprotocol/protocolVersion": version,
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": {"name": "raw", "version": "0"},
        }
        headers |= {"Mcp-Method": "tools/call", "Mcp-Name": tool}
    return {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}, headers


async def opened(client: httpx2.AsyncClient, url: str) -> dict[str, str]:
    """The header of a new session of the older generation."""
    hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "raw", "version": "0"}}
    headers = {"Accept": "application/json, text/event-stream"}
    body = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}
    answer = await client.post(url, json=body, headers=headers)
    session = {"Mcp-Session-Id": answer.headers["mcp-session-id"]}
    ready = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    await client.post(url, json=ready, headers=headers | session)
    return session


@pytest.mark.parametrize("version", ["2025-11-25", MODERN])
async def test_a_dropped_connection_stops_the_spending(place: Any, version: str) -> None:
    place.provider.may_draw.clear()
    async with place.listening() as url:
        async with httpx2.AsyncClient(timeout=60) as client:
            session = await opened(client, url) if version != MODERN else {}
            body, headers = call_of("generate_image", {"prompt": PROMPT}, version)
            async with client.stream("POST", url, json=body, headers=headers | session):
                await place.until(place.loopback.count, "the provider is asked")
        # The connection is closed, the session was not ended: nobody said anything.
        jobs = place.serving.handlers.jobs
        await place.until(lambda: not jobs.active, "the run has ended")
        place.provider.may_draw.set()
        assert await place.quiet() == 1
    assert (await place.rag().runs.list())[0].outcome is Outcome.CANCELLED


async def test_runs_end_with_their_session_unless_they_are_to_be_kept(place: Any) -> None:
    place.provider.may_draw.clear()
    async with place.listening() as url:
        async with Client(url, mode="legacy") as client:
            left, kept = [
                (await client.call_tool("start_image", {"prompt": PROMPT, "keep": keep})).structured_content["run_id"]
                for keep in (False, True)
            ]
            await place.until(lambda: place.loopback.count() == 2, "both are drawing")
        async with Client(url, mode="legacy") as client:
            stopped = await client.call_tool("run_result", {"run_id": left})
            place.provider.may_draw.set()
            done = await client.call_tool("run_result", {"run_id": kept})
    assert stopped.structured_content["outcome"] == "cancelled"
    assert done.structured_content["outcome"] == "aligned"


async def test_a_run_that_nobody_asks_about_is_cancelled(place: Any, connect: Any) -> None:
    place.provider.may_draw.clear()
    async with place.listening(idle_timeout_s=0.3) as url, connect(url) as client:
        left, kept = [
            (await client.call_tool("start_image", {"prompt": PROMPT, "keep": keep})).structured_content["run_id"]
            for keep in (False, True)
        ]
        jobs = place.serving.handlers.jobs
        await place.until(lambda: [job.run_id for job in jobs.active] == [kept], "one has ended")
        place.provider.may_draw.set()
        await place.until(lambda: not jobs.active, "both have ended")
        stopped = await client.call_tool("run_result", {"run_id": left})
        done = await client.call_tool("run_result", {"run_id": kept})
    assert stopped.structured_content["outcome"] == "cancelled"
    assert done.structured_content["outcome"] == "aligned"


async def test_a_call_that_is_followed_needs_no_lease(place: Any, connect: Any) -> None:
    place.provider.may_draw.clear()
    asyncio.get_running_loop().call_later(0.5, place.provider.may_draw.set)
    async with place.listening(idle_timeout_s=0.1) as url, connect(url) as client:
        result = await client.call_tool("generate_image", {"prompt": PROMPT})
    assert result.structured_content["outcome"] == "aligned"


async def test_the_servers_end_ends_its_runs(place: Any, connect: Any) -> None:
    place.provider.may_draw.clear()
    async with place.listening() as url, connect(url) as client:
        for keep in (False, True):
            await client.call_tool("start_image", {"prompt": PROMPT, "keep": keep})
        await place.until(lambda: place.loopback.count() == 2, "both are drawing")
    assert {run.outcome for run in await place.rag().runs.list()} == {Outcome.CANCELLED}
    place.provider.may_draw.set()
    assert await place.quiet() == 2


async def test_without_the_token_nobody_gets_in(place: Any) -> None:
    body, headers = call_of("run_status", {"run_id": "none"}, MODERN)
    async with place.listening(token=TOKEN) as url, httpx2.AsyncClient(timeout=60) as client:
        for given in (None, "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", "Bearer"):
            sent = headers | ({"Authorization": given} if given is not None else {})
            for method, path in (("POST", ""), ("GET", ""), ("DELETE", ""), ("GET", "/../elsewhere")):
                answer = await client.request(method, url + path, json=body, headers=sent)
                assert answer.status_code == 401
                assert answer.headers["www-authenticate"].startswith("Bearer")
                assert TOKEN not in answer.text
        twice = [*headers.items(), ("Authorization", f"Bearer {TOKEN}"), ("Authorization", "Bearer x")]
        assert (await client.post(url, json=body, headers=twice)).status_code == 401


async def test_with_the_token_the_client_works(place: Any, mode: str) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with (
        place.listening(token=TOKEN) as url,
        httpx2.AsyncClient(timeout=60, headers=headers) as http,
        Client(streamable_http_client(url, http_client=http), mode=mode) as client,
    ):
        result = await client.call_tool("generate_image", {"prompt": PROMPT, "max_rounds": 0})
    assert result.structured_content["outcome"] == "best_effort"


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [("Host", "evil.example", 421), ("Origin", "https://evil.example", 403), ("Origin", "null", 403)],
)
async def test_a_page_in_a_browser_cannot_use_another_name(place: Any, header: str, value: str, status: int) -> None:
    for version in ("2025-11-25", MODERN):
        body, headers = call_of("run_status", {"run_id": "none"}, version)
        async with place.listening() as url, httpx2.AsyncClient(timeout=60) as client:
            answer = await client.post(url, json=body, headers={**headers, header: value})
        assert answer.status_code == status


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"host": "0.0.0.0"}, "needs a token"),
        ({"host": "192.168.1.5"}, "needs a token"),
        ({"host": "::"}, "needs a token"),
        ({"host": "example.org"}, "needs a token"),
        ({"host": "0.0.0.0", "token": TOKEN}, "--allow-host"),
        ({"token": "short"}, "at least 16"),
    ],
)
def test_nothing_is_opened_to_others_by_accident(options: dict[str, Any], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        HttpOptions(**options)


@pytest.mark.parametrize("options", [{}, {"host": "::1"}, {"host": "localhost"}, {"host": "127.0.0.2"}])
def test_this_machine_needs_no_token(options: dict[str, Any]) -> None:
    assert HttpOptions(**options).token is None


async def test_a_port_that_is_taken_is_told(place: Any) -> None:
    from imagerag.http_server.listening import bind

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(UsageError, match="cannot listen"):
            bind(HttpOptions(port=taken.getsockname()[1]))


async def test_half_characters_and_nul_bytes_are_refused_and_harm_nothing(place: Any) -> None:
    async with place.listening() as url, httpx2.AsyncClient(timeout=60) as client:
        for hostile in ("\ud800", "a\0b"):
            for tool, name in (("generate_image", "prompt"), ("run_status", "run_id"), ("generate_image", hostile)):
                body, headers = call_of(tool, {name: hostile}, MODERN)
                answer = await client.post(
                    url, content=json.dumps(body), headers={**headers, "Content-Type": "application/json"}
                )
                said = answer.json()
                assert said.get("error") or said["result"]["isError"], (tool, name)
            session = await opened(client, url)
            body, headers = call_of("generate_image", {"prompt": hostile}, "2025-11-25")
            answer = await client.post(
                url, content=json.dumps(body), headers={**headers, **session, "Content-Type": "application/json"}
            )
            assert answer.status_code == 400 or '"isError":true' in answer.text
    assert place.loopback.count() == 0


@pytest.mark.parametrize("token", [None, TOKEN])
async def test_a_body_without_an_end_is_cut_off(place: Any, token: str | None) -> None:
    """Too large it is with the token, too; without it not even a piece of it is taken."""
    sent = 0

    async def endless() -> Any:
        nonlocal sent
        while True:
            sent += 1
            yield b" " * (1 << 20)
            await asyncio.sleep(0)  # the server is in this process

    async with place.listening(token=token) as url, httpx2.AsyncClient(timeout=60) as client:
        headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
        try:
            async with asyncio.timeout(30):
                answer = await client.post(url, content=endless(), headers=headers)
            assert answer.status_code == (413 if token is None else 401)
            assert answer.headers["connection"] == "close"
        except httpx2.TransportError:
            pass  # it hung up before everything was sent
        assert sent < 100
        body, headers = call_of("run_status", {"run_id": "none"}, MODERN)
        allowed = headers | ({"Authorization": f"Bearer {token}"} if token else {})
        assert (await client.post(url, json=body, headers=allowed)).status_code == 200


@pytest.mark.parametrize("version", ["2025-11-25", MODERN])
async def test_what_a_client_that_was_killed_had_begun_ends_with_its_lease(place: Any, version: str) -> None:
    """It said nothing when it went, and its session, where it had one, is still there."""
    place.provider.may_draw.clear()
    async with place.listening(idle_timeout_s=1) as url:
        async with httpx2.AsyncClient(timeout=60) as client:
            session = await opened(client, url) if version != MODERN else {}
            body, headers = call_of("start_image", {"prompt": PROMPT}, version)
            assert (await client.post(url, json=body, headers=headers | session)).status_code == 200
        jobs = place.serving.handlers.jobs
        await place.until(lambda: not jobs.active, "the run has ended")
        place.provider.may_draw.set()
        assert await place.quiet() <= 1
        assert [(run.status, run.outcome) for run in await place.rag().runs.list()] == [("ended", Outcome.CANCELLED)]


async def test_a_call_whose_client_can_no_longer_be_told_anything_ends_its_run() -> None:
    """Long before the run's lease is over."""
    handlers = Handlers(service=Mock(), jobs=Jobs(idle_timeout_s=600), beat_s=0.001)
    ctx: Any = Mock(request_context=Mock(request=None), report_progress=AsyncMock(side_effect=BrokenResourceError))

    async def work(job: Job) -> ToolResult:
        await asyncio.Event().wait()
        raise AssertionError("nobody sets it")

    job = handlers.jobs.start("mine", work)
    with pytest.raises(BrokenResourceError):
        await handlers._through(job, False, ctx)
    await job.news(job.steps, 10)
    assert (job.state, job.why) == ("ended", "the client cancelled the call or left")
