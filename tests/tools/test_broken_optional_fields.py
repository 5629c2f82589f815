"""Optional fields of a paid response (usage, ids, reasons) may hold anything: the response is used all the same."""

import base64
import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagerag.agent.ports import ImagePart
from imagerag.agent.types import SamplingParams
from imagerag.tools.generators.openai_chat import OpenAIChatImages
from imagerag.tools.generators.openai_responses import OpenAIResponsesImages
from imagerag.tools.judges.vlm.judge import VlmJudge
from imagerag.tools.judges.vlm.openai_backend import OpenAIChat
from imagerag.tools.openai.client import OpenAICredentials
from imagerag.tools.optional_fields import without_broken_fields
from imagerag.tools.pricing.token_usage import counts_of, tokens_of, valid_usage
from imagerag.tools.rerankers.served import _usage
from imagerag.tools.testing.mock_openai import MockOpenAIServer, Raw, tiny_png

ALIGNED = json.dumps(
    {"checks": [{"number": 1, "requirement": "a", "kind": "content", "evidence": "", "met": True, "caption": "a"}]}
)
USAGES: list[Any] = [
    "x",
    7,
    [1],
    {"prompt_tokens": "12", "completion_tokens": None},
    {"prompt_tokens": -1, "completion_tokens": True, "total_tokens": {}},
    {"prompt_tokens": 1, "completion_tokens": 1, "prompt_tokens_details": "x", "completion_tokens_details": [1]},
    {"prompt_tokens": 1, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": "3"}},
]
FIELDS: list[dict[str, Any]] = [
    {"id": {"a": 1}, "created": "now", "model": 7, "system_fingerprint": [], "object": None},
    {"service_tier": {"a": 1}},
    {"service_tier": []},
    {"usage": {"prompt_tokens": 1, "completion_tokens": 2}, "service_tier": "flex"},
]


@pytest.fixture(scope="module")
def server() -> Iterator[MockOpenAIServer]:
    with MockOpenAIServer() as running:
        yield running


def completion(choice: Any = None, **fields: Any) -> dict[str, Any]:
    own = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": ALIGNED}}
    return {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice or own], **fields}


async def aligned(server: MockOpenAIServer, body: Any) -> Any:
    server.enqueue("chat", Raw(200, body))
    judge = VlmJudge(chat=OpenAIChat(model="m", account=OpenAICredentials(server.base_url, "sk-1234567890")))
    image = ImagePart(data=tiny_png("x"), media_type="image/png")
    critique = await judge.critique("a", image, subjects=(), requirements=(), mode="fused", variation=SamplingParams())
    assert critique.verdict.aligned
    return critique


@pytest.mark.parametrize("fields", [*[{"usage": usage} for usage in USAGES], *FIELDS], ids=str)
async def test_a_verdict_is_used_whatever_its_optional_fields_hold(
    server: MockOpenAIServer, fields: dict[str, Any]
) -> None:
    before = server.count("chat")
    await aligned(server, completion(**fields))
    assert server.count("chat") == before + 1


@pytest.mark.parametrize(
    "choice",
    [
        {"message": {"role": "assistant", "content": json.loads(ALIGNED)}},
        {"finish_reason": 3, "logprobs": "x", "message": {"role": "model", "content": ALIGNED, "name": 1, "id": [2]}},
        {"finish_reason": ["stop"], "message": {"content": ["", 5, ALIGNED], "refusal": False, "function_call": "no"}},
        {"message": {"role": None, "content": None, "tool_calls": [
            1, {"id": 4, "function": {"name": "critique", "arguments": json.loads(ALIGNED)}},
        ]}},
    ],
    ids=str,
)  # fmt: skip
async def test_a_verdict_is_used_in_any_form_that_servers_send(server: MockOpenAIServer, choice: Any) -> None:
    await aligned(server, completion(choice))


async def test_a_usage_without_broken_parts_is_counted(server: MockOpenAIServer) -> None:
    critique = await aligned(server, completion(usage={"prompt_tokens": 12, "completion_tokens": 3.0, "total": "15"}))
    assert critique.usage == {"input_tokens": 12, "output_tokens": 3}
    assert (await aligned(server, completion(usage={"prompt_tokens": 12}))).usage == {"input_tokens": 12}


