"""Options of specs over real HTTP: each reaches the request, and the identity that answers are kept under."""

import json
from typing import Any

import pytest

from imagerag.agent.errors import SpecError, UsageError
from imagerag.agent.ports import ImagePart, capabilities_of
from imagerag.agent.types import Requirement, SamplingParams
from imagerag.tools.registry import make_generator, make_judge
from imagerag.tools.testing.mock_openai import MockOpenAIServer, MockResponse, tiny_png

LOOK = ImagePart(data=tiny_png("x"), media_type="image/png")


async def sent(server: MockOpenAIServer, spec: str, references: list[ImagePart]) -> dict[str, Any]:
    generator = make_generator(f"{spec}@{server.base_url}")
    assert generator.identity == f"{spec}@{server.base_url}"
    await generator.generate("a cat", references, variation=SamplingParams(seed=3), size=None)
    return server.requests[-1].body


async def test_the_images_api(server: MockOpenAIServer, references: list[ImagePart]) -> None:
    both = "quality=high&background=transparent&output_format=webp"
    body = await sent(server, f"openai:gpt-image-1.5?{both}&input_fidelity=low", references)
    assert (body["quality"], body["background"], body["output_format"]) == ("high", "transparent", "webp")
    assert body["input_fidelity"] == "low"
    assert (await sent(server, "openai:gpt-image-2?moderation=low", []))["moderation"] == "low"
    assert (await sent(server, "openai:my-model?seed=true", []))["seed"] == 3


async def test_what_only_says_how_to_ask_is_in_no_identity(
    server: MockOpenAIServer, references: list[ImagePart]
) -> None:
    spec = f"openai:my-model?max_references=2&masks=true&streams=true&timeout_s=9&response_format=url@{server.base_url}"
    generator = make_generator(spec)
    assert generator.identity == f"openai:my-model@{server.base_url}"
    assert (generator.max_references, capabilities_of(generator).takes_mask) == (2, True)
    await generator.generate("a cat", references, variation=SamplingParams(), size=None)
    assert server.of("images.edit")[0].body["response_format"] == "url"


async def test_the_others(server: MockOpenAIServer, references: list[ImagePart]) -> None:
    assert (await sent(server, "openai-chat:m?modalities=image", []))["modalities"] == ["image"]
    body = await sent(server, "openai-responses:gpt-5?image_model=gpt-image-2&quality=low&background=opaque", [])
    tool = body["tools"][0]
    assert (tool["model"], tool["quality"], tool["background"]) == ("gpt-image-2", "low", "opaque")
    local = make_generator(f"localai:flux?max_references=2&quality=hd@{server.base_url}")
    await local.generate("a cat", references, variation=SamplingParams(), size=None)
    assert server.requests[-1].body["quality"] == "hd"
    assert len(server.requests[-1].images) == 2


async def test_a_judge(server: MockOpenAIServer) -> None:
    spec = "openai:some-vlm?votes=3&longest_side=128&detail=low&temperature=0.5&max_tokens=300&refuses=json_schema+tool"
    judge = make_judge(f"{spec}@{server.base_url}")
    told = "detail=low&max_tokens=300&temperature=0.5&votes=3&longest_side=128"
    assert judge.identity == f"openai:some-vlm?{told}@{server.base_url}"
    answer = {"checks": [{"number": 1, "requirement": "a cat", "evidence": "", "met": False, "caption": "c"}]}
    server.enqueue("chat", *[MockResponse(text=json.dumps(answer))] * 3)
    found = await judge.critique(
        "a cat", LOOK, subjects=[], requirements=[Requirement(text="a cat")], mode="fused", variation=SamplingParams()
    )
    assert (server.count("chat"), found.requests) == (2, 2)
    body = server.requests[0].body
    assert (body["temperature"], body["max_tokens"]) == (0.5, 300)
    assert body.get("response_format") is None
    assert '"detail": "low"' in json.dumps(body["messages"])


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (
            "openai:gpt-image-2?qualty=high",
            r"no option 'qualty'; did you mean 'quality'\? There are: background, edits, input_fi",
        ),
        ("openai:gpt-image-2?background=pink", "background must be transparent, opaque or auto"),
        ("openai-chat:m?modalities=smell", "modalities must be one or more of image, text"),
        ("openai-responses:m?timeout_s=0", "timeout_s must be a number, 0.1 or more"),
        ("localai:m?max_references=99", "from 0 to 16"),
    ],
)
def test_generators_say_what_there_is(spec: str, told: str) -> None:
    with pytest.raises(SpecError, match=told):
        make_generator(spec)


def test_what_a_model_does_not_take_is_refused_before_anything_is_sent() -> None:
    for spec in ("openai:gpt-image-2?input_fidelity=high", "openai-responses:m?quality=ultra"):
        with pytest.raises(UsageError, match="cannot be"):
            make_generator(spec)


def test_judges_say_what_there_is() -> None:
    with pytest.raises(SpecError, match=r"no option 'vote'; did you mean 'votes'\? There are: detail, key_env, long"):
        make_judge("openai:m?vote=3")
    with pytest.raises(SpecError, match="temperature must be a number, from 0 to 2"):
        make_judge("openai:m?temperature=hot")
