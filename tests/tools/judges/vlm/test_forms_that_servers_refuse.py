"""A judge whose server refuses how it is asked is asked in another form, over HTTP."""

import io
import json
from typing import Any

import pytest
from PIL import Image

from imagerag.agent.errors import BackendError
from imagerag.agent.ports import ImagePart
from imagerag.agent.types import SamplingParams
from imagerag.tools.judges.vlm.judge import VlmJudge
from imagerag.tools.judges.vlm.openai_backend import OpenAIChat
from imagerag.tools.judges.vlm.spec import vlm_judge
from imagerag.tools.openai.client import OpenAICredentials
from imagerag.tools.spec import BackendSpec
from imagerag.tools.testing.mock_openai import MockOpenAIServer, MockResponse
from imagerag.tools.testing.mock_openai.responses import Raw

CHECK = {"number": 1, "requirement": "a hat", "kind": "content", "evidence": "e", "met": True, "caption": ""}
YES = MockResponse(text=json.dumps({"checks": [CHECK]}))


def part(color: str) -> ImagePart:
    file = io.BytesIO()
    Image.new("RGB", (64, 64), color).save(file, "PNG")
    return ImagePart(data=file.getvalue(), media_type="image/png")


RED, GREEN, BLUE = part("red"), part("lime"), part("blue")


def judge_on(server: MockOpenAIServer, **chat: Any) -> VlmJudge:
    return VlmJudge(chat=OpenAIChat(model="some-vlm", account=OpenAICredentials(server.base_url, "sk-x"), **chat))


async def fused(judge: VlmJudge, subjects: list[ImagePart] | None = None) -> Any:
    return await judge.critique(
        "a hat", RED, subjects=subjects or [], requirements=[], mode="fused", variation=SamplingParams()
    )


@pytest.mark.parametrize("ok", [False, True], ids=["by its status", "with HTTP 200"])
@pytest.mark.parametrize("shape", ["openai", "list", "text", "detail", "message"])
async def test_a_response_format_that_is_refused_is_left_out_whatever_shape_the_error_has(shape: Any, ok: bool) -> None:
    with MockOpenAIServer(lambda _: YES, refuses=("json_schema",), error_shape=shape, errors_ok=ok) as server:
        judge = judge_on(server)
        for _ in range(2):
            assert (await fused(judge)).verdict.aligned
        assert [request.asks for request in server.requests] == ["json_schema", "tool", "tool"]


async def test_a_form_that_was_not_kept_to_is_asked_in_another_and_not_given_up_for_good() -> None:
    unkept = Raw(
        400,
        {
            "error": {
                "message": "Failed to generate JSON. Please adjust your prompt. See 'failed_generation'.",
                "type": "invalid_request_error",
                "code": "json_validate_failed",
                "failed_generation": "the tool and the temperature of it",
            }
        },
    )
    untooled = Raw(400, {"error": {"message": "Failed to call a function.", "code": "tool_use_failed"}})
    with MockOpenAIServer(lambda _: YES) as server:
        server.enqueue("chat", unkept, untooled)
        judge = judge_on(server)
        for _ in range(2):
            assert (await fused(judge)).verdict.aligned
        assert [request.asks for request in server.requests] == ["json_schema", "tool", "text", "json_schema"]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "System role not supported"),
        (500, "Jinja Exception: System role not supported"),
        (400, "Conversation roles must alternate user/assistant/user/assistant/..."),
        (400, "Developer instruction is not enabled for models/gemma-3-27b-it"),
    ],
)
async def test_rules_open_the_first_question_where_there_is_no_turn_for_them(status: int, words: str) -> None:
    with MockOpenAIServer(lambda _: YES) as server:
        server.enqueue("chat", Raw(status, {"error": {"message": words}}))
        judge = judge_on(server)
        for _ in range(2):
            assert (await fused(judge)).verdict.aligned
        first, second, third = server.requests
        assert [role for role, _ in first.turns] == ["system", "user"]
        assert [role for role, _ in second.turns] == [role for role, _ in third.turns] == ["user"]
        assert first.turns[0][1] in second.prompt
        assert [image.data for image in first.images] == [image.data for image in second.images]
        assert first.asks == second.asks == "json_schema"


async def test_a_whole_server_without_system_roles() -> None:
    with MockOpenAIServer(lambda _: YES, refuses=("system",)) as server:
        assert (await fused(judge_on(server))).verdict.aligned
        assert server.count() == 2


@pytest.mark.parametrize("declared", [None, 1])
async def test_pictures_go_on_one_sheet_where_a_server_takes_one(declared: int | None) -> None:
    with MockOpenAIServer(lambda _: YES, max_images=1) as server:
        judge = judge_on(server, max_images=declared)
        for _ in range(2):
            assert (await fused(judge, [GREEN, BLUE])).verdict.aligned
        turned_down = 0 if declared else 1
        counts = [len(request.images) for request in server.requests]
        assert counts == [3] * turned_down + [1, 1]
        sent = server.requests[-1]
        assert all(f"[This is picture {number} of the sheet.]" in sent.prompt for number in (1, 2, 3))
        with Image.open(io.BytesIO(sent.images[0].data)) as sheet:
            wide = sheet.width // 3
            middles = [sheet.convert("RGB").getpixel((wide * n + wide // 2, sheet.height // 2)) for n in range(3)]
        assert [max(range(3), key=pixel.__getitem__) for pixel in middles] == [1, 2, 0]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "words",
    [
        "At most 1 image(s) may be provided in one request.",
        "You set or defaulted to '{\"image\": 1}' in `--limit-mm-per-prompt`, but passed 2 image items.",
        "vision model only supports a single image per message",
        "Too many images provided. This model supports up to 1 images",
    ],
)
async def test_the_ways_servers_say_how_many_images_they_take(words: str) -> None:
    with MockOpenAIServer(lambda _: YES) as server:
        server.enqueue("chat", Raw(400, {"error": {"message": words}}))
        assert (await fused(judge_on(server), [GREEN])).verdict.aligned
        assert [len(request.images) for request in server.requests] == [2, 1]


async def test_an_image_that_is_too_large_is_no_limit_of_their_number() -> None:
    with MockOpenAIServer(lambda _: YES) as server:
        server.enqueue("chat", Raw(400, {"error": {"message": "an image must be at most 1 MB"}}))
        with pytest.raises(BackendError, match="at most 1 MB"):
            await fused(judge_on(server), [GREEN])
        assert server.count() == 1


def test_a_spec_says_how_many_images_are_taken() -> None:
    judge = vlm_judge(BackendSpec.parse("openai:m?max_images=1@http://localhost:1/v1"))
    assert judge.identity == "openai:m?max_images=1@http://localhost:1/v1"


async def test_a_limit_of_tokens_goes_by_its_other_name_where_the_old_one_is_refused() -> None:
    with MockOpenAIServer(lambda _: YES, refuses=("max_tokens",)) as server:
        assert (await fused(judge_on(server, max_tokens=300))).verdict.aligned
        assert server.requests[1].body["max_completion_tokens"] == 300


async def test_the_words_of_an_answer_that_is_an_error_reach_the_caller() -> None:
    with MockOpenAIServer() as server:
        server.enqueue("chat", Raw(200, {"error": "the model fell over"}))
        with pytest.raises(BackendError, match="the model fell over"):
            await fused(judge_on(server))
