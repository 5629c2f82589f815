"""The describer on a vision-language model: what it sends, what it reads, and who describes when the first cannot."""

import io
import json
from collections.abc import Iterator

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from imagerag.agent.errors import AuthError, JudgeReplyError, RefusalError, SpecError
from imagerag.agent.ports import ImageDescription, ImagePart, capabilities_of
from imagerag.agent.types import SamplingParams
from imagerag.tools.registry import make_describer
from imagerag.tools.testing.mock_openai import Fault, MockOpenAIServer, MockResponse

WHOLE = {
    "description": "A red bike.",
    "key_elements": ["a red bike", "a wall"],
    "visible_text": "SALE",
    "category": "photo",
    "tags": ["bike"],
}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[MockOpenAIServer]:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    with MockOpenAIServer() as running:
        yield running


def shown() -> ImagePart:
    """A picture with orders in its metadata."""
    told, out = PngInfo(), io.BytesIO()
    told.add_text("Comment", "SECRET orders: 52.5 N 13.4 E")
    Image.new("RGB", (32, 24), "red").save(out, "PNG", pnginfo=told)
    return ImagePart(data=out.getvalue(), media_type="image/png")


async def described(server: MockOpenAIServer, options: str = "", **variation: int) -> ImageDescription:
    describer = make_describer(f"openai:loopback{options}@{server.base_url}")
    return await describer.describe(shown(), variation=SamplingParams(**variation))


async def test_the_pixels_alone_are_sent(server: MockOpenAIServer) -> None:
    server.enqueue("chat", MockResponse(text=json.dumps(WHOLE)))
    found = await described(server)
    assert (found.text, found.visible_text, found.category) == ("A red bike.", "SALE", "photo")
    assert (found.key_elements, found.tags) == (("a red bike", "a wall"), ("bike",))
    [request] = server.requests
    assert request.schema is not None
    assert request.schema["additionalProperties"] is False
    assert sorted(request.schema["required"]) == sorted(WHOLE)
    assert b"SECRET" not in request.images[0].data


@pytest.mark.parametrize(
    ("reply", "text", "elements"),
    [
        (f"Here it is:\n```json\n{json.dumps(WHOLE)}\n```", "A red bike.", ("a red bike", "a wall")),
        ('{"caption": "A bike", "objects": "bike, wall", "visible_text": null}', "A bike", ("bike", "wall")),
        ('<think>hm</think>{"description": "A bike", "key_elements": [1, "bike"]}', "A bike", ("bike",)),
    ],
)
async def test_other_forms_are_read(server: MockOpenAIServer, reply: str, text: str, elements: tuple[str, ...]) -> None:
    server.enqueue("chat", MockResponse(text=reply))
    found = await described(server)
    assert (found.text, found.key_elements) == (text, elements)


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        ("A red bike.", JudgeReplyError),
        ('{"description": ""}', JudgeReplyError),
        ('{"tags": ["bike"]}', JudgeReplyError),
        ("I'm sorry, but I can't help with that.", RefusalError),
    ],
)
async def test_what_is_no_description_is_an_error(server: MockOpenAIServer, reply: str, error: type[Exception]) -> None:
    server.enqueue("chat", MockResponse(text=reply))
    with pytest.raises(error):
        await described(server)


async def test_a_second_request_has_other_words(server: MockOpenAIServer) -> None:
    server.enqueue("chat", *[MockResponse(text=json.dumps(WHOLE))] * 2)
    await described(server)
    await described(server, prompt_variant=1)
    first, second = server.requests
    assert first.prompt != second.prompt


async def test_the_next_describer_answers_where_the_first_cannot(server: MockOpenAIServer) -> None:
    server.enqueue("chat", Fault("unauthorized"), Fault("unauthorized"))
    alone = make_describer(f"openai:loopback@{server.base_url}")
    with pytest.raises(AuthError):
        await alone.describe(shown(), variation=SamplingParams())
    both = make_describer(f"openai:loopback@{server.base_url},sketch")
    found = await both.describe(shown(), variation=SamplingParams())
    assert found.served_by == "sketch"
    assert found.fallback_errors[0].startswith("AuthError")


def test_specs_and_prices() -> None:
    sold = make_describer("openai:gpt-4o-mini")
    tariff = capabilities_of(sold).tariff
    assert tariff is not None
    usual, most = tariff.usual(0, 1, None), tariff.most(0, 1, None)
    assert usual is not None
    assert most is not None
    assert 0 < usual < most < 0.1
    assert make_describer("openai:m?longest_side=256@http://localhost/v1").identity.startswith("openai:m?longest_side")
    for spec in ("clip", "metadata", "openai", "sketch:large"):
        with pytest.raises(SpecError):
            make_describer(spec)
