"""Images from chat completions and from the Responses tool, over real HTTP."""

from typing import Any

import pytest

from imagerag.agent.calls.call_context import CallContext, in_call
from imagerag.agent.errors import BackendError, RefusalError, SpecError, UsageError
from imagerag.agent.ports import ImageGenerator, ImagePart
from imagerag.agent.types import SamplingParams, Size
from imagerag.tools.generators.image_models import ImageModel
from imagerag.tools.generators.openai_chat import OpenAIChatImages, nearest_ratio
from imagerag.tools.generators.openai_responses import OpenAIResponsesImages
from imagerag.tools.spec import BackendSpec
from imagerag.tools.testing.mock_openai import MockOpenAIServer, MockResponse, tiny_png
from imagerag.tools.testing.mock_openai.responses import ImageShape

FIRST = SamplingParams()
FOUR = ImageModel(max_references=4)
WIDE = Size(width=1280, height=720)


def chat(server: MockOpenAIServer, **options: Any) -> OpenAIChatImages:
    return OpenAIChatImages("some/model", base_url=server.base_url, facts=FOUR, timeout_s=20, **options)


def responses(server: MockOpenAIServer, **options: Any) -> OpenAIResponsesImages:
    return OpenAIResponsesImages("gpt-5.2", base_url=server.base_url, timeout_s=20, **options)


@pytest.mark.parametrize("shape", ["message.images", "content_list", "markdown"])
async def test_all_three_forms_of_a_chat_answer_are_read(
    server: MockOpenAIServer, references: list[ImagePart], shape: ImageShape
) -> None:
    server.enqueue("chat", MockResponse(text="Here it is:", images=(tiny_png("x"), tiny_png("y")), image_shape=shape))
    generator: ImageGenerator = chat(server)
    with in_call(CallContext(idempotency_key="k")):
        made = await generator.generate("a cat", references, variation=FIRST, size=None)
    assert made.data == tiny_png("x")
    request = server.requests[0]
    assert request.prompt == "a cat"
    assert request.body["modalities"] == ["image", "text"]
    assert request.idempotency_key == "k"
    assert [image.data for image in request.images] == [part.data for part in references]


async def test_a_hosted_image_is_fetched_from_the_same_server(server: MockOpenAIServer) -> None:
    url = server.host(tiny_png("hosted"))
    server.enqueue("chat", MockResponse(text=f"Look: ![a cat]({url})"))
    made = await chat(server).generate("a cat", [], variation=FIRST, size=None)
    assert made.data == tiny_png("hosted")


async def test_a_size_becomes_an_aspect_ratio_where_one_can_be_asked_for(server: MockOpenAIServer) -> None:
    await chat(server, image_config=True).generate("a cat", [], variation=FIRST, size=WIDE)
    assert server.requests[0].body["image_config"] == {"aspect_ratio": "16:9"}
    with pytest.raises(UsageError, match="cannot be asked for a size"):
        await chat(server).generate("a cat", [], variation=FIRST, size=WIDE)
    assert server.count() == 1
    assert nearest_ratio(Size(width=512, height=512)) == "1:1"


@pytest.mark.parametrize(
    "reply",
    [
        MockResponse(refusal="I can't draw that."),
        MockResponse(finish_reason="content_filter"),
        MockResponse(text="I'm sorry, but I can't help with that request."),
    ],
)
async def test_a_chat_model_refuses_in_many_ways(server: MockOpenAIServer, reply: MockResponse) -> None:
    server.enqueue("chat", reply)
    with pytest.raises(RefusalError):
        await chat(server).generate("a cat", [], variation=FIRST, size=None)


@pytest.mark.parametrize("text", ["", "What a lovely idea! Shall I draw it?"])
async def test_words_without_a_picture_may_be_asked_for_again(server: MockOpenAIServer, text: str) -> None:
    server.enqueue("chat", MockResponse(text=text))
    server.enqueue("responses", MockResponse(text=text))
    for generator in (chat(server), responses(server)):
        with pytest.raises(BackendError) as failed:
            await generator.generate("a cat", [], variation=FIRST, size=None)
        assert failed.value.retryable
        assert text in str(failed.value)


async def test_the_responses_tool_draws_and_its_own_prompt_is_kept(
    server: MockOpenAIServer, references: list[ImagePart]
) -> None:
    server.enqueue("responses", MockResponse(images=(tiny_png("x"),), revised_prompt="a tabby cat, in oil"))
    generator: ImageGenerator = responses(server, tool={"quality": "low"})
    with in_call(CallContext(idempotency_key="k")):
        made = await generator.generate("a cat", references, variation=FIRST, size=WIDE)
    assert made.data == tiny_png("x")
    assert made.revised_prompt == "a tabby cat, in oil"
    request = server.requests[0]
    tool = {"type": "image_generation", "model": "gpt-image-2.5-flare", "quality": "low", "size": "1280x720"}
    assert request.body["tools"] == [tool]
    assert request.body["tool_choice"] == {"type": "image_generation"}
    assert [image.data for image in request.images] == [part.data for part in references]
    assert (request.prompt, request.idempotency_key) == ("a cat", "k")


@pytest.mark.parametrize(
    "reply",
    [MockResponse(refusal="Not that."), MockResponse(text="I'm sorry, but I can't assist with creating that image.")],
)
async def test_the_responses_tool_refuses(server: MockOpenAIServer, reply: MockResponse) -> None:
    server.enqueue("responses", reply)
    with pytest.raises(RefusalError):
        await responses(server).generate("a cat", [], variation=FIRST, size=None)


async def test_usage_is_priced(server: MockOpenAIServer) -> None:
    def price(model: str, usage: Any) -> float | None:
        return usage.get("completion_tokens", usage.get("output_tokens")) * 1e-3

    for generator in (chat(server, price=price), responses(server, price=price)):
        made = await generator.generate("a cat", [], variation=FIRST, size=None)
        assert made.cost_usd == pytest.approx(0.1)


async def test_what_is_too_much_is_not_sent(server: MockOpenAIServer, references: list[ImagePart]) -> None:
    for generator in (chat(server), responses(server)):
        with pytest.raises(UsageError):
            await generator.generate("a cat", references * 9, variation=FIRST, size=None)
    assert server.count() == 0


def test_specs_need_a_model(server: MockOpenAIServer) -> None:
    for adapter, provider in ((OpenAIChatImages, "openai-chat"), (OpenAIResponsesImages, "openai-responses")):
        spec = BackendSpec.parse(f"{provider}:m@{server.base_url}")
        assert adapter.from_spec(spec).identity == str(spec)
        with pytest.raises(SpecError):
            adapter.from_spec(BackendSpec.parse(provider))
