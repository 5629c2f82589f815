"""The judge, the answerer and the describer on a Gemini model, over real HTTP."""

import json
from typing import Any

import pytest
from google.genai import types

from imagerag.agent.errors import JudgeReplyError, RefusalError, SpecError
from imagerag.agent.ports import ImagePart
from imagerag.agent.qa.ports import Source
from imagerag.agent.types import Requirement, SamplingParams
from imagerag.tools.answerers.response_parsing import ANSWER
from imagerag.tools.describers.vlm import DESCRIPTION, VlmDescriber
from imagerag.tools.judges.vlm.chat_protocol import ChatImage, ChatMessage, Schema
from imagerag.tools.judges.vlm.judge import VlmJudge
from imagerag.tools.judges.vlm.messages import user
from imagerag.tools.judges.vlm.ranking_parser import PREFERENCE, RANKING
from imagerag.tools.judges.vlm.structured_verdict import CRITIQUE
from imagerag.tools.registry import answerer_for, make_answerer, make_describer, make_judge
from imagerag.tools.testing.mock_gemini import MockGeminiServer
from imagerag.tools.testing.mock_openai import MockResponse, Raw, tiny_png
from tests.tools.gemini.conftest import chat, sent

FIRST = SamplingParams()
CAT = ImagePart(data=tiny_png("a cat"), media_type="image/png")
CHECKLIST = [Requirement(text="a cat"), Requirement(text="a hat")]


def checked(body: dict[str, Any]) -> types.GenerateContentConfig:
    """The request in google-genai's own types, which refuse unknown fields."""
    assert body.keys() <= {"contents", "systemInstruction", "generationConfig"}
    for content in body["contents"]:
        types.Content.model_validate(content)
    types.Content.model_validate(body.get("systemInstruction", {}))
    return types.GenerateContentConfig.model_validate(body["generationConfig"])


def verdict(*met: bool) -> str:
    """A fused response on `CHECKLIST`."""
    checks = [
        {"number": n, "requirement": one.text, "kind": "content", "evidence": "", "met": yes, "caption": ""}
        for n, (one, yes) in enumerate(zip(CHECKLIST, met, strict=True), start=1)
    ]
    return json.dumps({"checks": checks})


async def test_a_verdict_is_asked_for_with_a_schema(server: MockGeminiServer) -> None:
    server.enqueue("chat", MockResponse(text=verdict(True, False)))
    judge = VlmJudge(chat=chat(server))
    made = await judge.critique(
        "a cat in a hat", CAT, subjects=[CAT], requirements=CHECKLIST, mode="fused", variation=SamplingParams(seed=3)
    )
    config = checked(sent(server))
    assert made.verdict.score == 0.5
    assert config.response_mime_type == "application/json"
    assert config.response_json_schema == CRITIQUE.json_schema
    assert (config.temperature, config.seed, config.max_output_tokens) == (None, 3, 16_384)
    assert [image.data for image in server.requests[0].images] == [CAT.data, CAT.data]
    assert sent(server)["systemInstruction"]["parts"][0]["text"].startswith("You compare pictures")
    assert made.cost_usd == pytest.approx(50 * 1.5e-6 + 120 * 9e-6)
    assert made.usage == {"input_tokens": 50, "output_tokens": 120}


@pytest.mark.parametrize("schema", [CRITIQUE, PREFERENCE, RANKING, ANSWER, DESCRIPTION], ids=lambda one: one.name)
def test_every_schema_is_one_that_the_service_documents(schema: Schema) -> None:
    """The keywords that `response_json_schema` supports, as its own documentation in the SDK lists them."""
    known = {"type", "properties", "required", "additionalProperties", "items", "enum", "minItems", "maxItems"}
    known |= {"minimum", "maximum", "anyOf", "description", "title", "format", "$ref", "$defs", "prefixItems", "oneOf"}

    def keywords(value: Any) -> set[str]:
        if not isinstance(value, dict):
            return set()
        fields = [inner for field in value.get("properties", {}).values() for inner in keywords(field)]
        return {*value, *fields, *keywords(value.get("items"))}

    assert keywords(dict(schema.json_schema)) <= known


async def test_votes_are_further_requests(server: MockGeminiServer) -> None:
    server.enqueue("chat", *[MockResponse(text=verdict(True, yes)) for yes in (False, True, True)])
    judge = VlmJudge(chat=chat(server), votes=3)
    made = await judge.critique(
        "a cat in a hat", CAT, subjects=[], requirements=CHECKLIST, mode="fused", variation=FIRST
    )
    assert made.verdict.aligned
    assert made.requests == server.count() == 3


