"""A paid picture is read in every form it comes in, fetched from where it is, and kept where it cannot be read."""

import base64
import io
from pathlib import Path
from typing import Any

import httpx2
import pytest
from PIL import Image

from imagerag import ImageRAG
from imagerag.agent.errors import BackendError, UnreadableImageError
from imagerag.agent.nodes import Nodes
from imagerag.agent.types import Outcome, RunConfig, SamplingParams
from imagerag.graphs.generation import build_workflow
from imagerag.store.images.blob_store import FileBlobStore
from imagerag.tools.fallback.generator import FallbackGenerator
from imagerag.tools.generators.image_decoding import decoded
from imagerag.tools.generators.openai_chat import OpenAIChatImages
from imagerag.tools.generators.openai_images import OpenAIImages
from imagerag.tools.http_client import _name_errors
from imagerag.tools.testing.fakes import ScriptedJudge, ScriptedLibrary
from imagerag.tools.testing.mock_openai import Fault, MockOpenAIServer, MockResponse, tiny_png
from imagerag.tools.testing.mock_openai.responses import Raw


def picture() -> bytes:
    """A picture whose base64 is of many lines."""
    out = io.BytesIO()
    Image.effect_noise((64, 64), 90).convert("RGB").save(out, "PNG")
    return out.getvalue()


def tiny_jpeg() -> bytes:
    """A picture whose base64 begins with a slash, and is as short as a path."""
    out = io.BytesIO()
    Image.new("RGB", (32, 32), "red").save(out, "JPEG")
    return out.getvalue()


PICTURE = picture()
TEXT = base64.b64encode(PICTURE).decode()
IN_LINES = base64.encodebytes(PICTURE).decode()


async def draw(server: MockOpenAIServer, kind: Any = OpenAIImages, **options: Any) -> bytes:
    generator = kind("m", base_url=server.base_url, timeout_s=20, **options)
    drawn = await generator.generate("a cat", [], variation=SamplingParams(), size=None)
    data: bytes = drawn.data
    return data


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        IN_LINES,
        IN_LINES.replace("\n", "\r\n"),
        f"\n  {TEXT}\n",
        TEXT.rstrip("="),
        TEXT.translate(str.maketrans("+/", "-_")),
        f"data:image/png;base64,{TEXT}",
        f"data:image/png;charset=utf-8;base64,{IN_LINES}",
        f"data:;base64,{TEXT}",
        f"data:application/octet-stream;base64,{TEXT}",
        f"DATA:image/PNG;BASE64,{TEXT}",
        f"data:image/png;base64,{TEXT.replace('+', '%2B').replace('/', '%2F')}",
        f'"{TEXT}"',
    ],
)
@pytest.mark.parametrize("field", ["b64_json", "url"])
async def test_base64_in_every_form_is_understood(server: MockOpenAIServer, text: str, field: str) -> None:
    assert decoded(text, "m") == PICTURE
    server.enqueue("images.generate", Raw(200, {"created": 1, "data": [{field: text}]}))
    assert await draw(server) == PICTURE
    assert server.count() == 1


@pytest.mark.parametrize("shape", ["message.images", "content_list", "markdown"])
async def test_lines_in_a_chat_answer_are_understood(server: MockOpenAIServer, shape: Any) -> None:
    server.enqueue("chat", MockResponse(text="Here it is:", images=(PICTURE,), image_shape=shape, in_lines=True))
    assert await draw(server, OpenAIChatImages) == PICTURE
    server.enqueue("chat", MockResponse(text=f"Here: data:image/png;base64,\n{IN_LINES}\nDo you like it?"))
    assert (await draw(server, OpenAIChatImages)).startswith(PICTURE[:-3])


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.0.0.2", "0.0.0.0", "[::1]"])
@pytest.mark.parametrize("asked", ["127.0.0.1", "localhost"])
async def test_an_image_on_the_same_host_is_fetched_whatever_its_name_and_port(host: str, asked: str) -> None:
    with MockOpenAIServer() as files:
        url = files.host(PICTURE).replace("127.0.0.1", host)
        with MockOpenAIServer() as server:
            server.enqueue("images.generate", Raw(200, {"data": [{"url": url}]}))
            base_url = server.base_url.replace("127.0.0.1", asked)
            made = OpenAIImages("m", base_url=base_url, api_key="sk-very-secret")
            drawn = await made.generate("a cat", [], variation=SamplingParams(), size=None)
            assert drawn.data == PICTURE
        assert "authorization" not in files.requests[0].headers


