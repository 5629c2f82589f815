"""The Images adapter over real HTTP: what is sent, what is read, what is refused before anything is sent."""

import json
from dataclasses import replace
from typing import Any

import pytest

from imagerag.agent.calls.call_context import CallContext, ProgressCallback, in_call
from imagerag.agent.errors import AuthError, BackendError, BackendTimeoutError, RefusalError, SpecError, UsageError
from imagerag.agent.ports import ImageGenerator, ImagePart
from imagerag.agent.types import SamplingParams, Size
from imagerag.tools.generators.image_models import MODELS, UNKNOWN, ImageModel, model_facts
from imagerag.tools.generators.openai_images import LOCALAI, OpenAIImages
from imagerag.tools.services.table import SERVICES
from imagerag.tools.spec import BackendSpec
from imagerag.tools.testing.mock_openai import Fault, MockOpenAIServer, MockResponse, tiny_png

FIRST = SamplingParams(seed=3)
SQUARE = Size(width=1024, height=1024)


def images(server: MockOpenAIServer, model: str = "gpt-image-2", **options: Any) -> OpenAIImages:
    return OpenAIImages(model, base_url=server.base_url, **{"timeout_s": 20, **options})


async def test_without_references_an_image_is_generated(server: MockOpenAIServer) -> None:
    generator: ImageGenerator = images(server, quality="low", moderation="low", output_format="png")
    made = await generator.generate("a cat", [], variation=FIRST, size=SQUARE)
    assert made.data == tiny_png("a cat", 1024, 1024)
    assert (made.media_type, made.cost_usd) == ("image/png", None)
    request = server.requests[0]
    assert request.endpoint == "images.generate"
    assert request.body == {
        "model": "gpt-image-2", "prompt": "a cat", "size": "1024x1024",
        "quality": "low", "moderation": "low", "output_format": "png",
    }  # fmt: skip


async def test_with_references_one_is_edited_in_the_order_given(
    server: MockOpenAIServer, references: list[ImagePart], mask: bytes
) -> None:
    generator = images(server, "gpt-image-1.5", input_fidelity="high", moderation="low")
    references[0] = replace(references[0], mask=mask)
    await generator.generate("a cat", references, variation=FIRST, size=None)
    request = server.requests[0]
    assert request.endpoint == "images.edit"
    # moderation is no parameter of an edit, and the size is left to the model
    assert request.body == {"model": "gpt-image-1.5", "prompt": "a cat", "input_fidelity": "high"}
    sent = [(image.name, image.filename, image.media_type, image.data) for image in request.images]
    assert sent == [
        ("image[]", "image-1.png", "image/png", references[0].data),
        ("image[]", "image-2.png", "image/png", references[1].data),
        ("mask", "mask.png", "image/png", mask),
    ]


async def test_sixteen_references_are_taken_and_not_one_more(
    server: MockOpenAIServer, references: list[ImagePart]
) -> None:
    generator = images(server)
    await generator.generate("a cat", references * 8, variation=FIRST, size=None)
    assert len(server.requests[0].images) == generator.max_references == 16
    with pytest.raises(UsageError, match="17 images were to be sent; it takes 16"):
        await generator.generate("a cat", [*references * 8, references[0]], variation=FIRST, size=None)
    assert server.count() == 1


@pytest.mark.parametrize(
    ("prompt", "size", "part", "told"),
    [
        (" ", None, {}, "prompt is empty"),
        ("x" * 32_001, None, {}, "32,001 characters"),
        ("a cat", Size(width=1000, height=1000), {}, "divisible by 16, for instance 992x992"),
        ("a cat", Size(width=1024, height=256), {}, "three times"),
        ("a cat", Size(width=3840, height=2176), {}, "3840x2160"),
        ("a cat", None, {"media_type": "image/gif"}, "not image/gif"),
        ("a cat", None, {"data": bytes(50 * 2**20)}, "below 50 MB"),
        ("a cat", None, {"mask": b"\xff\xd8 a jpeg"}, "PNG below 4 MB"),
        ("a cat", None, {"mask": b"\x89PNG" + bytes(4 * 2**20)}, "PNG below 4 MB"),
    ],
)
async def test_what_the_service_would_refuse_is_not_sent(
    server: MockOpenAIServer,
    references: list[ImagePart],
    prompt: str,
    size: Size | None,
    part: dict[str, Any],
    told: str,
) -> None:
    with pytest.raises(UsageError, match=told):
        await images(server).generate(prompt, [replace(references[0], **part)], variation=FIRST, size=size)
    assert server.count() == 0


