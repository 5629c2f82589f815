"""An alias hides which model answers: what its server refuses is left out, learnt once and said."""

from typing import Any

import pytest

from imagerag.agent.calls.call_context import CallContext, ProgressCallback, in_call
from imagerag.agent.errors import BackendError, RefusalError
from imagerag.agent.ports import GeneratedImage, ImagePart
from imagerag.agent.types import SamplingParams, Size
from imagerag.tools.generators.image_models import ImageModel
from imagerag.tools.generators.openai_chat import OpenAIChatImages
from imagerag.tools.generators.openai_images import OpenAIImages
from imagerag.tools.generators.openai_responses import OpenAIResponsesImages
from imagerag.tools.healthcheck import check_health
from imagerag.tools.judges.vlm.openai_backend import OpenAIChat
from imagerag.tools.spec import BackendSpec
from imagerag.tools.testing.mock_openai import Fault, MockOpenAIServer, tiny_png
from imagerag.tools.testing.mock_openai.responses import Raw

SIZE = Size(width=1024, height=1024)
FACTS = ImageModel(max_references=4, seed=True, streams=True, transparent=True)
OPTIONS: dict[str, Any] = {
    "quality": "high", "background": "opaque", "output_format": "png", "extra_body": {"user": "me", "n": 1},
}  # fmt: skip


async def draw(generator: Any, references: list[ImagePart] | None = None, size: Size | None = SIZE) -> GeneratedImage:
    drawn: GeneratedImage = await generator.generate(
        "a cat", references or [], variation=SamplingParams(seed=1), size=size
    )
    return drawn


@pytest.mark.parametrize(
    "option", ["response_format", "size", "quality", "background", "output_format", "seed", "user", "n"]
)
@pytest.mark.parametrize("shape", ["openai", "list", "text", "detail", "message"])
async def test_an_option_that_is_refused_is_left_out_once_and_for_all(option: str, shape: Any) -> None:
    with MockOpenAIServer(refuses=(option,), error_shape=shape) as server:
        generator = OpenAIImages("my-deployment", base_url=server.base_url, facts=FACTS, **OPTIONS)
        first, second = await draw(generator), await draw(generator)
        assert server.count() == 3
        assert option in server.requests[0].body
        assert option not in {**server.requests[1].body, **server.requests[2].body}
        left = {name for name in server.requests[0].body if name != option}
        assert left == set(server.requests[1].body)
        for drawn in (first, second):
            assert option in drawn.fallback_errors[0]
            assert "does not take" in drawn.fallback_errors[0]


@pytest.mark.parametrize("option", ["input_fidelity", "response_format", "quality"])
async def test_in_edits_too(option: str, references: list[ImagePart]) -> None:
    with MockOpenAIServer(refuses=(option,)) as server:
        made = OpenAIImages("alias", base_url=server.base_url, facts=FACTS, input_fidelity="high", quality="low")
        await draw(made, references)
        assert [option in request.body for request in server.requests] == [True, False]
        assert server.requests[1].images[1].data == references[1].data


async def test_several_are_left_out_one_after_the_other() -> None:
    with MockOpenAIServer(refuses=("response_format", "quality", "seed")) as server:
        drawn = await draw(OpenAIImages("alias", base_url=server.base_url, facts=FACTS, **OPTIONS))
        assert server.count() == 4
        assert all(name in drawn.fallback_errors[0] for name in ("response_format", "quality", "seed"))


@pytest.mark.parametrize(
    "answer",
    [
        Raw(400, {"error": {"message": "Unknown parameter: 'response_format'.", "param": "response_format"}}),
        Raw(422, {"detail": [{"loc": ["body", "response_format"], "msg": "Extra inputs are not permitted"}]}),
        Raw(400, {"error": "response_format is not supported"}),
        Raw(400, [{"error": {"code": 400, "message": "Unrecognized argument: response_format"}}]),
        Raw(400, {"error": {"message": "this option is unsupported"}}),
        Raw(200, {"error": {"message": "response_format: b64_json not supported"}}),
    ],
    ids=["openai", "fastapi", "text", "gemini", "not named", "with 200"],
)
async def test_every_way_to_refuse_response_format_is_understood(server: MockOpenAIServer, answer: Raw) -> None:
    server.enqueue("images.generate", answer)
    await draw(OpenAIImages("alias", base_url=server.base_url))
    assert [request.body.get("response_format") for request in server.requests] == ["b64_json", None]


async def test_a_stream_that_is_refused_comes_whole() -> None:
    with MockOpenAIServer(refuses=("partial_images",)) as server:
        with in_call(CallContext(progress=ProgressCallback(partial_images=2))):
            drawn = await draw(OpenAIImages("alias", base_url=server.base_url, facts=FACTS))
        assert drawn.data == tiny_png("a cat", 1024, 1024)
        assert "stream" not in server.requests[1].body


@pytest.mark.parametrize(
    "said",
    [
        "the prompt is too long",
        "your request was rejected by the safety system: response_format",
        "billing: invalid size of wallet",
    ],
)
async def test_what_is_no_refusal_of_an_option_is_not_asked_again(server: MockOpenAIServer, said: str) -> None:
    server.enqueue("images.generate", Raw(400, {"error": {"message": said}}))
    with pytest.raises((BackendError, RefusalError)):
        await draw(OpenAIImages("alias", base_url=server.base_url, quality="high"), size=None)
    assert server.count() == 1


