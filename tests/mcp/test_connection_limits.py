"""Connections and sessions that say nothing, drip, or are too many: a server outlives them, and so do its runs."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx2
import pytest
from mcp import Client

from imagerag.http_server.access import HttpOptions
from imagerag.http_server.connection_limits import ConnectionLimits, RequestLimit
from imagerag.mcp.session_limits import SessionLimit
from tests.http_serving import served_here

HEAD = b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\n"
WHOLE = HEAD + b"Content-Length: 2\r\n\r\n{}"


class App:
    """Answers once all is read and `go` is set.

    Attributes:
        began: requests that came as a whole.
    """

    def __init__(self) -> None:
        self.began, self.go = 0, asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for answer in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{answer}.complete"})
            return
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            if not message.get("more_body"):
                break
        self.began += 1
        await self.go.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})


@asynccontextmanager
async def serving(app: Any, **limits: Any) -> AsyncIterator[Callable[[], Awaitable[Any]]]:
    """A server with limits; opens connections to it."""
    writers: list[asyncio.StreamWriter] = []
    async with served_here(app, HttpOptions(port=0, connections=ConnectionLimits(**limits))) as listening:

        async def opened() -> Any:
            reader, writer = await asyncio.open_connection(*listening.getsockname())
            writers.append(writer)
            return reader, writer

        try:
            async with asyncio.timeout(60):
                yield opened
        finally:
            for writer in writers:
                writer.close()


async def closed(reader: asyncio.StreamReader) -> bool:
    """Wait until the other side has closed."""
    with suppress(ConnectionError):
        await reader.read()
    return True


async def test_the_oldest_that_says_nothing_makes_room_and_who_is_answered_stays() -> None:
    app = App()
    async with serving(app, most=4) as opened:
        asking, writer = await opened()
        writer.write(WHOLE)
        while not app.began:
            await asyncio.sleep(0.005)
        idle = [(await opened())[0] for _ in range(3)]
        unfinished, half = await opened()  # the fifth: the oldest of the idle ones goes
        half.write(HEAD + b"Content-Length: 100\r\n\r\n{")
        assert await closed(idle[0])
        for _ in range(6):
            await opened()
        assert await closed(idle[1])
        assert await closed(idle[2])
        assert await closed(unfinished)
        app.go.set()
        assert (await asking.readuntil(b"ok")).startswith(b"HTTP/1.1 200")


async def test_who_was_answered_and_waits_stays_while_connections_that_say_nothing_come() -> None:
    app = App()
    app.go.set()
    async with serving(app, most=3) as opened:
        clients = [await opened() for _ in range(2)]
        for reader, writer in clients:
            writer.write(WHOLE)
            await reader.readuntil(b"ok")
        idle = [(await opened())[0] for _ in range(6)]
        for reader in idle[:-1]:
            assert await closed(reader)
        for reader, writer in clients:  # on the same connections
            writer.write(WHOLE)
            assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
        third, writer = await opened()
        assert await closed(idle[-1])
        writer.write(WHOLE)
        await third.readuntil(b"ok")
        await opened()  # all three have been answered: the oldest of them makes room
        assert await closed(clients[0][0])


async def test_where_everybody_is_answered_a_new_connection_is_refused_and_no_old_one_cut() -> None:
    app = App()
    async with serving(app, most=3) as opened:
        asking = []
        for count in range(3):
            reader, writer = await opened()
            writer.write(WHOLE)
            asking.append(reader)
            while app.began <= count:
                await asyncio.sleep(0.005)
        assert await closed((await opened())[0])
        app.go.set()
        for reader in asking:
            assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"POST /mcp HTT",
        HEAD,
        HEAD + b"Content-Length: 100\r\n\r\n{",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
        WHOLE,  # answered, and then nothing
    ],
)
@pytest.mark.parametrize("dripping", [False, True])
async def test_what_is_not_said_in_time_is_not_waited_for(begun: bytes, dripping: bool) -> None:
    app = App()
    app.go.set()
    async with serving(app, header_s=0.2, body_s=0.4) as opened:
        reader, writer = await opened()
        writer.write(begun)

        async def drip() -> None:
            while dripping:
                writer.write(b"x")
                await asyncio.sleep(0.02)

        dripper = asyncio.create_task(drip())
        assert await closed(reader)
        dripper.cancel()


async def test_a_client_that_does_not_read_is_given_up() -> None:
    gone = asyncio.Event()

    async def endless(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while not gone.is_set():
            await send({"type": "http.response.body", "body": bytes(1 << 16), "more_body": True})
            with suppress(TimeoutError):
                message = await asyncio.wait_for(receive(), 0.001)
                if message["type"] == "http.disconnect":
                    gone.set()

    async with serving(endless, unread_s=0.2) as opened:
        _, writer = await opened()
        writer.transport.pause_reading()
        writer.write(HEAD + b"\r\n")
        await asyncio.wait_for(gone.wait(), 30)


def request(client: str = "127.0.0.1", method: str = "POST", session: str = "") -> dict[str, Any]:
    headers = [(b"host", b"127.0.0.1"), *([(b"mcp-session-id", session.encode())] if session else [])]
    return {"type": "http", "method": method, "client": (client, 1), "headers": headers}


async def nothing(*_: Any) -> Any:
    return {"type": "http.request", "body": b"", "more_body": False}


async def test_one_client_address_is_answered_so_many_requests_at_a_time() -> None:
    app, said = App(), []

    async def send(message: Any) -> None:
        said.append(message.get("status"))

    limit = RequestLimit(app, per_client=2)
    running = [asyncio.create_task(limit(request(), nothing, nothing)) for _ in range(2)]
    while app.began < 2:
        await asyncio.sleep(0)
    await limit(request(), nothing, send)
    assert said == [503, None]
    other = asyncio.create_task(limit(request("192.0.2.7"), nothing, nothing))
    app.go.set()
    await asyncio.gather(*running, other)
    await limit(request(), nothing, nothing)
    assert app.began == 4


class Sessions:
    """Opens sessions as the SDK does.

    Attributes:
        ended: by DELETE, in turn.
    """

    def __init__(self) -> None:
        self.opened, self.ended = 0, list[str]()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        named = next((value.decode() for key, value in scope["headers"] if key == b"mcp-session-id"), "")
        if scope["method"] == "DELETE":
            self.ended.append(named)
        if not named:
            self.opened += 1
            named = f"s{self.opened}"
        headers = [(b"mcp-session-id", named.encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


async def test_a_client_that_opens_too_many_sessions_loses_the_one_it_never_used() -> None:
    app = Sessions()
    limit = SessionLimit(app, per_client=3)
    for _ in range(3):
        await limit(request(), nothing, nothing)
    await limit(request("192.0.2.7"), nothing, nothing)  # s4, somebody else's
    for _ in range(2):
        await limit(request(session="s1"), nothing, nothing)
    for _ in range(5):
        await limit(request(), nothing, nothing)
    assert app.ended == ["s2", "s3", "s5", "s6", "s7"]
    await limit(request(method="DELETE", session="s8"), nothing, nothing)
    await limit(request(), nothing, nothing)
    assert app.ended == ["s2", "s3", "s5", "s6", "s7", "s8"]


@pytest.mark.timeout(120)
async def test_real_sessions_are_bounded_and_the_one_in_use_stays(place: Any) -> None:
    greeting = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    message = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": greeting}
    accepts = {"Accept": "application/json, text/event-stream"}
    async with (
        place.listening(sessions=4) as url,
        Client(url, mode="legacy") as used,
        httpx2.AsyncClient(timeout=60, trust_env=False) as raw,
    ):
        assert (await used.list_tools()).tools
        names = [(await raw.post(url, json=message, headers=accepts)).headers["mcp-session-id"] for _ in range(12)]
        assert len(set(names)) == 12
        await place.until(lambda: len(place.manager._server_instances) <= 4, "unused sessions are ended")
        assert names[-1] in place.manager._server_instances
        assert (await used.list_tools()).tools