async def test_a_mask_goes_with_the_first_image_and_to_those_who_take_one(
    server: MockOpenAIServer, references: list[ImagePart], mask: bytes
) -> None:
    masked = [replace(part, mask=mask) for part in references]
    assert [images(server, *names).capabilities.takes_mask for names in ((), ("some/model",))] == [True, False]
    with pytest.raises(UsageError, match="for the first image only"):
        await images(server).generate("a cat", masked, variation=FIRST, size=None)
    for takes_none in (images(server, "some/model"), images(server, protocol=LOCALAI)):
        with pytest.raises(UsageError, match="takes no mask"):
            await takes_none.generate("a cat", masked[:1], variation=FIRST, size=None)
    assert server.count() == 0


async def test_fixed_sizes_are_declared_and_kept_to(server: MockOpenAIServer) -> None:
    generator = images(server, "gpt-image-1.5")
    assert generator.sizes is not None
    assert SQUARE in generator.sizes
    with pytest.raises(UsageError, match="1024x1024, 1536x1024, 1024x1536"):
        await generator.generate("a cat", [], variation=FIRST, size=Size(width=512, height=512))


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("gpt-image-2", {"input_fidelity": "high"}),
        ("gpt-image-1-mini", {"input_fidelity": "high"}),
        ("gpt-image-2", {"quality": "max"}),
        ("gpt-image-2", {"background": "transparent", "output_format": "jpeg"}),
    ],
)
def test_an_option_the_model_does_not_take_is_refused_at_once(model: str, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        OpenAIImages(model, **options)


@pytest.mark.parametrize("model", [name for name, facts in MODELS.items() if facts.response_format is None])
async def test_every_openai_model_is_asked_within_its_limits(
    server: MockOpenAIServer, references: list[ImagePart], model: str
) -> None:
    facts = model_facts(model)
    for quality in sorted(facts.qualities):
        for fidelity in [None, *sorted(facts.input_fidelity)]:
            generator = images(server, model, quality=quality, input_fidelity=fidelity, background="transparent")
            await generator.generate("a cat", references, variation=FIRST, size=SQUARE)
            await generator.generate("a cat", [], variation=FIRST, size=SQUARE)
    assert {request.status for request in server.requests} == {200}


def test_models_are_known_by_the_longest_beginning_of_their_name() -> None:
    assert model_facts("gpt-image-2.5-flare-2026-09-08") is MODELS["gpt-image-2.5"]
    assert model_facts("openai/gpt-image-2") is MODELS["gpt-image-2"]
    assert model_facts("black-forest-labs/FLUX.2-klein-4B") is MODELS["flux.2-klein"]
    assert model_facts("somebody/anything") is UNKNOWN


async def test_other_servers_are_asked_for_base64_and_given_what_they_take(server: MockOpenAIServer) -> None:
    facts = ImageModel(max_references=2, seed=True)
    generator = images(server, "my/model", facts=facts, extra_body={"guidance_scale": 4})
    assert (generator.max_references, generator.capabilities.supports_seed) == (2, True)
    await generator.generate("a cat", [], variation=FIRST, size=None)
    assert server.requests[0].body == {
        "model": "my/model", "prompt": "a cat", "response_format": "b64_json", "seed": 3, "guidance_scale": 4,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("how", "path"), [(LOCALAI, "/v1/images/generations"), (SERVICES["openrouter"].images, "/v1/images")]
)
async def test_references_can_go_as_json(
    server: MockOpenAIServer, references: list[ImagePart], how: Any, path: str
) -> None:
    generator = images(server, "m", facts=ImageModel(max_references=4), protocol=how)
    with in_call(CallContext(idempotency_key="k-1")):
        await generator.generate("a cat", references, variation=FIRST, size=SQUARE)
    request = server.requests[0]
    assert request.path == path
    assert request.idempotency_key == "k-1"
    assert [image.data for image in request.images] == [part.data for part in references]
    assert set(request.body) == {"model", "prompt", "size", "response_format", how.references}


async def test_a_url_of_the_same_server_is_fetched_and_others_are_not(server: MockOpenAIServer) -> None:
    server.enqueue("images.generate", MockResponse(images=(tiny_png("hosted"),), as_url=True))
    made = await images(server, "m").generate("a cat", [], variation=FIRST, size=None)
    assert made.data == tiny_png("hosted")
    assert "authorization" not in server.of("files")[0].headers
    with MockOpenAIServer(lambda _: MockResponse(images=(tiny_png("elsewhere"),), as_url=True)) as other:
        url = other.host(tiny_png("elsewhere")).replace("127.0.0.1", "192.0.2.7")
        with pytest.raises(BackendError, match="not fetched") as failed:
            await _answering(server, {"data": [{"url": url}]})
        assert not failed.value.retryable
        assert other.count() == 0


async def _answering(server: MockOpenAIServer, answer: object) -> None:
    from openai.types import ImagesResponse

    generator = images(server, "m")
    await generator._read(ImagesResponse.construct(**json.loads(json.dumps(answer))))


@pytest.mark.parametrize("data", [None, [], [{}], [{"b64_json": ""}], [{"b64_json": 5}], "oops", [None], {"a": 1}])
async def test_an_answer_without_an_image_may_be_asked_for_again(server: MockOpenAIServer, data: object) -> None:
    with pytest.raises(BackendError, match="no image") as failed:
        await _answering(server, {"data": data})
    assert failed.value.retryable


@pytest.mark.parametrize("references_sent", [0, 2])
async def test_partial_images_are_progress(
    server: MockOpenAIServer, references: list[ImagePart], references_sent: int
) -> None:
    seen: list[tuple[bytes, int]] = []
    partials = (tiny_png("one"), tiny_png("two"))
    server.enqueue(
        "images.edit" if references_sent else "images.generate",
        MockResponse(images=(tiny_png("x"),), partials=partials),
    )
    prices: list[dict[str, Any]] = []
    generator = images(server, price=lambda _, usage: prices.append(dict(usage)))

    async def partial(data: bytes, number: int) -> None:
        seen.append((data, number))

    with in_call(CallContext(progress=ProgressCallback(partial_images=2, partial=partial))):
        made = await generator.generate("a cat", references[:references_sent], variation=FIRST, size=None)
    assert made.data == tiny_png("x")
    assert made.usage == {"text_in": 10, "image_in": 40, "any_out": 100}
    assert server.requests[0].body["partial_images"] in (2, "2")
    assert seen == [(partials[0], 0), (partials[1], 1)]
    assert prices[0]["total_tokens"] == 150


async def test_a_failing_progress_bar_loses_no_picture(
    server: MockOpenAIServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def fails(data: bytes, number: int) -> None:
        raise RuntimeError("no terminal")

    with in_call(CallContext(progress=ProgressCallback(partial_images=1, partial=fails))):
        made = await images(server).generate("a cat", [], variation=FIRST, size=None)
    assert made.data == tiny_png("a cat")
    assert "no terminal" in caplog.text


@pytest.mark.parametrize(
    ("kind", "again"),
    [
        ("reset_midway", True),
        ("invalid_json", True),  # it broke off before the finished picture came
        ("truncated_base64", False),
        ("wrong_content_type", True),
        ("error_503", True),
    ],
)
async def test_a_broken_stream_may_be_asked_for_again(server: MockOpenAIServer, kind: Any, again: bool) -> None:
    server.enqueue("images.generate", Fault(kind))
    with pytest.raises(BackendError) as failed, in_call(CallContext(progress=ProgressCallback(partial_images=2))):
        await images(server).generate("a cat", [], variation=FIRST, size=None)
    assert failed.value.retryable is again


async def test_a_refused_stream_is_a_refusal(server: MockOpenAIServer) -> None:
    server.enqueue("images.generate", Fault("refusal"))
    context = CallContext(progress=ProgressCallback(partial_images=2))
    with pytest.raises(RefusalError, match="violence"), in_call(context):
        await images(server).generate("a cat", [], variation=FIRST, size=None)


async def test_partial_images_are_asked_for_only_where_they_are_wanted_and_streamed(server: MockOpenAIServer) -> None:
    await images(server).generate("a cat", [], variation=FIRST, size=None)
    with in_call(CallContext(progress=ProgressCallback(partial_images=2))):
        await images(server, "some/model").generate("a cat", [], variation=FIRST, size=None)
    assert [request.body.get("stream") for request in server.requests] == [None, None]


async def test_a_call_costs_what_its_price_says(server: MockOpenAIServer) -> None:
    asked: list[tuple[str, Any]] = []

    def price(model: str, usage: Any) -> float | None:
        asked.append((model, usage))
        return usage["output_tokens"] * 30e-6

    made = await images(server, price=price).generate("a cat", [], variation=FIRST, size=None)
    assert made.cost_usd == pytest.approx(0.003)
    assert asked[0][0] == "gpt-image-2"
    assert asked[0][1]["input_tokens_details"] == {"text_tokens": 10, "image_tokens": 40}


async def test_the_idempotency_key_of_the_caller_is_sent(server: MockOpenAIServer, references: list[ImagePart]) -> None:
    generator = images(server)
    with in_call(CallContext(idempotency_key="one")):
        await generator.generate("a cat", references, variation=FIRST, size=None)
        with in_call(CallContext(idempotency_key="two")):
            await generator.generate("a cat", [], variation=FIRST, size=None)
    await generator.generate("a cat", [], variation=FIRST, size=None)
    assert [request.idempotency_key for request in server.requests] == ["one", "two", None]


async def test_the_client_never_retries_by_itself(server: MockOpenAIServer) -> None:
    server.enqueue("images.generate", Fault("rate_limit", retry_after_s=1.5))
    with pytest.raises(BackendError) as failed:
        await images(server).generate("a cat", [], variation=FIRST, size=None)
    assert failed.value.retry_after_s == 1.5
    assert server.count() == 1


async def test_a_server_that_never_answers_is_a_timeout(server: MockOpenAIServer) -> None:
    await images(server).generate("warm up", [], variation=FIRST, size=None)
    server.enqueue("images.generate", Fault("hang"))
    with pytest.raises(BackendTimeoutError):
        await images(server, timeout_s=0.3).generate("a cat", [], variation=FIRST, size=None)


async def test_a_server_that_is_not_there_says_so() -> None:
    generator = OpenAIImages("m", base_url="http://127.0.0.1:9/v1")
    with pytest.raises(BackendError, match="cannot be reached") as failed:
        await generator.generate("a cat", [], variation=FIRST, size=None)
    assert failed.value.retryable


async def test_openai_itself_needs_a_key_and_a_server_of_ones_own_does_not(server: MockOpenAIServer) -> None:
    with pytest.raises(AuthError, match="set OPENAI_API_KEY"):
        await OpenAIImages("gpt-image-2").generate("a cat", [], variation=FIRST, size=None)
    await images(server).generate("a cat", [], variation=FIRST, size=None)
    assert server.count() == 1


async def test_the_key_of_another_service_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-mine-not-theirs")
    generator = OpenAIImages.from_spec(BackendSpec.parse("openai:m@https://openrouter.ai/api/v1"))
    with pytest.raises(AuthError, match="set OPENROUTER_API_KEY"):
        await generator.generate("a cat", [], variation=FIRST, size=None)


async def test_the_key_comes_from_the_environment_or_the_argument(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with MockOpenAIServer(key=key) as server:
        with pytest.raises(AuthError):
            await images(server).generate("a cat", [], variation=FIRST, size=None)
        await images(server, api_key=key).generate("a cat", [], variation=FIRST, size=None)
        monkeypatch.setenv("OPENAI_API_KEY", key)
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)  # beside it: the key is for this address
        await images(server).generate("a cat", [], variation=FIRST, size=None)


def test_specs_name_adapters_and_no_secret_is_in_an_identity(server: MockOpenAIServer) -> None:
    assert OpenAIImages.from_spec(BackendSpec.parse("openai")).identity == "openai:gpt-image-2.5-flare"
    spec = BackendSpec.parse(f"openai:my/model@{server.base_url}")
    assert OpenAIImages.from_spec(spec).identity == str(spec)
    local = OpenAIImages.localai(BackendSpec.parse("localai:flux"))
    assert local.identity == "localai:flux@http://localhost:8080/v1"
    hidden = OpenAIImages("m", base_url="https://user:hunter2@host/v1?token=hunter3")
    assert hidden.identity == "openai:m@https://host/v1"
    with pytest.raises(SpecError):
        OpenAIImages.localai(BackendSpec.parse("localai"))
