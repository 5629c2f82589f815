"""A server's own words reach the error, whatever shape they come in; also with status 200."""

from typing import Any, get_args

import pytest

from imagerag.agent.errors import BackendError, RateLimitedError, RefusalError
from imagerag.agent.ports import ImagePart
from imagerag.agent.types import SamplingParams
from imagerag.tools.error_bodies import in_good_answer, read_body
from imagerag.tools.generators.openai_chat import OpenAIChatImages
from imagerag.tools.generators.openai_images import OpenAIImages
from imagerag.tools.generators.openai_responses import OpenAIResponsesImages
from imagerag.tools.registry import make_judge
from imagerag.tools.testing.fakes import sample_image
from imagerag.tools.testing.mock_openai import Fault, MockOpenAIServer
from imagerag.tools.testing.mock_openai.responses import ErrorShape, Raw

ADAPTERS = {"images.generate": OpenAIImages, "chat": OpenAIChatImages, "responses": OpenAIResponsesImages}


async def draw(server: MockOpenAIServer, endpoint: str = "images.generate") -> Any:
    generator = ADAPTERS[endpoint]("m", base_url=server.base_url, timeout_s=20)
    return await generator.generate("a cat", [], variation=SamplingParams(), size=None)


@pytest.mark.parametrize("ok", [False, True], ids=["by its status", "with HTTP 200"])
@pytest.mark.parametrize("shape", get_args(ErrorShape))
@pytest.mark.parametrize("endpoint", ADAPTERS)
async def test_the_words_arrive_from_every_shape(endpoint: Any, shape: Any, ok: bool) -> None:
    with MockOpenAIServer(error_shape=shape, errors_ok=ok) as server:
        server.enqueue(endpoint, Fault("error_503", message="the GPU is on fire"))
        with pytest.raises(BackendError, match="the GPU is on fire") as failed:
            await draw(server, endpoint)
        assert failed.value.retryable
        assert server.count() == 1


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ([{"error": {"message": "one"}}], "one"),
        ({"error": "two"}, "two"),
        ({"detail": [{"loc": ["body", "size"], "msg": "three"}]}, "body.size: three"),
        ({"message": "four"}, "four"),
        ({"object": "error", "message": "five", "code": 400}, "five"),
        ({"errors": [{"message": "six"}], "success": False}, "six"),
        ('{"error": {"message": "seven"}}', "seven"),
        ({"error": {"message": '{"error": {"message": "eight"}}'}}, "eight"),
        ({"error": {"message": "Provider returned error", "metadata": {"raw": '{"error": "nine"}'}}}, "error — nine"),
        ({"error": "ten", "message": "in more words"}, "ten — in more words"),
        ("<html><title>502</title><body><h1>Bad&nbsp;Gateway</h1></body></html>", "Bad Gateway"),
        ({"fault": {"faultstring": "eleven"}}, "eleven"),
        ({"choices": [{"finish_reason": "error", "error": {"message": "twelve", "code": 502}}]}, "twelve"),
        ({"error": {"code": "model_is_gone"}}, "model_is_gone"),
    ],
)
def test_shapes(body: Any, words: str) -> None:
    assert words in read_body(body).words


def test_an_answer_is_no_error() -> None:
    for answer in (
        {"choices": [{}], "error": None},
        {"choices": [{"message": {"content": "yes"}, "error": {"message": "cut off after it"}}]},
        {"data": [{"b64_json": "x"}], "created": 1},
        {"output": [{}], "error": None, "status": "completed"},
        {"object": "list", "data": []},
        [],
        {},
    ):
        assert in_good_answer(answer) is None


async def test_an_error_with_200_keeps_its_kind(server: MockOpenAIServer) -> None:
    limited = {"error": {"message": "slow down", "status": "RESOURCE_EXHAUSTED", "retryDelay": "8s"}}
    server.enqueue("images.generate", Raw(200, limited))
    with pytest.raises(RateLimitedError, match="slow down") as failed:
        await draw(server)
    assert failed.value.retry_after_s == 8
    server.enqueue("images.generate", Raw(200, {"error": {"message": "no", "code": "content_policy_violation"}}))
    with pytest.raises(RefusalError):
        await draw(server)


async def test_a_provider_that_fails_halfway_behind_a_router_is_no_empty_verdict(server: MockOpenAIServer) -> None:
    choice = {"message": {"role": "assistant", "content": ""}, "error": {"code": 502, "message": "upstream died"}}
    server.enqueue("chat", Raw(200, {"object": "chat.completion", "choices": [choice | {"finish_reason": "error"}]}))
    judge = make_judge(f"openai:m@{server.base_url}")
    image = ImagePart(data=sample_image("a cat"), media_type="image/png")
    with pytest.raises(BackendError, match="upstream died") as failed:
        await judge.compare("a cat", image, image)
    assert failed.value.retryable


async def test_an_answer_that_is_none_may_have_been_charged_for(server: MockOpenAIServer) -> None:
    server.enqueue("images.generate", Raw(200, {"created": 1}))
    with pytest.raises(BackendError) as failed:
        await draw(server)
    assert failed.value.unsettled
