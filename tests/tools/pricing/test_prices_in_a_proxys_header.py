"""A proxy that says in a header what a call was billed at is believed, unless it says that it was nothing."""

from typing import Any

import pytest

from imagerag.agent.ports import ImagePart
from imagerag.agent.types import SamplingParams
from imagerag.tools.generators.openai_images import OpenAIImages
from imagerag.tools.judges.vlm.spec import vlm_judge
from imagerag.tools.pricing.price_table import Prices
from imagerag.tools.spec import BackendSpec
from imagerag.tools.testing.mock_openai import MockOpenAIServer, tiny_png
from imagerag.tools.testing.mock_openai.responses import Raw

YES = '{"checks": [{"number": 1, "requirement": "r", "kind": "content", "evidence": "", "met": true, "caption": ""}]}'
CHAT = {
    "id": "x", "object": "chat.completion", "created": 1, "model": "m",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": YES}}],
}  # fmt: skip


def billed(body: dict[str, Any], header: str) -> Raw:
    return Raw(200, body, {"x-litellm-response-cost": header} if header else {})


def drawing() -> dict[str, Any]:
    import base64

    return {"created": 1, "data": [{"b64_json": base64.b64encode(tiny_png("a cat")).decode()}]}


async def judged(server: MockOpenAIServer, model: str = "any-name") -> float | None:
    judge = vlm_judge(BackendSpec.parse(f"openai:{model}@{server.base_url}"), prices=Prices.load())
    image = ImagePart(data=tiny_png("a cat"), media_type="image/png")
    asked: dict[str, Any] = {"subjects": (), "requirements": (), "mode": "fused", "variation": SamplingParams()}
    return (await judge.critique("a cat", image, **asked)).cost_usd


async def drawn(server: MockOpenAIServer) -> float | None:
    price = Prices.load().of("any-name", "127.0.0.1")
    generator = OpenAIImages("any-name", base_url=server.base_url, price=price)
    return (await generator.generate("a cat", [], variation=SamplingParams(), size=None)).cost_usd


@pytest.mark.parametrize(
    ("header", "usd"),
    [
        ("0.0123", 0.0123),
        ("1e-05", 1e-05),
        ("0.0", 0.0),
        ("-1", 0.0),
        ("nan", 0.0),
        ("inf", 0.0),
        ("free", 0.0),
        ("", 0.0),
    ],
)
async def test_what_the_header_says_is_the_price_of_a_name_that_nobody_knows(header: str, usd: float) -> None:
    with MockOpenAIServer() as server:
        server.enqueue("chat", billed({**CHAT, "usage": {"prompt_tokens": 9, "completion_tokens": 9}}, header))
        assert await judged(server) == usd
        server.enqueue(
            "images.generate", billed({**drawing(), "usage": {"input_tokens": 1, "output_tokens": 2}}, header)
        )
        assert await drawn(server) == usd


async def test_an_answer_without_usage_has_its_price_too() -> None:
    with MockOpenAIServer() as server:
        server.enqueue("images.generate", billed(drawing(), "0.04"))
        assert await drawn(server) == 0.04


async def test_a_price_that_is_known_goes_before_what_a_proxy_says() -> None:
    with MockOpenAIServer() as server:
        server.enqueue("chat", billed({**CHAT, "usage": {"prompt_tokens": 1000, "completion_tokens": 0}}, "9.0"))
        assert 0 < (await judged(server, "gpt-5.5") or 0) < 9


async def test_what_one_call_was_billed_at_is_not_the_next_ones_price() -> None:
    with MockOpenAIServer() as server:
        server.enqueue("images.generate", billed(drawing(), "0.04"), billed({**drawing(), "usage": {}}, ""))
        assert [await drawn(server), await drawn(server)] == [0.04, 0.0]
