"""The embedder behind a server: what is sent, what is refused, and what its vectors are called."""

import asyncio
import io
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from imagerag.agent.errors import AuthError, BackendError, RateLimitedError, SpecError, UsageError
from imagerag.agent.port_validation import check_embeds_images, check_role
from imagerag.agent.ports import PreparingEmbedder, capabilities_of, embed_passages
from imagerag.tools.embedders.openai_embeddings import OpenAIEmbedder
from imagerag.tools.embedders.served_models import QUERY, STORED, image_form
from imagerag.tools.embedders.served_vectors import read_vectors
from imagerag.tools.healthcheck import check_health
from imagerag.tools.openai import retries
from imagerag.tools.registry import new_embedder
from imagerag.tools.spec import BackendSpec
from tests.tools.embedders.embedding_server import EmbeddingServer, Reply, embedding_server

KEY = "sk-ours-0123456789abcdef"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(retries, "PAUSES_S", (0.0, 0.0))


@pytest.fixture
def server() -> Iterator[EmbeddingServer]:
    with embedding_server() as one:
        yield one


def made(server: EmbeddingServer, model: str = "clip-x", **options: Any) -> OpenAIEmbedder:
    asked = "&".join(f"{name}={value}" for name, value in options.items())
    embedder = new_embedder(f"openai:{model}{'?' if asked else ''}{asked}@{server.at}")
    assert isinstance(embedder, OpenAIEmbedder)
    return embedder


def picture(colour: str, size: tuple[int, int] = (40, 30), form: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, form)
    return out.getvalue()


async def test_texts_go_in_batches_and_come_back_in_order(server: EmbeddingServer) -> None:
    server.change = lambda data: data[::-1]
    embedder = made(server, "words", batch=2, length=8)
    texts = ["red", "green", "blue", "nothing", "red and blue"]
    vectors = await embedder.embed_texts(texts)
    assert vectors.dtype == np.float32
    assert vectors.shape == (5, 8)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert list(vectors[:3].argmax(axis=1)) == [0, 1, 2]
    assert sorted(body["input"] for body in server.bodies) == [["blue", "nothing"], ["red", "green"], ["red and blue"]]
    assert {body["encoding_format"] for body in server.bodies} == {"base64"}
    assert not any(name in body for body in server.bodies for name in ("dimensions", "messages", "input_type"))
    assert (await embedder.embed_texts([])).shape == (0, 8)


async def test_a_server_without_base64_is_asked_for_numbers_from_then_on(server: EmbeddingServer) -> None:
    exact = await made(server, "words", length=8).embed_texts(["red", "blue"])
    server.refuses = ("encoding_format",)
    embedder = made(server, "words", length=8)
    server.bodies.clear()
    assert np.allclose(await embedder.embed_texts(["red", "blue"]), exact, atol=1e-6)
    await embedder.embed_texts(["green"])
    assert [body["encoding_format"] for body in server.bodies] == ["base64", "float", "float"]


async def test_images_go_as_vllm_reads_them(server: EmbeddingServer) -> None:
    embedder = made(server, "org/clip-vit-b-32")
    images = [picture("red"), picture("lime", (2000, 500), "WEBP"), picture("blue", form="TIFF")]
    vectors = await embedder.embed_images(images)
    assert list(vectors.argmax(axis=1)) == [0, 1, 2]
    (message,) = server.bodies[0]["messages"]
    assert message["role"] == "user"
    assert [part["type"] for part in message["content"]] == ["image_url"]
    assert isinstance(embedder, PreparingEmbedder)
    shown = [embedder.prepare(Image.open(io.BytesIO(one)).convert("RGB")) for one in images]
    assert [max(Image.open(io.BytesIO(one)).size) for one in shown] == [40, 1024, 40]
    assert np.allclose(await embedder.embed_prepared(shown), vectors, atol=0.01)
    text = await embedder.embed_texts(["a red thing"])
    assert (vectors @ text[0]).argmax() == 0
    assert server.bodies[-1]["input"] == ["a red thing"]
    chat = made(server, "VLM2Vec-Full", length=8)
    assert (vectors @ (await chat.embed_texts(["a blue thing"]))[0]).argmax() == 2
    assert server.bodies[-1]["messages"] == [{"role": "user", "content": [{"type": "text", "text": "a blue thing"}]}]
    with pytest.raises(UsageError, match="image 1: "):
        await embedder.embed_images([images[0], b"no picture"])


async def test_qwen3_vl_is_asked_in_the_form_that_it_was_trained_with(server: EmbeddingServer) -> None:
    embedder = made(server, "Qwen/Qwen3-VL-Embedding-2B", length=8)
    await embedder.embed_texts(["red"])
    await embed_passages(embedder, ["red"])
    await embedder.embed_images([picture("red")])
    told = [[(turn["role"], turn["content"][0].get("text")) for turn in body["messages"]] for body in server.bodies]
    assert told[0] == [("system", QUERY), ("user", "red"), ("assistant", "")]
    assert told[1] == [("system", STORED), ("user", "red"), ("assistant", "")]
    assert told[2] == [("system", STORED), ("user", None), ("assistant", "")]
    assert all(body["continue_final_message"] and body["add_special_tokens"] for body in server.bodies)
    assert made(server, "Qwen/Qwen3-VL-Embedding-8B").identity.dimension == 4096
    assert server.bodies[3:] == []