async def test_a_conversation_keeps_its_roles(server: MockGeminiServer) -> None:
    turns = [ChatMessage("system", ("Be exact.",)), user("What?"), ChatMessage("assistant", ("A cat.",)), user("Why?")]
    await chat(server, temperature=0.0, thinking="low").ask(turns, schema=None, variation=FIRST)
    body = sent(server)
    config = checked(body)
    assert [(turn["role"], turn["parts"][0]["text"]) for turn in body["contents"]] == [
        ("user", "What?"), ("model", "A cat."), ("user", "Why?"),
    ]  # fmt: skip
    assert config.temperature == 0
    assert config.thinking_config is not None
    assert config.thinking_config.thinking_level == "LOW"
    assert config.response_json_schema is None


@pytest.mark.parametrize("schema", [None, CRITIQUE], ids=["text", "schema"])
async def test_what_a_model_refuses_is_left_out_from_then_on(server: MockGeminiServer, schema: Schema | None) -> None:
    words = {"system": "Developer instruction is not enabled for models/m", "json_schema": "JSON mode is not enabled"}
    wanted = list(words) if schema else ["system"]
    server.enqueue("chat", *[Raw(400, _error(words[name])) for name in wanted], *[MockResponse(text="{}")] * 2)
    model = chat(server)
    turns = [ChatMessage("system", ("Be exact.",)), user("What?")]
    for _ in range(2):
        await model.ask(turns, schema=schema, variation=FIRST)
    assert model.refused == set(wanted)
    assert server.count() == len(wanted) + 2
    assert "systemInstruction" not in sent(server)
    assert "responseJsonSchema" not in sent(server)["generationConfig"]
    assert server.requests[-1].prompt.startswith("Be exact.")


def _error(message: str) -> dict[str, Any]:
    return {"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}}


async def test_thoughts_are_no_answer(server: MockGeminiServer) -> None:
    parts = [{"text": "Hmm.", "thought": True}, {"text": "Yes"}, {"text": "."}]
    server.enqueue("chat", Raw(200, {"candidates": [{"content": {"parts": parts}}]}))
    reply = await chat(server).ask([user("A cat?")], schema=None, variation=FIRST)
    assert (reply.text, reply.cost_usd) == ("Yes.", None)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"promptFeedback": {"blockReason": "SAFETY"}}, RefusalError),
        ({"candidates": [{"finishReason": "PROHIBITED_CONTENT"}]}, RefusalError),
        ({"candidates": [{"finishReason": "MAX_TOKENS", "content": {"parts": [{"text": '{"ch'}]}}]}, JudgeReplyError),
        ({"candidates": [{"finishReason": "STOP"}]}, JudgeReplyError),
    ],
    ids=["blocked", "stopped", "cut off", "empty"],
)
async def test_a_response_without_an_answer(
    server: MockGeminiServer, body: dict[str, Any], kind: type[Exception]
) -> None:
    server.enqueue("chat", Raw(200, body))
    with pytest.raises(kind):
        await chat(server).ask([user("A cat?")], schema=CRITIQUE, variation=FIRST)


async def test_more_images_than_a_model_takes_are_one_sheet(server: MockGeminiServer) -> None:
    many = [ChatImage(tiny_png(str(n)), "image/png") for n in range(3)]
    await chat(server, max_images=1).ask([user("Which?", *many)], schema=None, variation=FIRST)
    assert len(server.requests[0].images) == 1


async def test_the_same_model_answers_and_describes(server: MockGeminiServer) -> None:
    spec = f"gemini:gemini-3.5-flash?max_tokens=900&thinking=low@{server.base_url}"
    assert answerer_for(spec) == spec
    assert make_judge(spec).identity == make_answerer(spec).identity == spec
    answer = {"answer": "A cat [1].", "held": True, "citations": [{"source": 1, "supports": "a cat"}]}
    described = {"description": "A cat.", "key_elements": ["cat"], "visible_text": "", "category": "", "tags": []}
    server.enqueue("chat", *[MockResponse(text=json.dumps(one)) for one in (answer, described)])
    source = Source(number=1, id="0" * 64, title="cat", image=CAT)
    made = await make_answerer(spec).answer("What is it?", [source], finding=None, earlier=(), variation=FIRST)
    describer = make_describer(spec)
    assert isinstance(describer, VlmDescriber)
    assert made.text.startswith("A cat")
    assert (await describer.describe(CAT, variation=FIRST)).text == "A cat."
    assert [checked(sent(server, at)).response_json_schema for at in (0, 1)] == [
        ANSWER.json_schema, DESCRIPTION.json_schema,
    ]  # fmt: skip


def test_a_judge_needs_a_model() -> None:
    with pytest.raises(SpecError, match="gemini:MODEL"):
        make_judge("gemini")
    with pytest.raises(SpecError, match="detail"):
        make_judge("gemini:m?detail=low")
