"""A response that was paid for and cannot be used costs what the service told, in every role."""

import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from imagerag.agent.calls.call_context import CallContext, in_call
from imagerag.agent.errors import BackendError, ImageRAGError, JudgeReplyError, RefusalError, UnreadableImageError
from imagerag.agent.ports import Filter, ImagePart
from imagerag.agent.types import Concept, SamplingParams, Verdict
from imagerag.tools.answerers.vlm import VlmAnswerer
from imagerag.tools.describers.vlm import VlmDescriber
from imagerag.tools.fallback.generator import FallbackGenerator
from imagerag.tools.fallback.judge import FallbackJudge
from imagerag.tools.generators.openai_chat import OpenAIChatImages
from imagerag.tools.generators.openai_images import OpenAIImages
from imagerag.tools.judges.vlm.judge import VlmJudge
from imagerag.tools.judges.vlm.openai_backend import OpenAIChat
from imagerag.tools.openai.client import OpenAICredentials
from imagerag.tools.rerankers.served import ServedReranker
from imagerag.tools.testing.fakes import ScriptedLibrary
from imagerag.tools.testing.mock_openai import MockOpenAIServer, MockResponse, Raw, tiny_png

V = SamplingParams()
IMAGE = ImagePart(data=tiny_png("x"), media_type="image/png")
USAGE = {"prompt_tokens": 100, "completion_tokens": 10}
UNMET = json.dumps(
    {"checks": [{"number": 1, "requirement": "a", "kind": "content", "evidence": "", "met": False, "caption": "a"}]}
)
CONCEPTS = (Concept(text="a", kind="content"),)


def price(model: str, usage: Any) -> float | None:
    return usage["prompt_tokens"] * 1e-5 + usage["completion_tokens"] * 1e-4 if "prompt_tokens" in usage else None


@pytest.fixture(scope="module")
def server() -> Iterator[MockOpenAIServer]:
    with MockOpenAIServer() as running:
        yield running


def chat_on(server: MockOpenAIServer) -> OpenAIChat:
    return OpenAIChat(model="m", account=OpenAICredentials(server.base_url, "sk-1234567890"), price=price)


async def critique(judge: Any, mode: Any = "fused") -> Any:
    return await judge.critique("a", IMAGE, subjects=(), requirements=(), mode=mode, variation=V)


ASKS: dict[str, Callable[[OpenAIChat], Awaitable[Any]]] = {
    "fused": lambda chat: critique(VlmJudge(chat=chat)),
    "stepwise": lambda chat: critique(VlmJudge(chat=chat), "stepwise"),
    "fallback": lambda chat: critique(FallbackJudge([VlmJudge(chat=chat)])),
    "concepts": lambda chat: VlmJudge(chat=chat).missing_concepts(
        "a", IMAGE, verdict=Verdict(aligned=False, reason="no"), variation=V
    ),
    "captions": lambda chat: VlmJudge(chat=chat).captions("a", CONCEPTS * 3, max_tokens=70, variation=V),
    "rephrase": lambda chat: VlmJudge(chat=chat).rephrase("a", variation=V),
    "compare": lambda chat: VlmJudge(chat=chat).compare("a", IMAGE, IMAGE),
    "choose": lambda chat: VlmJudge(chat=chat).choose("a", [IMAGE]),
    "answer": lambda chat: VlmAnswerer(chat=chat).answer("a?", [], finding=None, earlier=(), variation=V),
    "answer_without": lambda chat: VlmAnswerer(chat=chat).answer_without("a?", earlier=(), variation=V),
    "describe": lambda chat: VlmDescriber(chat=chat).describe(IMAGE, variation=V),
}


@pytest.mark.parametrize("role", ASKS)
@pytest.mark.parametrize(
    "reply",
    [
        MockResponse(text="<think>hm</think>", usage=USAGE),
        MockResponse(text="x" * 5000, usage=USAGE, finish_reason="length"),
        MockResponse(text="", refusal="I cannot help with that.", usage=USAGE),
    ],
    ids=["unparsable", "cut_off", "refusal"],
)
async def test_a_response_that_cannot_be_used_tells_its_cost(
    server: MockOpenAIServer, role: str, reply: MockResponse
) -> None:
    server.enqueue("chat", reply)
    with pytest.raises((JudgeReplyError, RefusalError)) as failed:
        await ASKS[role](chat_on(server))
    assert failed.value.cost_usd == pytest.approx(0.002)
    assert failed.value.usage == {"input_tokens": 100, "output_tokens": 10}


async def test_without_a_usage_the_cost_is_not_known(server: MockOpenAIServer) -> None:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "mumble"}}
    server.enqueue("chat", Raw(200, {"id": "1", "object": "chat.completion", "model": "m", "choices": [choice]}))
    with pytest.raises(JudgeReplyError) as failed:
        await critique(VlmJudge(chat=chat_on(server)))
    assert (failed.value.cost_usd, failed.value.usage) == (None, {})


