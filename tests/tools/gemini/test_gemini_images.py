"""Images from Gemini over real HTTP: what is sent, what is read, what it costs."""

import io
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from google.genai import types
from PIL import Image

from imagerag.agent.errors import BackendError, RefusalError, SpecError, UnreadableImageError, UsageError
from imagerag.agent.ports import ImagePart, capabilities_of
from imagerag.agent.types import SamplingParams, Size
from imagerag.cli import main
from imagerag.tools.gemini.image_models import MODELS, image_model
from imagerag.tools.pricing.price_table import Prices
from imagerag.tools.registry import make_generator
from imagerag.tools.testing.mock_gemini import MockGeminiServer
from imagerag.tools.testing.mock_openai import Fault, MockResponse, Raw, tiny_png
from tests.tools.gemini.conftest import images, sent

FIRST = SamplingParams()
WIDE, SMALL = Size(width=2752, height=1536), Size(width=640, height=480)

TOP = {"contents", "systemInstruction", "tools", "generationConfig"}


def checked(body: dict[str, Any]) -> types.GenerateContentConfig:
    """The request in google-genai's own types, which refuse unknown fields."""
    assert body.keys() <= TOP
    for content in body["contents"]:
        types.Content.model_validate(content)
    tools = [types.Tool.model_validate(tool) for tool in body.get("tools", ())]
    return types.GenerateContentConfig.model_validate({**body["generationConfig"], "tools": tools})


async def test_a_drawing_is_one_message_in_the_published_form(
    server: MockGeminiServer, references: list[ImagePart]
) -> None:
    made = await images(server).generate("a cat", references, variation=SamplingParams(seed=7), size=WIDE)
    request, config = server.requests[0], checked(sent(server))
    assert made.data == tiny_png("a cat", 2752, 1536)
    assert request.path == "/v1beta/models/gemini-3.1-flash-image:generateContent"
    assert (request.prompt, [image.data for image in request.images]) == ("a cat", [one.data for one in references])
    assert config.seed == 7
    assert config.response_modalities == ["TEXT", "IMAGE"]
    assert config.image_config is not None
    assert (config.image_config.aspect_ratio, config.image_config.image_size) == ("16:9", "2K")
    assert not config.tools


@pytest.mark.parametrize("model", MODELS)
def test_every_size_is_a_ratio_and_an_image_size(model: str) -> None:
    facts = image_model(f"models/{model.upper()}")
    assert facts is MODELS[model]
    assert len(facts.by_size) == len({*facts.by_size.values()})
    for size, (ratio, _) in facts.by_size.items():
        width, height = map(int, ratio.split(":"))
        assert size.width / size.height == pytest.approx(width / height, rel=0.06)


@pytest.mark.parametrize(
    ("spec", "size", "wanted"),
    [
        ("gemini-2.5-flash-image", Size(width=1344, height=768), {"aspectRatio": "16:9"}),
        ("gemini-2.5-flash-image", None, None),
        ("gemini-3-pro-image?image_size=4K", None, {"imageSize": "4K"}),
        ("gemini-3.1-flash-image", Size(width=512, height=512), {"aspectRatio": "1:1", "imageSize": "512"}),
        ("gemini-99-image?image_size=2K", None, {"imageSize": "2K"}),
    ],
)
async def test_an_image_size_is_sent_where_the_model_has_several(
    server: MockGeminiServer, spec: str, size: Size | None, wanted: dict[str, str] | None
) -> None:
    await make_generator(f"gemini:{spec}@{server.base_url}").generate("a cat", [], variation=FIRST, size=size)
    assert sent(server)["generationConfig"].get("imageConfig") == wanted


async def test_the_image_is_the_last_one_that_is_no_thought(server: MockGeminiServer) -> None:
    drawn = MockResponse(text="Here:", images=(tiny_png("draft"), tiny_png("final"), tiny_png("later thought")))
    body: dict[str, Any] = {"candidates": [{"finishReason": "STOP", "content": {"parts": []}, "newField": 1}]}
    for image, thought in zip(drawn.images, (None, False, True), strict=True):
        blob = {"mimeType": "image/png", "data": _base64(image)}
        body["candidates"][0]["content"]["parts"].append({"inlineData": blob, "thought": thought})
    server.enqueue("chat", Raw(200, body))
    made = await images(server).generate("a cat", [], variation=FIRST, size=None)
    assert made.data == tiny_png("final")
    assert made.cost_usd is None  # no usage was reported


