"""The reranker behind a server: the form of vLLM, Jina and Cohere, over real HTTP."""

import base64
import io
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from imagerag.agent.errors import AuthError, BackendError, JudgeReplyError, RateLimitedError, SpecError
from imagerag.agent.port_validation import check_role
from imagerag.agent.ports import FREE, reranks_by_model
from imagerag.tools.healthcheck import check_health
from imagerag.tools.registry import make_reranker
from imagerag.tools.rerankers.served import _scores
from imagerag.tools.spec import BackendSpec
from imagerag.tools.testing.fakes import ScriptedJudge
from tests.tools.embedders.embedding_server import EmbeddingServer, Reply, embedding_server
from tests.tools.rerankers.test_rerankers import hit, parts

HITS = [hit(0, "a blue hat"), hit(1, title="KX-204"), hit(2, "a red hat<|im_end|>", tags=("felt",)), hit(3)]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddingServer]:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    with embedding_server() as one:
        scored(one, 0.2, 0.2, 0.9, 0.1)
        yield one


def scored(server: EmbeddingServer, *scores: float, **more: Any) -> None:
    results = [{"index": at, "relevance_score": score, "document": {"text": "…"}} for at, score in enumerate(scores)]
    body = {"id": "1", "model": "m", "results": sorted(results, key=lambda one: -one["relevance_score"]), **more}
    server.script = [Reply(body=body)]


def made(server: EmbeddingServer, spec: str = "http:BAAI/bge-reranker-v2-m3") -> Any:
    return make_reranker(f"{spec}@{server.at}", judge=ScriptedJudge())


async def test_it_orders_by_the_words_of_candidates(server: EmbeddingServer) -> None:
    scored(server, 0.2, 0.2, 0.9, 0.1, usage={"total_tokens": 56})
    reranker = made(server)
    check_role("reranker", "http", reranker)
    assert reranks_by_model(reranker)
    assert not reranker.capabilities.needs_images
    assert reranker.capabilities.tariff == FREE
    ranking = await reranker.rerank("red <|im_start|> hat", HITS, ())
    assert ranking.order == (2, 0, 1, 3)
    assert (ranking.cost_usd, ranking.usage) == (0.0, {"input_tokens": 56})
    (body,) = server.bodies
    assert body == {
        "model": "BAAI/bge-reranker-v2-m3",
        "query": "red ‹|im_start|› hat",
        "documents": ["a blue hat", "KX-204", "a red hat‹|im_end|› felt", "-"],
    }
    assert (await reranker.rerank("red hat", [], ())).order == ()
    assert len(server.bodies) == 1


async def test_a_model_that_sees_is_sent_images(server: EmbeddingServer) -> None:
    reranker = made(server, "http:Qwen/Qwen3-VL-Reranker-8B?longest_side=64")
    assert reranker.capabilities.needs_images
    assert (await reranker.rerank("red hat", HITS, parts(4))).order == (2, 0, 1, 3)
    for document in server.bodies[0]["documents"]:
        (part,) = document["content"]
        kind, _, data = part["image_url"]["url"].partition(",")
        assert part["type"] == "image_url"
        assert kind.startswith("data:image/")
        assert max(Image.open(io.BytesIO(base64.b64decode(data))).size) <= 64
    with pytest.raises(ValueError, match="1 images for 4 hits"):
        await reranker.rerank("red hat", HITS, parts(1))
    assert made(server, "http:jinaai/jina-reranker-m0").images
    assert not made(server, "http:Qwen/Qwen3-VL-Reranker-8B?images=false").images
    assert made(server, "http:alias?images=true").images


async def test_what_scores_too_low_is_left_out(server: EmbeddingServer) -> None:
    reranker = made(server, "http:m?min_score=0.2")
    assert (await reranker.rerank("red hat", HITS, ())).order == (2, 0, 1)
    assert reranker.identity == f"http:m?min_score=0.2@{server.at}"
    assert make_reranker(reranker.identity, judge=ScriptedJudge()).identity == reranker.identity


@pytest.mark.parametrize(
    ("reply", "error", "told"),
    [
        (Reply(401, {"detail": "no"}), AuthError, "HTTP 401"),
        (Reply(404, {"error": {"message": "no such model"}}), BackendError, "check the model's name"),
        (Reply(429, {"error": {"message": "slow"}}, {"retry-after": "7"}), RateLimitedError, "slow"),
        (Reply(500, {"error": {"message": "out of memory"}}), BackendError, "out of memory"),
        (Reply(200, "hello"), JudgeReplyError, "scores of 0 of 4 candidates"),
        (Reply(200, {"results": []}), JudgeReplyError, "scores of 0 of 4 candidates"),
        (Reply(200, {"results": [{"index": 0, "relevance_score": 1}] * 4}), JudgeReplyError, "of 1 of 4 candidates"),
    ],
)
async def test_failures_are_told(server: EmbeddingServer, reply: Reply, error: type[Exception], told: str) -> None:
    server.script = [reply]
    with pytest.raises(error, match=told) as caught:
        await made(server).rerank("red hat", HITS, ())
    if isinstance(caught.value, RateLimitedError):
        assert caught.value.retry_after_s == 7
    assert len(server.bodies) == 1, "the run repeats it, where it is journalled"


@pytest.mark.parametrize("spec", ["http", "http:m", "http://localhost:8000/v1", "http:m?heat=1@http://localhost:1/v1"])
def test_specs_that_say_too_little(spec: str) -> None:
    with pytest.raises(SpecError):
        make_reranker(spec, judge=ScriptedJudge())


async def test_its_health_is_not_known_without_a_call(server: EmbeddingServer) -> None:
    found = await check_health(BackendSpec.parse(f"http:m@{server.at}"), "reranker", part=made(server, "http:m"))
    assert (found.reachable, found.identity) == (None, f"http:m@{server.at}")
    assert server.bodies == []


SCORE = st.none() | st.floats() | st.text(max_size=3) | st.booleans()


@settings(max_examples=50)
@given(st.lists(st.fixed_dictionaries({"index": st.integers(-2, 4) | SCORE, "relevance_score": SCORE}), max_size=4))
def test_any_response_scores_each_once_or_is_unread(results: list[dict[str, Any]]) -> None:
    try:
        scores = _scores({"results": results}, 2, "a server")
    except JudgeReplyError:
        return
    assert {one["index"]: one["relevance_score"] for one in results} == dict(enumerate(scores))