async def test_an_address_without_a_host_is_on_the_server_that_was_asked(server: MockOpenAIServer) -> None:
    path = "/v1/files/" + server.host(PICTURE).rpartition("/")[2]
    server.enqueue("images.generate", Raw(200, {"data": [{"url": path}]}))
    assert await draw(server) == PICTURE


@pytest.mark.parametrize(
    "url", ["http://192.0.2.7/x.png", "http://10.0.0.1:80/x.png", "http://169.254.169.254/x", "ftp://127.0.0.1/x.png"]
)
async def test_other_addresses_are_as_closed_as_before(server: MockOpenAIServer, url: str) -> None:
    server.enqueue("images.generate", Raw(200, {"data": [{"url": url}]}))
    with pytest.raises(UnreadableImageError) as failed:
        await draw(server)
    assert failed.value.data or "damaged" in str(failed.value)


async def test_fetching_is_tried_again_and_drawing_is_not(
    server: MockOpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imagerag.tools.generators.image_decoding._PAUSES_S", (0.01, 0.01))
    server.enqueue("images.generate", Raw(200, {"data": [{"url": f"{server.base_url}/files/none?sig=SECRETSIG"}]}))
    with pytest.raises(UnreadableImageError, match="answers HTTP 404") as failed:
        await draw(server)
    assert server.count("files") == 3
    assert server.count("images.generate") == 1
    assert "SECRETSIG" not in str(failed.value)
    assert b"SECRETSIG" in failed.value.data  # the address is what was paid for


@pytest.mark.parametrize(
    "answer",
    [
        Fault("truncated_base64"),
        Fault("invalid_json"),
        Raw(200, {"data": [{"b64_json": "!!!! this is no base64 !!!!"}]}),
        Raw(200, {"data": [{"b64_json": base64.b64encode(b"no picture at all").decode()}]}),
    ],
)
async def test_a_picture_that_cannot_be_read_is_kept_and_never_paid_for_again(
    server: MockOpenAIServer, tmp_path: Path, answer: Any
) -> None:
    blobs = FileBlobStore(tmp_path)
    generator = OpenAIImages("m", base_url=server.base_url)
    graph = build_workflow(Nodes(generator=generator, judge=ScriptedJudge(), library=None, blobs=blobs)).compile()
    server.enqueue("images.generate", answer)
    state = await graph.ainvoke({"prompt": "a cat"}, context=RunConfig())
    assert state["result"].outcome is Outcome.FAILED
    assert state["result"].error == "UnreadableImageError"
    assert server.count("images.generate") == 1
    (kept,) = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert str(kept) in state["result"].reason
    assert kept.read_bytes()


@pytest.mark.parametrize(
    ("revised", "kept", "usage"),
    [
        (r'"a \ud83d cat \uD83D\uDE00"', "a \ufffd cat 😀", "null"),
        (r'"a \u0000 cat"', "a \0 cat", '"lots"'),
        (f'"{"cat " * 20_000}"', ("cat " * 20_000)[:32_000], '{"input_tokens": 1e400, "output_tokens": NaN}'),
        ("7", None, f'{{"input_tokens": {10**30}, "output_tokens": {10**30}}}'),
    ],
)
async def test_what_comes_beside_a_picture_does_not_lose_it(
    server: MockOpenAIServer, tmp_path: Path, revised: str, kept: str | None, usage: str
) -> None:
    rag = ImageRAG(generator=f"openai:m@{server.base_url}", judge="mine", library="mine", home=tmp_path)
    rag.dependencies.use("judge", "mine", ScriptedJudge([]))
    rag.dependencies.use("library", "mine", ScriptedLibrary())
    body = f'{{"data": [{{"b64_json": "{TEXT}", "revised_prompt": {revised}}}], "usage": {usage}}}'
    server.enqueue("images.generate", Raw(200, body))
    run = await rag.generate("a cat", max_rounds=0)
    assert run.outcome is Outcome.ALIGNED, run.reason
    assert run.attempts[0].revised_prompt == kept
    assert run.call_log[0].cost_usd == 0  # a server on this machine is free, whatever it counts
    assert server.count("images.generate") == 1


async def test_a_fallback_does_not_pay_the_next_one(server: MockOpenAIServer) -> None:
    with MockOpenAIServer() as other:
        members = [OpenAIImages("m", base_url=url.base_url) for url in (server, other)]
        server.enqueue("images.generate", Fault("truncated_base64"))
        with pytest.raises(UnreadableImageError) as failed:
            await FallbackGenerator(members).generate("a cat", [], variation=SamplingParams(), size=None)
        assert failed.value.data
        assert other.count() == 0


def test_the_bytes_are_in_no_report_of_the_error() -> None:
    error = UnreadableImageError("no", data=tiny_png("x"))
    assert "PNG" not in repr(error) + repr(vars(error)) + str(error)


JPEG = base64.b64encode(tiny_jpeg()).decode()


@pytest.mark.parametrize(
    "body",
    [
        {"data": [TEXT]},
        {"data": [{"image": TEXT}]},
        {"data": [{"b64_json": None, "url": None}, {"b64_json": TEXT}]},
        {"images": [TEXT]},
        {"images": [{"url": f"data:image/png;base64,{TEXT}"}]},
        {"error": {}, "data": [{"b64_json": TEXT}]},
        {"data": [{"b64_json": JPEG}]},
        {"data": [{"url": JPEG}]},
    ],
)
async def test_a_picture_is_found_wherever_an_images_answer_holds_it(body: Any) -> None:
    with MockOpenAIServer() as server:
        server.enqueue("images.generate", Raw(200, body))
        assert await draw(server) in (PICTURE, tiny_jpeg())
        assert server.count("images.generate") == 1


@pytest.mark.parametrize(
    "message",
    [
        {"content": TEXT},
        {"content": [{"type": "text", "text": "here"}, {"inline_data": {"mime_type": "image/png", "data": TEXT}}]},
        {"content": [{"type": "image", "source": {"type": "base64", "data": TEXT}}]},
        {"content": None, "images": [f"data:image/png;base64,{TEXT}"]},
        {"content": None, "images": [{"b64_json": TEXT}]},
        {"content": "here", "image": {"url": f"data:image/png;base64,{TEXT}"}},
    ],
)
async def test_a_picture_is_found_wherever_a_chat_message_holds_it(message: Any) -> None:
    with MockOpenAIServer() as server:
        server.enqueue("chat", Raw(200, {"error": {}, "choices": [{"message": {"role": "assistant", **message}}]}))
        assert await draw(server, OpenAIChatImages) == PICTURE


async def test_a_picture_where_none_is_looked_for_is_kept_and_not_paid_for_again() -> None:
    with MockOpenAIServer() as server:
        server.enqueue("images.generate", Raw(200, {"data": [], "pictures": {"mine": TEXT}}))
        with pytest.raises(UnreadableImageError, match="where none is looked for") as caught:
            await draw(server)
        assert TEXT.encode() in caught.value.data


@pytest.mark.parametrize("entry", [{"b64_json": ""}, {"revised_prompt": "a cat"}, {}])
async def test_an_answer_without_a_picture_is_asked_for_again(entry: Any) -> None:
    with MockOpenAIServer() as server:
        server.enqueue("images.generate", Raw(200, {"data": [entry]}))
        with pytest.raises(BackendError, match="no image") as caught:
            await draw(server)
        assert caught.value.retryable


async def test_a_picture_that_comes_by_itself_is_the_answer() -> None:
    response = httpx2.Response(200, content=PICTURE, headers={"content-type": "image/png"})
    await _name_errors(response)
    assert response.json() == {"data": [{"b64_json": TEXT}]}