@pytest.mark.parametrize(
    ("model", "form"),
    [
        ("Qwen/Qwen3-VL-Embedding-8B", "qwen3-vl"),
        ("openai/clip-vit-base-patch32", "clip"),
        ("google/siglip2-base-patch16-224", "clip"),
        ("TIGER-Lab/VLM2Vec-Full", "messages"),
        ("jinaai/jina-clip-v2", "clip"),
        ("text-embedding-3-small", "no"),
        ("intfloat/multilingual-e5-small", "no"),
        ("Qwen/Qwen3-Embedding-8B", "no"),
        ("eclipse-embed", "no"),
    ],
)
def test_what_sees_images_is_known_by_its_name_unless_it_is_said(model: str, form: str) -> None:
    assert image_form(model) == form
    said = OpenAIEmbedder(model, images="messages" if form == "no" else "no")
    assert capabilities_of(said).embeds_images == (form == "no")


async def test_a_text_encoder_is_refused_where_images_are_encoded(server: EmbeddingServer) -> None:
    embedder = made(server, "words", length=8)
    check_role("embedder", "words", embedder)
    told = r"embeds texts only.*`embedder=open_clip`"
    with pytest.raises(SpecError, match=told):
        check_embeds_images(embedder)
    with pytest.raises(SpecError, match=told):
        await embedder.embed_images([picture("red")])
    assert server.bodies == []
    check_embeds_images(made(server))


async def test_queries_and_passages_are_told_apart_where_the_model_does(server: EmbeddingServer) -> None:
    embedder = made(server, "e5", query_prefix="query:+", passage_prefix="passage:+", input_type="true", length=8)
    await embedder.embed_texts(["a red hat"])
    await embed_passages(embedder, ["a red hat"])
    sent = [(body["input"], body["input_type"]) for body in server.bodies]
    assert sent == [(["query: a red hat"], "query"), (["passage: a red hat"], "passage")]
    assert embedder.identity != made(server, "e5", length=8).identity
    again = new_embedder(embedder.identity.spec)
    assert again.identity == embedder.identity


async def test_control_tokens_in_a_caption_reach_no_server(server: EmbeddingServer) -> None:
    await made(server, "words", length=8).embed_texts(["red<|im_end|>"])
    assert server.bodies[0]["input"] == ["red‹|im_end|›"]


async def test_the_length_of_its_vectors_is_found_once_and_noted(
    server: EmbeddingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUR_KEY", KEY)
    embedder = made(server, "words", key_env="OUR_KEY", timeout_s=5)
    identity = await asyncio.to_thread(lambda: embedder.identity)
    assert (identity.dimension, identity.model) == (8, "words")
    assert identity.spec == f"openai:words?key_env=OUR_KEY&length=8@{server.at}"
    assert len(server.bodies) == 1
    assert embedder.identity is identity  # in an event loop, too
    there = new_embedder(identity.spec)
    assert there.identity == identity
    assert len(server.bodies) == 1
    elsewhere = OpenAIEmbedder("words", length=8)
    assert elsewhere.identity == identity, "the address is not part of it"
    assert OpenAIEmbedder("text-embedding-3-small").identity.spec == "openai:text-embedding-3-small"


def test_an_address_keeps_its_query(server: EmbeddingServer) -> None:
    embedder = new_embedder(f"openai:words?length=8@{server.at}?api-version=7")
    assert embedder.identity.spec == f"openai:words?length=8@{server.at}?api-version=7"
    assert new_embedder(embedder.identity.spec).identity == embedder.identity


async def test_shorter_vectors_are_asked_of_the_server(server: EmbeddingServer) -> None:
    embedder = made(server, "words", dimensions=4)
    assert (await embedder.embed_texts(["red"])).shape == (1, 4)
    assert server.bodies[0]["dimensions"] == 4
    assert embedder.identity.dimension == 4
    assert "dimensions=4" in embedder.identity.spec
    server.refuses = ("dimensions",)
    with pytest.raises(BackendError, match="unsupported parameter: 'dimensions'") as told:
        await embedder.embed_texts(["red"])
    assert not told.value.retryable
    server.refuses, server.length = (), 8
    server.answer = lambda path, body, key, good=server.answer: good(path, body | {"dimensions": 8}, key)  # type: ignore[method-assign]
    with pytest.raises(BackendError, match="8 numbers where 4 are expected"):
        await embedder.embed_texts(["red"])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda data: data[:-1], "1 vectors for 2 inputs"),
        (lambda data: [data[0], data[0]], "2 vectors for 2 inputs"),
        (lambda data: [data[0], {**data[1], "embedding": "AAAA"}], "neither a list of numbers nor base64"),
        (lambda data: [data[0], {**data[1], "embedding": [1.0]}], "different lengths"),
        (lambda data: [data[0], {**data[1], "embedding": [0.0] * 8}], r"of zeros \(input 1\)"),
        (lambda data: [{**data[0], "embedding": [float("nan")] * 8}, data[1]], r"no number everywhere \(input 0\)"),
        (lambda data: [data[0], {**data[1], "embedding": "not base64!"}], "neither a list of numbers nor base64"),
        (lambda data: [data[0], {"index": 1}], "neither a list of numbers nor base64"),
        (lambda data: "words", "no list of vectors"),
    ],
)
async def test_unusable_vectors_are_refused(server: EmbeddingServer, change: Any, told: str) -> None:
    server.change = change
    with pytest.raises(BackendError, match=told):
        await made(server, "words", length=8).embed_texts(["red", "blue"])


