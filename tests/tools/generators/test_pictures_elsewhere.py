"""Where a picture is may be said by a service, or by a model that repeats a stranger: what is fetched then."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagerag.agent.errors import UnreadableImageError
from imagerag.agent.types import SamplingParams
from imagerag.tools.generators.image_decoding import fetched
from imagerag.tools.generators.openai_chat import OpenAIChatImages
from imagerag.tools.generators.openai_images import OpenAIImages
from imagerag.tools.public_addresses import NOT_PUBLIC_V4, NOT_PUBLIC_V6
from imagerag.tools.testing.mock_openai import MockOpenAIServer, MockResponse, tiny_png
from imagerag.tools.testing.mock_openai.responses import Raw
from imagerag.tools.url_fetcher import Fetcher

PNG = tiny_png("elsewhere")
# A server that names this machine (127.0.0.2, localhost) means itself, and is asked under its own name.
PRIVATE = [
    *("10.0.0.1", "169.254.169.254", "168.63.129.16", "192.0.0.192", "100.64.0.1", "100.100.100.200"),
    *("[64:ff9b:1::a00:1]", "[64:ff9b::7f00:1]", "[2606:4700::5efe:7f00:1]", "[2606:4700::200:5efe:7f00:1]"),
    *("[2002:7f00:1::]", "[2001:0:1::]", "[::ffff:169.254.169.254]", "[fd00:ec2::254]", "[fe80::1]", "[ff02::1]"),
]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imagerag.tools.generators.image_decoding._PAUSES_S", (0.01, 0.01))


async def draw(server: MockOpenAIServer, kind: Any = OpenAIChatImages, **options: Any) -> bytes:
    generator = kind("m", base_url=server.base_url, api_key="sk-very-secret", timeout_s=20, **options)
    data: bytes = (await generator.generate("a cat", [], variation=SamplingParams(), size=None)).data
    return data


def by_model(url: str) -> MockResponse:
    return MockResponse(text=f"Here it is: ![a cat]({url})")


def by_service(url: str) -> Raw:
    message = {"role": "assistant", "content": "", "images": [{"type": "image_url", "image_url": {"url": url}}]}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    return Raw(200, {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]})


@pytest.mark.parametrize("told", [by_model, by_service])
@pytest.mark.parametrize("host", PRIVATE)
async def test_no_private_address_is_fetched_for_a_chat_model(server: MockOpenAIServer, host: str, told: Any) -> None:
    server.enqueue("chat", told(f"https://{host}/latest/meta-data.png"))
    with pytest.raises(UnreadableImageError, match="not a public address") as failed:
        await draw(server)
    assert host.encode() in failed.value.data


@pytest.mark.parametrize("host", ["10.0.0.1", "168.63.129.16"])
async def test_no_private_address_is_fetched_for_an_image_service(server: MockOpenAIServer, host: str) -> None:
    server.enqueue("images.generate", Raw(200, {"data": [{"url": f"https://{host}/x.png"}]}))
    with pytest.raises(UnreadableImageError, match="not a public address"):
        await draw(server, OpenAIImages)


@pytest.fixture
def internet(monkeypatch: pytest.MonkeyPatch) -> Iterator[MockOpenAIServer]:
    """A server that stands for every name, on the address 127.0.0.1, which is taken for a public one, in the clear."""
    with MockOpenAIServer() as loopback:

        async def resolve(host: str, port: int) -> Sequence[str]:
            return ["127.0.0.1"]

        class Watched(Fetcher):
            """Plain http, so that no certificate is needed here; all else is as it is."""

            async def _checked(self, host: str, port: int) -> str:
                names.append(host)
                return await super()._checked(host, port)

        names: list[str] = []
        loopback.names = names  # type: ignore[attr-defined]
        open_ = partial(Watched, resolve=resolve, allowed=lambda address: str(address) == "127.0.0.1")
        monkeypatch.setattr(
            "imagerag.tools.generators.image_decoding.Fetcher", lambda **given: open_(**{**given, "clear": True})
        )
        monkeypatch.setattr("imagerag.tools.generators.image_decoding._place", lambda url, base_url, who: url)
        yield loopback


def elsewhere(internet: MockOpenAIServer, query: str = "") -> str:
    return internet.host(PNG).replace("127.0.0.1", "pictures.example") + query


async def test_an_address_that_the_model_wrote_carries_no_query_away(
    server: MockOpenAIServer, internet: MockOpenAIServer
) -> None:
    server.enqueue("chat", by_model(elsewhere(internet, "?told=the+whole+prompt")))
    with pytest.raises(UnreadableImageError, match=r"it has a query.*image_hosts=pictures\.example") as failed:
        await draw(server)
    assert internet.count() == 0
    assert internet.names == []  # type: ignore[attr-defined]
    assert "the+whole+prompt" not in str(failed.value)
    assert b"the+whole+prompt" in failed.value.data  # the picture was paid for: the user can go and look


async def test_a_public_picture_without_a_query_is_fetched(
    server: MockOpenAIServer, internet: MockOpenAIServer
) -> None:
    server.enqueue("chat", by_model(elsewhere(internet)))
    assert await draw(server) == PNG
    assert "authorization" not in internet.requests[0].headers


async def test_hosts_that_the_user_named_may_have_a_query(server: MockOpenAIServer, internet: MockOpenAIServer) -> None:
    server.enqueue("chat", by_model(elsewhere(internet, "?sig=1")))
    assert await draw(server, image_hosts=("pictures.example",)) == PNG


async def test_an_address_of_the_service_itself_may_have_a_query(
    server: MockOpenAIServer, internet: MockOpenAIServer
) -> None:
    server.enqueue("chat", by_service(elsewhere(internet, "?sig=1")))
    assert await draw(server) == PNG


@pytest.fixture
async def pointing() -> AsyncIterator[tuple[str, list[str]]]:
    """The host that was asked, whose every answer points to another address: the one in its path."""
    seen: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        seen.append(head)
        path = head.split()[1].removeprefix("/to/")
        writer.write(f"HTTP/1.1 302 Found\r\nLocation: {path}\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}", seen


@pytest.mark.parametrize("to", ["https://169.254.169.254/latest", "https://10.0.0.1/x.png", "https://[::1]/x.png"])
async def test_a_redirect_is_judged_as_an_address_is(pointing: tuple[str, list[str]], to: str) -> None:
    base, seen = pointing
    with pytest.raises(UnreadableImageError, match="not a public address"):
        await fetched(f"{base}/to/{to}", base, "m", 10, "sk-very-secret")
    assert len(seen) == 1


async def test_a_redirect_to_plain_http_elsewhere_is_refused(pointing: tuple[str, list[str]]) -> None:
    base, _ = pointing
    with pytest.raises(UnreadableImageError, match="only https"):
        await fetched(f"{base}/to/http://1.1.1.1/x.png", base, "m", 10)


async def test_the_key_does_not_follow_a_redirect(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server that was asked wants its key, and then points to another port of its own."""
    seen: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        seen.append(head)
        port = writer.get_extra_info("sockname")[1]
        if port != asked:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nConnection: close\r\n\r\n" + PNG)
        elif "authorization" in head:
            writer.write(f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{other}/x\r\n\r\n".encode())
        else:
            writer.write(b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    one, two = [await asyncio.start_server(answer, "127.0.0.1", 0) for _ in range(2)]
    asked, other = (server.sockets[0].getsockname()[1] for server in (one, two))
    async with one, two:
        base = f"http://127.0.0.1:{asked}/v1"
        assert await fetched(f"{base}/x.png", base, "m", 10, "sk-very-secret") == PNG
    assert ["authorization" in head for head in seen] == [False, True, False]


def _within(network: str) -> st.SearchStrategy[str]:
    return st.ip_addresses(network=network).map(str)


@given(st.one_of([_within(network) for network in [*NOT_PUBLIC_V4, *NOT_PUBLIC_V6]]))
def test_every_row_of_the_table_is_refused_in_every_place_of_it(address: str) -> None:
    literal = f"[{address}]" if ":" in address else address
    for given_ in (f"https://{literal}/x.png", f"https://{literal}:8443/x.png"):
        with pytest.raises(Exception, match="not a public address"):
            asyncio.run(Fetcher(max_bytes=10).fetch(given_))
