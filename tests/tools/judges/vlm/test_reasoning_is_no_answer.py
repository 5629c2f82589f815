"""What a model thinks is never taken for what it answers, in whatever tags its family writes its thoughts."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagerag.agent.errors import BackendError, ImageRAGError, JudgeReplyError, RefusalError
from imagerag.agent.ports import ImagePart
from imagerag.agent.qa.ports import Source
from imagerag.agent.types import Concept, SamplingParams, Verdict
from imagerag.tools.answerers.response_parsing import read_answer
from imagerag.tools.answerers.vlm import VlmAnswerer
from imagerag.tools.generators.openai_chat import OpenAIChatImages
from imagerag.tools.judges.vlm import response_parsing
from imagerag.tools.judges.vlm.judge import VlmJudge
from imagerag.tools.judges.vlm.openai_backend import OpenAIChat
from imagerag.tools.judges.vlm.ranking_parser import parse_preference, parse_ranking
from imagerag.tools.judges.vlm.reasoning import MAX_CHARACTERS
from imagerag.tools.judges.vlm.structured_verdict import parse_critique
from imagerag.tools.model_text import clean
from imagerag.tools.openai.client import OpenAICredentials
from imagerag.tools.reasoning_tags import answer_in, opened_reasoning, split_reasoning
from imagerag.tools.testing.fakes import sample_image
from imagerag.tools.testing.mock_openai import MockOpenAIServer, MockResponse, Raw

FAMILIES = {
    "DeepSeek, Qwen, GLM": ("<think>", "</think>"),
    "EXAONE Deep": ("<thought>", "</thought>"),
    "Claude-like": ("<thinking>", "</thinking>"),
    "Claude's artifacts": ("<antThinking>", "</antThinking>"),
    "reasoning": ("<reasoning>", "</reasoning>"),
    "capitals": ("<REASONING>", "</REASONING>"),
    "Seed-OSS": ("<seed:think>", "</seed:think>"),
    "Hunyuan": ("<think:opensource>", "</think:opensource>"),
    "LongCat": ("<longcat_think>", "</longcat_think>"),
    "Magistral": ("[THINK]", "[/THINK]"),
    "Kimi-VL": ("◁think▷", "◁/think▷"),
    "OpenThinker": ("<|begin_of_thought|>", "<|end_of_thought|>"),
    "Command A": ("<|START_THINKING|>", "<|END_THINKING|>"),
    "Apertus": ("<|inner_prefix|>", "<|inner_suffix|>"),
    "MedGemma": ("<unused94>thought\n", "<unused95>"),
    "Gemma 4": ("<|channel>thought\n", "<channel|>"),
    "Pangu": ("[unused16]", "[unused17]"),
    "gpt-oss": (
        "<|channel|>analysis<|message|>",
        "<|end|><|start|>assistant<|channel|>final<|message|>",
    ),
    "gpt-oss without special tokens": ("analysisWell. ", "assistantfinal"),
    "Granite 3.2": ("Here is my thought process: ", "Here is my response:"),
    "Ollama's terminal": ("Thinking...\n", "...done thinking.\n"),
    "Open WebUI": ('<details type="reasoning" done="true">', "</details>"),
    "escaped": ("&lt;think&gt;", "&lt;/think&gt;"),
    "with attributes": ('<think time="3">', "</think>"),
    "escaped slash": ("<think>", r"<\/think>"),
    "reflection": ("<reflection>", "</reflection>"),
    "scratchpad": ("<scratchpad>", "</scratchpad>"),
    "Keye": ("<analysis>", "</analysis>"),
}
LONE_CLOSING = {name: tags for name, tags in FAMILIES.items() if name not in ("Granite 3.2", "Open WebUI")}


def met(*values: bool) -> str:
    checks = [
        {"number": n, "requirement": f"point {n}", "kind": "content", "evidence": "e", "met": value, "caption": "c"}
        for n, value in enumerate(values, start=1)
    ]
    return json.dumps({"checks": checks})


ANSWER = json.dumps({"citations": [{"source": 1, "supports": "s"}], "held": True, "answer": "It is red. [1]"})
READERS: dict[str, tuple[Callable[[str], Any], str, str, Any]] = {
    # what it reads, a draft in the thoughts, the answer, what is to be read
    "verdict": (response_parsing.verdict, "Yes.", "No.", False),
    "fused": (lambda text: parse_critique(text, ()).checks[0].met, met(True), met(False), False),
    "concepts": (
        lambda text: [c.text for c in response_parsing.concepts(text)],
        "content: a hat",
        "content: a cat",
        ["a cat"],
    ),
    "captions": (lambda text: response_parsing.captions(text, 1), "1. a hat", "1. a cat", ("a cat",)),
    "preference": (parse_preference, '{"better": "first"}', '{"better": "second"}', "second"),
    "ranking": (lambda text: parse_ranking(text, 3), "[1, 2]", "[3]", [2]),
    "answer": (lambda text: read_answer(text, 1).text, '{"answer": "blue [1]"}', ANSWER, "It is red. [1]"),
}


def outcome(read: Callable[[str], Any], text: str) -> Any:
    try:
        return read(text)
    except JudgeReplyError as error:
        unread = error
    assert unread.raw == text, "what could not be read is kept"
    return None


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("family", FAMILIES)
def test_no_reader_takes_a_draft_for_the_answer(family: str, reader: str) -> None:
    (opens, closes), (read, draft, answer, expected) = FAMILIES[family], READERS[reader]
    assert outcome(read, f"{opens}I see. {draft} So.{closes}{answer}") == expected
    assert outcome(read, f"{opens}Maybe {draft}{closes}\n\n{opens}or not{closes}\n\n{answer}") == expected
    assert outcome(read, f"{opens}\n{draft}") is None, "it never closes"
    assert outcome(read, f"{opens}\n{draft}{closes}\n") is None, "nothing follows"


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("family", LONE_CLOSING)
def test_a_template_that_opens_the_tag_leaves_only_the_closing_one(family: str, reader: str) -> None:
    closes, (read, draft, answer, expected) = LONE_CLOSING[family][1], READERS[reader]
    assert outcome(read, f"{draft}\n{closes}\n{answer}") == expected
    assert outcome(read, f"{draft}\n{closes}") is None


def test_the_reported_answers() -> None:
    draft = f"draft {met(True)}\n</think>\nThe red circle is missing."
    with pytest.raises(JudgeReplyError, match="no JSON object"):
        parse_critique(draft, ())
    with pytest.raises(JudgeReplyError, match="reasoning only"):
        response_parsing.verdict("<think>\nYes it is red")
    listed = response_parsing.concepts("Okay, let me look at the picture\nHm.\n</think>\n\ncontent: a red circle")
    assert [concept.text for concept in listed] == ["a red circle"]
    with pytest.raises(JudgeReplyError, match="reasoning only"):
        response_parsing.concepts("Okay, let me look at the picture\n</think>")


def test_a_refusal_that_is_only_thought_of_is_none() -> None:
    assert response_parsing.verdict("<think>I can't help with that.</think>No.") is False
    with pytest.raises(RefusalError):
        response_parsing.verdict("<think>Yes.</think>I can't help with that.")


def test_what_a_sign_in_the_picture_says_cuts_no_json_in_two() -> None:
    sign = json.dumps({"checks": [{"number": 1, "requirement": "a sign", "evidence": "it says </think>", "met": True}]})
    for text in (sign, f"```json\n{sign}\n```"):
        assert parse_critique(text, ()).checks[0].met is True
    assert response_parsing.verdict('{"answer": "<think>yes</think> no"}') is False
    asked = json.dumps({"checks": [{"requirement": "a hat", "met": False, "caption": "<think>hm</think>a red hat"}]})
    assert parse_critique(asked, ()).captions == {"a hat": "a red hat"}


@pytest.mark.parametrize(
    "text",
    [
        "<answer>no</answer>",
        "<think>yes?</think><answer>no</answer>",
        "</think>Let me see: a hat.\n<answer>no</answer>",
        "<|begin_of_thought|>yes<|end_of_thought|><|begin_of_solution|>no<|end_of_solution|>",
        "</think><answer><|begin_of_box|>no<|end_of_box|></answer>",
        "<|END_THINKING|><|START_RESPONSE|>no<|END_RESPONSE|>",
        "<SUMMARY>s</SUMMARY><REASONING>yes</REASONING><CONCLUSION>no</CONCLUSION>",
        "no<|im_end|>",
        "no</s>",
        "no<end_of_turn>\n",
        "no<|eot_id|>",
        "<|channel|>final<|message|>no<|return|>",
        "<|channel|>final<|message|>no<|end|><|start|>assistant<|channel|>analysis<|message|>yes",
    ],
)
def test_the_marks_around_an_answer_are_no_part_of_it(text: str) -> None:
    assert clean(text) == "no"
    assert response_parsing.verdict(text) is False
    assert [concept.text for concept in response_parsing.concepts(text.replace("no", "a hat"))] == ["a hat"]


@given(st.text(max_size=200), st.sampled_from(sorted(LONE_CLOSING)), st.text(max_size=200))
def test_nothing_before_a_closing_tag_is_in_an_answer(before: str, family: str, after: str) -> None:
    closes = LONE_CLOSING[family][1]
    marked = f"before {before}\n{closes}"
    assert "before" not in answer_in(f"{marked} {after}") or "before" in after
    reasoning, answer = split_reasoning(f"{marked} {after}")
    assert len(reasoning) + len(answer) == len(f"{marked} {after}"), "nothing is lost"


@given(st.text(max_size=300))
def test_words_without_tags_stay_as_they_are(text: str) -> None:
    plain = text.translate({ord(c): "x" for c in "<>[]◁▷＜＞&"})
    if not plain.startswith(("analysis", "commentary", "assistant", "Thinking", "Here", "here")):
        assert answer_in(plain) == plain


@pytest.mark.parametrize(
    "plain", ["I think so", "analysis of the hat", "Reasoning: a hat", "a <b>bold</b> hat", "2 < 3"]
)
def test_words_about_thinking_are_no_tags(plain: str) -> None:
    assert answer_in(plain) == plain


@pytest.mark.parametrize(
    ("prompt", "opened"),
    [
        ("<|im_start|>assistant\n<think>\n", "<think>"),
        ("<|im_start|>assistant\n<think>\n\n</think>\n\n", ""),
        ("<|im_start|>assistant\n", ""),
        ("<|turn>model\n<|channel>thought\n", "<|channel>thought"),
        ("[INST]x[/INST][THINK]", "[THINK]"),
    ],
)
def test_whether_a_template_leaves_the_tag_open(prompt: str, opened: str) -> None:
    assert opened_reasoning(prompt) == opened


# -- over HTTP -----------------------------------------------------------------------------------------------------

RED = ImagePart(data=sample_image("a red circle"), media_type="image/png")
JSON_ALONE = met(True)


@pytest.fixture
def server() -> Iterator[MockOpenAIServer]:
    with MockOpenAIServer() as running:
        yield running
    assert running.errors == []


def judge_on(server: MockOpenAIServer) -> VlmJudge:
    return VlmJudge(
        chat=OpenAIChat(model="some-vlm", account=OpenAICredentials(server.base_url, "sk-loopback-0123456789"))
    )


async def critique(judge: VlmJudge, mode: Any = "fused") -> Any:
    return await judge.critique("a circle", RED, subjects=[], requirements=[], mode=mode, variation=SamplingParams())


IN_FIELDS: list[dict[str, Any]] = [
    {"content": None, "reasoning_content": JSON_ALONE},
    {"content": "", "reasoning_content": f"```json\n{JSON_ALONE}\n```"},
    {"content": None, "reasoning": JSON_ALONE},
    {"content": None, "thinking": JSON_ALONE},
    {"content": None, "reasoning_details": [{"type": "reasoning.text", "text": JSON_ALONE}]},
    {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": JSON_ALONE}]}]},
    {"content": "\n\n", "reasoning_content": f"hm {met(False)}</think>{JSON_ALONE}"},
]


@pytest.mark.parametrize("message", IN_FIELDS, ids=lambda message: next(reversed(message)))
async def test_json_alone_in_the_field_of_the_reasoning_is_an_answer_and_named(
    server: MockOpenAIServer, message: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    server.enqueue("chat", MockResponse(message=message))
    answer = await critique(judge_on(server))
    assert (answer.verdict.aligned, json.loads(answer.raw.strip("`json\n"))) == (True, json.loads(JSON_ALONE))
    field = next(reversed(message))
    assert f"sent its answer in {field}" in answer.verdict.reason
    assert f"sent its answer in {field}" in caplog.text


@pytest.mark.parametrize("mode", ["fused", "stepwise"])
@pytest.mark.parametrize(
    "message",
    [
        {"content": None, "reasoning_content": f"Let me see. {JSON_ALONE}"},
        {"content": None, "reasoning_content": "Yes."},
        {"content": "", "reasoning": f"{JSON_ALONE} but wait, the circle"},
        {"content": f"<think>{JSON_ALONE}</think>", "reasoning_content": "Yes"},
        {"content": f"<think>Yes. {JSON_ALONE}"},
    ],
)
async def test_other_words_there_are_thoughts_and_kept(
    server: MockOpenAIServer, message: dict[str, Any], mode: Any
) -> None:
    server.enqueue("chat", MockResponse(message=message))
    with pytest.raises(JudgeReplyError, match="reasoning") as told:
        await critique(judge_on(server), mode)
    assert told.value.raw == (message.get("reasoning_content") or message.get("reasoning") or message["content"])


async def test_reasoning_beside_an_answer_changes_nothing(server: MockOpenAIServer) -> None:
    message = {"content": met(False), "reasoning_content": JSON_ALONE}
    server.enqueue("chat", MockResponse(message=message))
    answer = await critique(judge_on(server))
    assert (answer.verdict.aligned, answer.raw) == (False, met(False))


async def test_reasoning_that_is_cut_off_is_kept(server: MockOpenAIServer) -> None:
    server.enqueue(
        "chat", MockResponse(message={"content": None, "reasoning_content": JSON_ALONE}, finish_reason="length")
    )
    with pytest.raises(JudgeReplyError, match="cut off") as told:
        await critique(judge_on(server))
    assert told.value.raw == JSON_ALONE


async def test_a_conversation_goes_on_without_the_thoughts(server: MockOpenAIServer) -> None:
    server.enqueue(
        "chat", MockResponse(text="hm, yes?</think>No."), MockResponse(text="Okay.\n</think>\ncontent: a hat")
    )
    judge = judge_on(server)
    first = await critique(judge, "stepwise")
    assert first.raw == "hm, yes?</think>No.", "what the model said is kept whole"
    missing = await judge.missing_concepts("a circle", RED, verdict=first.verdict, variation=SamplingParams())
    assert missing.concepts == (Concept(text="a hat"),)
    said = [text for role, text in server.requests[1].turns if role == "assistant"]
    assert said == ["No."]
    server.enqueue("chat", MockResponse(text="1. draft</think>1. a red hat"))
    written = await judge.captions(
        "a circle",
        missing.concepts,
        max_tokens=77,
        variation=SamplingParams(),
        image=RED,
        verdict=Verdict(aligned=False),
    )
    assert written.captions == ("a red hat",)


async def test_the_answers_of_ask_hold_no_thoughts(server: MockOpenAIServer) -> None:
    answerer = VlmAnswerer(chat=judge_on(server).chat)
    server.enqueue(
        "chat", MockResponse(text=f'{{"answer": "blue [1]"}}</think>{ANSWER}'), MockResponse(text="Blue?</think>Red.")
    )
    source = Source(number=1, id="a" * 64, image=RED)
    found = await answerer.answer("colour?", [source], finding=None, earlier=[], variation=SamplingParams())
    assert found.text == "It is red. [1]"
    assert (await answerer.answer_without("colour?", earlier=[], variation=SamplingParams())).text == "Red."
    server.enqueue("chat", MockResponse(text="<think>Red, I guess."))
    with pytest.raises(ImageRAGError, match="reasoning"):
        await answerer.answer_without("colour?", earlier=[], variation=SamplingParams())


async def test_a_picture_that_is_only_thought_of_is_not_drawn(server: MockOpenAIServer) -> None:
    drawn = sample_image("drawn")
    shown = MockResponse(
        text="<think>![a](https://example.invalid/draft.png)</think>", images=(drawn,), image_shape="markdown"
    )
    server.enqueue("chat", shown)
    generator = OpenAIChatImages("m", base_url=server.base_url, api_key="sk-loopback-0123456789")
    made = await generator.generate("a circle", [], variation=SamplingParams(), size=None)
    assert made.data == drawn


async def test_a_text_that_is_too_long_is_not_parsed_and_only_its_start_is_kept() -> None:
    with MockOpenAIServer(lambda _: MockResponse(text="x" * (MAX_CHARACTERS + 1))) as server:
        with pytest.raises(JudgeReplyError, match="answered with 500,001 characters, more than the 500,000") as long:
            await judge_on(server).captions("a cat", [Concept(text="a cat")], max_tokens=64, variation=SamplingParams())
        assert len(long.value.raw) == 10_000


@pytest.mark.parametrize("body", ["[" * 100_000, '{"choices": ' + "[" * 300_000])
async def test_json_that_is_nested_too_deep_is_an_unreadable_answer(body: str) -> None:
    with MockOpenAIServer(lambda _: Raw(200, body)) as server:
        with pytest.raises(BackendError, match="JSON that is nested too deep") as deep:
            await judge_on(server).captions("a cat", [Concept(text="a cat")], max_tokens=64, variation=SamplingParams())
        assert deep.value.retryable


async def test_half_a_character_in_an_answer_is_replaced() -> None:
    body = '{"choices": [{"message": {"role": "assistant", "content": "a \\ud83d cat"}, "finish_reason": "stop"}]}'
    with MockOpenAIServer(lambda _: Raw(200, body)) as server:
        written = await judge_on(server).captions(
            "a cat", [Concept(text="a cat")], max_tokens=64, variation=SamplingParams()
        )
        assert written.captions == ("a \ufffd cat",)