@pytest.mark.parametrize("usage", USAGES, ids=str)
async def test_an_image_is_used_whatever_its_usage_holds(server: MockOpenAIServer, usage: Any) -> None:
    png = base64.b64encode(tiny_png("x")).decode()
    choice = {"index": 0, "finish_reason": 1, "message": {"role": "assistant", "content": None, "images": [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{png}"}},
    ]}}  # fmt: skip
    server.enqueue("chat", Raw(200, completion(choice, usage=usage, service_tier=[])))
    call = {"id": "ig_1", "type": "image_generation_call", "status": "completed", "result": png}
    response = {"id": [], "object": "response", "created_at": "x", "model": "m", "output": [call], "usage": usage}
    server.enqueue("responses", Raw(200, {**response, "service_tier": {}, "metadata": "x"}))
    for kind in (OpenAIChatImages, OpenAIResponsesImages):
        generated = await kind("m", base_url=server.base_url).generate("a", [], variation=SamplingParams(), size=None)
        assert generated.data == tiny_png("x")


json_values = st.sampled_from([None, True, -1, 7, 10**30, 0.5, float("nan"), "", "12", [], ["x"], {}, {"a": [1]}])
optional = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("id", "created", "model", "service_tier", "system_fingerprint", "object"), json_values)
)
counts = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        ("prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details", "completion_tokens_details"),
        json_values | st.fixed_dictionaries({"cached_tokens": json_values, "reasoning_tokens": json_values}),
    ),
)


@given(optional, counts | json_values, json_values, json_values)
def test_langchain_reads_a_response_with_any_optional_fields(
    fields: dict[str, Any], usage: Any, finish: Any, name: Any
) -> None:
    message = {"role": "assistant", "content": "yes", "name": name, "id": name, "tool_calls": name, "audio": name}
    body = without_broken_fields(
        completion({"message": message, "finish_reason": finish, "logprobs": finish}, **fields, usage=usage)
    )
    json.dumps(body)
    (generation,) = client()._create_chat_result(body).generations
    assert generation.message.content == "yes"


@cache
def client() -> Any:
    from langchain_openai import ChatOpenAI

    return ChatOpenAI(model="m", api_key="k", base_url="http://127.0.0.1:1")  # type: ignore[arg-type]


def test_a_response_without_broken_fields_stays_as_it_is() -> None:
    details = {"reasoning_tokens": 3, "audio_tokens": None}
    usage = {"prompt_tokens": 12, "completion_tokens": 4, "cost": 0.002, "is_byok": False, "cost_details": None}
    body = completion(usage={**usage, "completion_tokens_details": details}, service_tier=None)
    assert without_broken_fields(body) == body


@given(counts | json_values)
def test_a_usage_holds_amounts_only(usage: Any) -> None:
    valid = valid_usage(usage) or {}
    assert all(0 <= count <= 10**12 for count in counts_of(valid).values())
    assert tokens_of(valid) is None or set(counts_of(valid)) == {"input_tokens", "output_tokens"}


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        ({"prompt_tokens": None, "total_tokens": 7}, {"input_tokens": 7}),
        ({"input_tokens": 3, "output_tokens": 4}, {"input_tokens": 3}),
        ({"total_tokens": "7"}, {}),
        ({"prompt_tokens": True}, {}),
        ("x", {}),
    ],
)
def test_a_reranker_counts_what_is_a_count(usage: Any, counted: dict[str, int]) -> None:
    assert _usage({"usage": usage}) == counted


@pytest.mark.parametrize("name", ["candidatesTokenCount", "thoughtsTokenCount", "promptTokenCount"])
@pytest.mark.parametrize("count", ["x", None, [1], -4])
def test_a_broken_count_of_gemini_makes_the_cost_unknown_and_not_smaller(name: str, count: Any) -> None:
    from imagerag.tools.gemini.responses import GeminiResponse

    usage = {"promptTokenCount": 10, "candidatesTokenCount": 20, "thoughtsTokenCount": 30}
    assert GeminiResponse.model_validate({"usageMetadata": usage}).usage["output_tokens"] == 50  # type: ignore[index]
    assert GeminiResponse.model_validate({"usageMetadata": {**usage, name: count}}).usage is None


async def test_a_large_response_is_parsed_once(server: MockOpenAIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    padding, parsed, loads = "x" * 2_000_000, list[int](), json.loads

    def counted(text: str | bytes, **options: Any) -> Any:
        parsed.append(len(text))
        return loads(text, **options)

    monkeypatch.setattr(json, "loads", counted)
    assert (await aligned(server, completion(padding=padding))).verdict.aligned
    assert [size for size in parsed if size > len(padding)] == [pytest.approx(len(padding), rel=0.01)]