@pytest.mark.parametrize(
    ("reply", "error", "told", "asked"),
    [
        (Reply(404, {"error": {"message": "The model `words` does not exist."}}), BackendError, "check the model", 1),
        (Reply(429, {"error": {"message": "slow down"}}), RateLimitedError, "slow down", 3),
        (Reply(429, {"error": {"message": "no"}}, {"retry-after": "90"}), RateLimitedError, "HTTP 429", 1),
        (Reply(500, {"error": {"message": "CUDA out of memory"}}), BackendError, "CUDA out of memory", 3),
        (Reply(200, "it works!"), BackendError, "no list of vectors", 3),
        (Reply(400, {"error": {"message": "longer than 512 tokens"}}), BackendError, "longer than 512", 1),
    ],
)
async def test_failures_are_told_and_repeated_only_where_it_helps(
    server: EmbeddingServer, reply: Reply, error: type[Exception], told: str, asked: int
) -> None:
    server.script = [reply] * 3
    with pytest.raises(error, match=told):
        await made(server, "words", length=8).embed_texts(["red"])
    assert len(server.bodies) == asked


async def test_a_server_that_was_busy_for_a_while_costs_nothing(server: EmbeddingServer) -> None:
    server.script = [Reply(429, {"error": {"message": "slow"}}, {"retry-after": "0"}), Reply(503, {"error": "up soon"})]
    assert (await made(server, "words", length=8).embed_texts(["red"])).shape == (1, 8)


async def test_a_key_goes_where_the_spec_says_so(server: EmbeddingServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.key = KEY
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with pytest.raises(AuthError, match="no key went there"):
        await made(server, "words", length=8).embed_texts(["red"])
    assert server.headers[-1]["authorization"] == "Bearer none"
    monkeypatch.setenv("OUR_KEY", KEY)
    assert len(await made(server, "words", length=8, key_env="OUR_KEY").embed_texts(["red"])) == 1
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(AuthError, match="OPENAI_API_KEY"):
        await OpenAIEmbedder("text-embedding-3-small").embed_texts(["red"])


async def test_no_more_requests_at_once_than_allowed(server: EmbeddingServer) -> None:
    server.hold = threading.Barrier(2)  # lets two go at a time
    await made(server, "words", batch=1, concurrency=2, length=8).embed_texts(["red"] * 6)
    assert server.most == 2


@pytest.mark.parametrize("spec", ["openai", "openai:words?heat=1", "openai:words?images=yes", "openai:words?batch=0"])
def test_specs_that_say_nothing(spec: str) -> None:
    with pytest.raises(SpecError):
        new_embedder(spec)


async def test_a_check_asks_for_the_models_and_embeds_nothing(server: EmbeddingServer) -> None:
    found = await check_health(BackendSpec.parse(f"openai:clip-x@{server.at}"), "embedder")
    assert (found.reachable, found.listed, server.bodies) == (True, True, [])
    assert (await check_health(BackendSpec.parse(f"openai:other@{server.at}"), "embedder")).listed is False
    assert not (await check_health(BackendSpec.parse("openai:clip-x@http://127.0.0.1:9/v1"), "embedder")).reachable


ROWS = st.lists(
    st.lists(st.floats(-10, 10, width=32), min_size=3, max_size=3).filter(lambda row: any(abs(x) > 1e-3 for x in row)),
    min_size=1,
    max_size=5,
)


@settings(max_examples=30)
@given(ROWS, st.randoms())
def test_vectors_are_unit_and_in_the_order_of_their_numbers(rows: list[list[float]], random: Any) -> None:
    data = [{"index": at, "embedding": row} for at, row in enumerate(rows)]
    random.shuffle(data)
    vectors = read_vectors({"data": data}, len(rows), "a server")
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert np.allclose(vectors * np.linalg.norm(rows, axis=1, keepdims=True), rows, atol=1e-4)


ODD = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.lists(st.floats(), max_size=3)


@settings(max_examples=60)
@given(ODD | st.lists(st.fixed_dictionaries({}, optional={"index": ODD, "embedding": ODD}) | ODD, max_size=2))
def test_any_response_is_vectors_or_a_message(data: Any) -> None:
    with suppress(BackendError):
        assert read_vectors({"data": data}, 1, "a server").shape[0] == 1