@pytest.mark.parametrize("cut_off", [True, False])
async def test_a_vote_that_cannot_be_used_is_part_of_the_cost(server: MockOpenAIServer, cut_off: bool) -> None:
    lost = MockResponse(text="mumble", usage=USAGE, finish_reason="length" if cut_off else None)
    server.enqueue("chat", MockResponse(text=UNMET, usage=USAGE), lost, MockResponse(text=UNMET, usage=USAGE))
    with in_call(CallContext(requests_left=3)):
        voted = await critique(VlmJudge(chat=chat_on(server), votes=3))
    assert (voted.cost_usd, voted.requests) == (pytest.approx(0.006), 3)
    assert voted.usage == {"input_tokens": 300, "output_tokens": 30}


async def test_a_vote_that_is_a_refusal_costs_the_votes_before_it_too(server: MockOpenAIServer) -> None:
    server.enqueue("chat", MockResponse(text=UNMET, usage=USAGE), MockResponse(refusal="I cannot.", usage=USAGE))
    with in_call(CallContext(requests_left=3)), pytest.raises(RefusalError) as failed:
        await critique(VlmJudge(chat=chat_on(server), votes=3))
    assert failed.value.cost_usd == pytest.approx(0.004)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (MockResponse(text="here you are", usage=USAGE), BackendError),
        (MockResponse(text="", refusal="I cannot draw that.", usage=USAGE), RefusalError),
        (MockResponse(images=(b"no image",), usage=USAGE), UnreadableImageError),
    ],
    ids=["words", "refusal", "unreadable"],
)
@pytest.mark.parametrize("fallback", [False, True])
async def test_an_image_model_s_response_without_an_image_tells_its_cost(
    server: MockOpenAIServer, reply: MockResponse, kind: type[ImageRAGError], fallback: bool
) -> None:
    server.enqueue("chat", reply)
    own = OpenAIChatImages("m", base_url=server.base_url, price=price)
    generator: Any = FallbackGenerator([own]) if fallback else own
    with pytest.raises(kind) as failed:
        await generator.generate("a", [], variation=V, size=None)
    assert failed.value.cost_usd == pytest.approx(0.002)


async def test_an_unreadable_image_of_an_images_endpoint_tells_its_cost(server: MockOpenAIServer) -> None:
    usage = {"input_tokens": 100, "output_tokens": 10}
    server.enqueue("images.generate", MockResponse(images=(b"no image",), usage=usage))
    generator = OpenAIImages("m", base_url=server.base_url, price=lambda model, counted: counted["input_tokens"] * 1e-5)
    with pytest.raises(UnreadableImageError) as failed:
        await generator.generate("a", [], variation=V, size=None)
    assert (failed.value.cost_usd, failed.value.usage) == (pytest.approx(0.001), {"any_in": 100, "any_out": 10})


async def test_a_fallback_counts_what_was_paid_for_before(server: MockOpenAIServer) -> None:
    members = [OpenAIChatImages(name, base_url=server.base_url, price=price) for name in ("a", "b", "c")]
    refused, words = MockResponse(refusal="I cannot.", usage=USAGE), MockResponse(text="here you are", usage=USAGE)
    drawn = MockResponse(images=(tiny_png("x"),), usage=USAGE)
    server.enqueue("chat", refused, words, drawn)
    generated = await FallbackGenerator(members, on_refusal=True).generate("a", [], variation=V, size=None)
    assert generated.cost_usd == pytest.approx(0.006)
    for last, kind in ((refused, RefusalError), (words, BackendError)):
        server.enqueue("chat", refused, refused, last)
        with pytest.raises(kind) as failed:
            await FallbackGenerator(members, on_refusal=True).generate("a", [], variation=V, size=None)
        assert failed.value.cost_usd == pytest.approx(0.006)
    server.enqueue("chat", words, refused)
    with pytest.raises(RefusalError) as failed:
        await FallbackGenerator(members).generate("a", [], variation=V, size=None)
    assert failed.value.cost_usd == pytest.approx(0.004)


async def test_a_reranker_s_scores_that_cannot_be_used_tell_their_cost() -> None:
    library = ScriptedLibrary()
    library.plant("a hat")
    (hit,) = await library.search("a hat", k=1, filter=Filter())

    reranker = ServedReranker(
        "m", OpenAICredentials("http://127.0.0.1:1/v1"), price=lambda model, usage: usage["input_tokens"] * 1e-6
    )

    async def send(body: Any) -> object:
        return {"results": [], "usage": {"total_tokens": 1000}}

    reranker._send = send  # type: ignore[method-assign]
    with pytest.raises(JudgeReplyError) as failed:
        await reranker.rerank("a hat", [hit], [])
    assert (failed.value.cost_usd, failed.value.usage) == (pytest.approx(0.001), {"input_tokens": 1000})
