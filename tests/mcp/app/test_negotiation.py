"""Who announces the extension sees the app; who does not gets, byte for byte, what there was before it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from mcp import Client
from mcp.server.apps import APP_MIME_TYPE, EXTENSION_ID
from mcp.server.mcpserver import MCPServer

from imagerag.mcp.app import extension
from imagerag.mcp.app.extension import APP_URI, WITH_APP
from imagerag.mcp.server import ServerState
from tests.mcp.app.host import ANNOUNCES

LISTS = ("tools/list", "resources/list", "resources/templates/list")
APPS = {"extensions": {EXTENSION_ID: {"mimeTypes": [APP_MIME_TYPE]}}}
OTHERS = ({}, {"extensions": {}}, {"extensions": {EXTENSION_ID: {"mimeTypes": ["text/plain"]}}}, {"elicitation": {}})


@asynccontextmanager
async def speaking(place: Any, capabilities: dict[str, Any], version: str) -> AsyncIterator[Any]:
    """Speak to a server in its own bytes, of either protocol generation."""
    modern = version >= "2026"
    async with place.listening() as url, httpx.AsyncClient(timeout=60) as client:
        headers = {"accept": "application/json, text/event-stream", "mcp-protocol-version": version}
        meta = {
            "io.modelcontextprotocol/clientCapabilities": capabilities,
            "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
            "io.modelcontextprotocol/protocolVersion": version,
        }

        async def say(method: str, params: dict[str, Any], **more: Any) -> str:
            given = {**params, "_meta": meta} if modern else params
            headers_of = {**headers, "mcp-method": method} if modern else headers
            body = {"jsonrpc": "2.0", "method": method, "params": given, **more}
            answer = await client.post(url, json=body, headers=headers_of)
            if session := answer.headers.get("mcp-session-id"):
                headers["mcp-session-id"] = session
            assert answer.status_code < 300, answer.text
            return answer.text

        async def greeting() -> str:
            if modern:
                return await say("server/discover", {}, id=1)
            hello = {
                "protocolVersion": version,
                "capabilities": capabilities,
                "clientInfo": {"name": "t", "version": "1"},
            }
            answer = await say("initialize", hello, id=1)
            await say("notifications/initialized", {})
            return answer

        yield greeting, say


async def told(place: Any, capabilities: dict[str, Any], version: str) -> list[str]:
    """What a client of these capabilities is told before it calls anything."""
    async with speaking(place, capabilities, version) as (greeting, say):
        return [await greeting(), *[await say(method, {}, id=at) for at, method in enumerate(LISTS, start=2)]]


@pytest.mark.parametrize("version", ["2025-06-18", "2026-07-28"])
async def test_clients_without_apps_get_the_same_bytes_as_before(
    place: Any, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = [await told(place, capabilities, version) for capabilities in OTHERS]
    with monkeypatch.context() as without:
        without.setattr(MCPServer, "_apply_extension", lambda *_: None)
        without.setattr(ServerState, "_app_tools", lambda _: [])
        without.setattr(extension, "WITH_APP", frozenset())
        before = await told(place, {}, version)
    assert all(one == before for one in seen)
    announced = await told(place, APPS, version)
    # Up to 2025-11-25 greetings of servers name no extensions.
    modern = version >= "2026"
    assert [one == other for one, other in zip(announced, before, strict=True)] == [not modern, False, False, True]
    assert (EXTENSION_ID in announced[0]) == modern


async def test_the_tools_that_it_shows_name_the_app(place: Any, mode: str) -> None:
    async with Client(place.make().build(), mode=mode, extensions=[ANNOUNCES]) as client:
        listed = {one.name: one.meta or {} for one in (await client.list_tools()).tools}
        assert {name for name, meta in listed.items() if meta.get("ui", {}).get("resourceUri") == APP_URI} == WITH_APP
        assert listed["run_view"] == {"ui": {"visibility": ["app"]}}
        (resource,) = [one for one in (await client.list_resources()).resources if one.uri == APP_URI]
        assert resource.mime_type == APP_MIME_TYPE
        (content,) = (await client.read_resource(APP_URI)).contents
        assert content.mime_type == APP_MIME_TYPE
        assert content.meta == {"ui": {"prefersBorder": True}}
        text = getattr(content, "text", "")
        assert "http:" not in text
        assert "https:" not in text.replace("https?:", "")
        assert "eval(" not in text
        assert len(text.encode()) < 100_000


async def test_small_copies_of_images_are_read_by_their_address(place: Any, mode: str) -> None:
    async with Client(place.make().build(), mode=mode) as client:
        drawn = await client.call_tool("generate_image", {"prompt": "a boat", "max_rounds": 0})
        uri = drawn.structured_content["image"]["uri"]
        (small,) = (await client.read_resource(f"{uri}?side=32")).contents
        assert small.mime_type == "image/png"
        for wrong in (f"{uri}?side=1", f"image://{'0' * 64}?side=64", f"{uri}?side=64&x=1"):
            with pytest.raises(Exception, match=r"no image|names no image|Unknown resource|not found"):
                await client.read_resource(wrong)


async def test_the_view_of_a_run_is_small_whatever_is_in_it(place: Any, mode: str) -> None:
    for number in range(30):
        place.library.plant({"a blue star": 0.9 - number / 100}, title=f"{number} " + "x" * 5_000)
    async with Client(place.make().build(), mode=mode, extensions=[ANNOUNCES]) as client:
        drawn = await client.call_tool("generate_image", {"prompt": "a boat under a blue star"})
        view = await client.call_tool("run_view", {"run_id": drawn.structured_content["run_id"]})
        assert len(json.dumps(view.structured_content)) < 60_000
        assert view.structured_content["attempts"][0]["checks"][0]["met"] is False
        for wrong in ({}, {"run_id": "unknown"}, {"request_id": "7", "run_id": "some"}, {"request_id": "999"}):
            assert (await client.call_tool("run_view", wrong)).is_error


async def test_a_run_is_found_by_its_request_in_the_session_that_began_it_alone(place: Any, connect: Any) -> None:
    place.provider.may_draw.clear()
    async with place.listening() as url, connect(url) as client, connect(url) as other:
        call = asyncio.create_task(client.call_tool("generate_image", {"prompt": "a boat"}))
        await place.until(lambda: place.serving.handlers.jobs.active, "the run has begun")
        (job,) = place.serving.handlers.jobs.active
        own, foreign = [await one.call_tool("run_view", {"request_id": job.request_id}) for one in (client, other)]
        # From 2026-07-28 on there are no sessions, and nothing tells the clients of a server apart.
        assert own.is_error == (job.owner is None)
        assert foreign.is_error
        view = await client.call_tool("run_view", {"run_id": job.run_id})
        assert (view.structured_content["live"], view.structured_content["status"]) == (True, "running")
        place.provider.may_draw.set()
        await call
        ended = await client.call_tool("run_view", {"run_id": job.run_id})
        assert (ended.structured_content["live"], ended.structured_content["status"]) == (False, "ended")