async def test_cost_counts_images_thoughts_and_searches_apart(server: MockGeminiServer) -> None:
    found = {"webSearchQueries": ["a"], "imageSearchQueries": ["b", "c"]}
    server.enqueue("chat", MockResponse(images=(tiny_png("x"),), message={"groundingMetadata": found}))
    made = await images(server, grounding=("image", "web")).generate("a cat", [], variation=FIRST, size=None)
    assert made.cost_usd == pytest.approx(50 * 0.5e-6 + 1120 * 60e-6 + 20 * 3e-6 + 3 * 0.014)
    assert made.usage == {"text_in": 50, "text_out": 20, "image_out": 1120}


def test_the_most_is_known_before_a_call_unless_it_searches(server: MockGeminiServer) -> None:
    tariff = capabilities_of(images(server)).tariff
    assert tariff is not None
    assert tariff.known
    usual, most = tariff.usual(100, 2, WIDE), tariff.most(100, 2, WIDE)
    assert usual == pytest.approx(100 * 0.5e-6 + 2 * 1120 * 0.5e-6 + 1680 * 60e-6)
    assert most == pytest.approx((usual or 0) + 12_288 * 3e-6)
    searching = capabilities_of(images(server, grounding=("web",))).tariff
    assert searching is not None
    assert searching.known
    assert searching.most(100, 2, WIDE) is None