async def test_the_prompt_the_images_and_the_mask_are_never_left_out(
    server: MockOpenAIServer, references: list[ImagePart], mask: bytes
) -> None:
    from dataclasses import replace

    masked = [replace(references[0], mask=mask)]
    server.enqueue("images.edit", Raw(400, {"error": {"message": "mask is not supported", "param": "mask"}}))
    made = OpenAIImages("alias", base_url=server.base_url, facts=ImageModel(masks=True, response_format=None))
    with pytest.raises(BackendError, match="mask is not supported"):
        await draw(made, masked)
    assert server.count() == 1


@pytest.mark.parametrize("count", [1, 2])
async def test_a_server_that_wants_image_is_not_sent_image_with_brackets(
    references: list[ImagePart], mask: bytes, count: int
) -> None:
    from dataclasses import replace

    sent = [replace(references[0], mask=mask), references[1]][:count]
    with MockOpenAIServer(image_field="image") as server:
        facts = ImageModel(max_references=4, masks=True, seed=True)
        generator = OpenAIImages("alias", base_url=server.base_url, facts=facts, quality="low")
        await draw(generator, sent)
        await draw(generator, sent)
        names = [[image.name for image in request.images] for request in server.requests]
        assert names == [["image[]"] * count + ["mask"]] + [["image"] * count + ["mask"]] * 2
        assert server.requests[1].body == server.requests[0].body
        assert [image.data for image in server.requests[1].images[:count]] == [part.data for part in sent]


@pytest.mark.parametrize("shape", ["openai", "detail", "html"])
async def test_a_server_without_edits_is_named_as_such(references: list[ImagePart], shape: Any) -> None:
    with MockOpenAIServer(without=("images.edit",), error_shape=shape) as server:
        generator = OpenAIImages("alias", base_url=server.base_url, facts=FACTS)
        with pytest.raises(BackendError, match="has no /images/edits, which references need") as failed:
            await draw(generator, references)
        assert not failed.value.retryable
        assert server.count() == 1


async def test_a_model_that_is_not_there_is_not_a_missing_endpoint(
    server: MockOpenAIServer, references: list[ImagePart]
) -> None:
    server.enqueue("images.edit", Raw(404, {"error": {"message": "The model 'm' does not exist"}}))
    with pytest.raises(BackendError, match="check the model's name"):
        await draw(OpenAIImages("m", base_url=server.base_url, facts=FACTS), references)


async def test_chat_and_responses_step_down_too() -> None:
    with MockOpenAIServer(refuses=("modalities",)) as server:
        drawn = OpenAIChatImages("m", base_url=server.base_url)
        with pytest.raises(BackendError, match="answered with"):
            await draw(drawn, size=None)  # without modalities this server answers in words
        assert ["modalities" in request.body for request in server.requests] == [True, False]
    with MockOpenAIServer() as server:
        message = "Unknown parameter: 'tools[0].quality'."
        server.enqueue("responses", Raw(400, {"error": {"message": message, "param": "tools[0].quality"}}))
        made = OpenAIResponsesImages("m", base_url=server.base_url, tool={"quality": "high"}, facts=FACTS)
        drawn_ = await draw(made)
        assert ["quality" in request.body["tools"][0] for request in server.requests] == [True, False]
        assert "quality" in drawn_.fallback_errors[0]


@pytest.mark.parametrize("end", ["", "/"])
async def test_the_query_of_an_address_is_kept_by_every_adapter_and_by_the_look_whether_it_is_there(
    server: MockOpenAIServer, references: list[ImagePart], end: str
) -> None:
    from imagerag.tools.judges.vlm.chat_protocol import ChatMessage
    from imagerag.tools.openai.client import OpenAICredentials

    url = f"{server.base_url}{end}?api-version=2026-09-01&api-key=SECRETSECRET"
    for kind in (OpenAIImages, OpenAIChatImages, OpenAIResponsesImages):
        made = kind("loopback", base_url=url)
        await draw(made, size=None)
        assert "SECRET" not in made.identity + repr(vars(made))
    await draw(OpenAIImages("loopback", base_url=url, facts=FACTS), references)
    await OpenAIChat(model="loopback", account=OpenAICredentials.of(url)).ask(
        [ChatMessage("user", ("Is it red?",))], schema=None, variation=SamplingParams()
    )
    found = await check_health(BackendSpec.parse(f"openai:loopback@{url}"), "generator")
    assert found.reachable
    assert found.listed
    assert server.count("unknown") == 0
    assert server.count() == 6
    for request in server.requests:
        assert request.path.endswith("?api-version=2026-09-01&api-key=SECRETSECRET")
    server.enqueue("images.generate", Fault("error_500", message="bad key SECRETSECRET"))
    with pytest.raises(BackendError) as failed:
        await draw(OpenAIImages("loopback", base_url=url))
    assert "SECRET" not in str(failed.value)