@pytest.mark.parametrize(
    ("model", "options", "words"),
    [
        ("gemini-2.5-flash-image", "grounding=image", "cannot search with grounding=image: leave grounding out"),
        ("gemini-3-pro-image", "grounding=web+image", "write grounding=web"),
        ("gemini-3-pro-image", "image_size=512", "1K or 2K or 4K"),
        ("gemini-2.5-flash-image", "thinking=low", "does not think"),
        ("gemini-3.1-flash-image", "grounding=maps", "image, web"),
        ("gemini-3.1-flash-image", "quality=high", "quality"),
    ],
)
def test_options_that_a_model_has_not_are_refused(model: str, options: str, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        make_generator(f"gemini:{model}?{options}")


async def test_requests_beyond_the_limits_are_not_sent(server: MockGeminiServer, references: list[ImagePart]) -> None:
    one = make_generator(f"gemini:gemini-3-pro-image?max_references=1@{server.base_url}")
    masked = [ImagePart(data=tiny_png("x"), media_type="image/png", mask=tiny_png("m"))]
    assert (one.max_references, capabilities_of(one).takes_mask) == (1, False)
    for prompt, parts, size in [
        ("", [], None), ("a cat", references, None), ("a cat", masked, None), ("a cat", [], SMALL),
    ]:  # fmt: skip
        with pytest.raises(UsageError):
            await one.generate(prompt, parts, variation=FIRST, size=size)
    assert server.count() == 0


async def test_a_reference_that_is_too_large_a_file_is_scaled_down(
    server: MockGeminiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imagerag.tools.generators.gemini.MAX_IMAGE_BYTES", 5_000)
    monkeypatch.setattr("imagerag.tools.generators.gemini.LONGEST_SIDE", 48)
    out = io.BytesIO()
    Image.effect_noise((96, 64), 90).convert("RGB").save(out, "PNG")
    large = ImagePart(data=out.getvalue(), media_type="image/png")
    small = ImagePart(data=tiny_png("x"), media_type="image/png")
    await images(server).generate("a cat", [large, small], variation=FIRST, size=None)
    first, second = server.requests[0].images
    assert Image.open(io.BytesIO(first.data)).size == (48, 32)
    assert second.data == small.data


BLOCKED = [
    *[{"promptFeedback": {"blockReason": why}} for why in ("SAFETY", "OTHER", "PROHIBITED_CONTENT", "SOMETHING_NEW")],
    *[
        {"candidates": [{"finishReason": why, "finishMessage": "not this"}]}
        for why in (
            "SAFETY",
            "IMAGE_SAFETY",
            "PROHIBITED_CONTENT",
            "RECITATION",
            "IMAGE_RECITATION",
            "NO_IMAGE",
            "SPII",
        )
    ],
    {
        "candidates": [
            {"finishReason": "STOP", "content": {"parts": [{"text": "I'm sorry, but I can't help with that."}]}}
        ]
    },
]


@pytest.mark.parametrize("body", BLOCKED, ids=str)
async def test_a_block_in_any_form_is_a_refusal(server: MockGeminiServer, body: dict[str, Any]) -> None:
    server.enqueue("chat", Raw(200, body))
    with pytest.raises(RefusalError, match="declined"):
        await images(server).generate("a cat", [], variation=FIRST, size=None)


@pytest.mark.parametrize(
    ("body", "words", "retryable"),
    [
        ({"candidates": []}, "no image", True),
        ({"candidates": None, "usageMetadata": "?"}, "no image", True),
        (
            {"candidates": [{"finishReason": "STOP", "content": {"parts": [{"text": "A cat sits."}]}}]},
            "A cat sits",
            True,
        ),
        ({"candidates": [{"finishReason": "MAX_TOKENS"}]}, "max_tokens", False),
        ({"candidates": [{"finishReason": "OTHER", "content": {"parts": "?"}}]}, "no image", True),
        ([1, 2], "no response of generateContent", True),
        ("{", "not JSON", True),
        ("<html><body>It works!</body></html>", "not JSON", True),
    ],
    ids=str,
)
async def test_a_response_without_an_image_says_why(
    server: MockGeminiServer, body: Any, words: str, retryable: bool
) -> None:
    server.enqueue("chat", Raw(200, body))
    with pytest.raises(BackendError, match=words) as caught:
        await images(server).generate("a cat", [], variation=FIRST, size=None)
    assert caught.value.retryable is retryable


@pytest.mark.parametrize("image", [b"GIF89a of nothing", tiny_png("x")[:40], b"<svg/>"])
async def test_bytes_that_are_no_image_are_kept_and_not_paid_for_again(server: MockGeminiServer, image: bytes) -> None:
    server.enqueue("chat", MockResponse(images=(image,)))
    with pytest.raises(UnreadableImageError) as caught:
        await images(server).generate("a cat", [], variation=FIRST, size=None)
    assert caught.value.data == image
    assert not caught.value.retryable


async def test_an_image_in_json_that_breaks_off_is_kept(server: MockGeminiServer) -> None:
    server.enqueue("chat", Fault("invalid_json"))
    with pytest.raises(UnreadableImageError) as caught:
        await images(server).generate("a cat", [], variation=FIRST, size=None)
    assert b"inlineData" in caught.value.data


async def test_an_image_of_a_giant_answer_is_not_decoded(
    server: MockGeminiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imagerag.tools.generators.image_decoding.MAX_BYTES", 1 << 20)
    blob = {"mimeType": "image/png", "data": "A" * (2 << 20)}
    server.enqueue("chat", Raw(200, {"candidates": [{"content": {"parts": [{"inlineData": blob}]}}]}))
    with pytest.raises(BackendError, match="more than 1 MB") as caught:
        await images(server).generate("a cat", [], variation=FIRST, size=None)
    assert not caught.value.retryable


def _base64(data: bytes) -> str:
    import base64

    return base64.b64encode(data).decode()


def test_a_price_of_ones_own_is_that_of_the_same_spec(
    server: MockGeminiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMAGERAG_HOME", str(tmp_path))
    spec = f"gemini:gemini-3.1-flash-image?grounding=web@{server.base_url}"
    for named in ("gemini:gemini-3.1-flash-image", spec):
        words = ["prices", "set", named, "--text-in", "0", "--image-out", "100", "--text-out", "0", "--per-search", "5"]
        assert CliRunner().invoke(main, ["--home", str(tmp_path), *words]).exit_code == 0
    rows = Prices.load(tmp_path).rows
    assert set(rows) == {
        "gemini-3.1-flash-image@generativelanguage.googleapis.com", "gemini-3.1-flash-image@127.0.0.1",
    }  # fmt: skip
    for host in ("generativelanguage.googleapis.com", "127.0.0.1"):
        price = Prices.load(tmp_path).of("gemini-3.1-flash-image", host)
        told = {"input_tokens": 9, "output_tokens": 100, "output_tokens_details": {"image_tokens": 100}, "searches": 2}
        assert price("gemini-3.1-flash-image", told) == pytest.approx(0.01 + 10)
