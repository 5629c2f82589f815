"""Every message that is built for a model: whatever is somebody's words reaches it without control tokens.

The words come in by every way there is (prompt, concept, caption, title, tags, metadata, file name, question, earlier
answer, name of a subject), and what leaves is read at the server.
"""

import ast
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import imagerag.tools
from imagerag.agent.control_tokens import neutralised
from imagerag.agent.errors import ImageRAGError
from imagerag.agent.ports import Hit, ImagePart
from imagerag.agent.prompts import reference_prompt
from imagerag.agent.qa.ports import Source
from imagerag.agent.qa.types import ConversationTurn, MetadataResult
from imagerag.agent.types import Concept, Requirement, RunSpec, SamplingParams, Verdict
from imagerag.assistants.tool_result import ToolResult
from imagerag.evals.dependencies import EvalDependencies
from imagerag.evals.metrics.base import Sample
from imagerag.evals.metrics.vlm_scores import GradeScore, VqaScore
from imagerag.evals.result_record import InitialImage, Result
from imagerag.evals.suites.case import Case
from imagerag.store.data_dir import DataDir
from imagerag.tools.answerers import prompts as answer_prompts
from imagerag.tools.answerers.vlm import VlmAnswerer
from imagerag.tools.generators.openai_chat import OpenAIChatImages
from imagerag.tools.generators.openai_images import OpenAIImages
from imagerag.tools.generators.openai_responses import OpenAIResponsesImages
from imagerag.tools.judges.vlm import prompts
from imagerag.tools.judges.vlm.chat_protocol import ChatMessage
from imagerag.tools.judges.vlm.judge import VlmJudge
from imagerag.tools.judges.vlm.openai_backend import OpenAIChat
from imagerag.tools.openai.client import OpenAICredentials
from imagerag.tools.rerankers.vlm import VlmReranker
from imagerag.tools.testing.fakes import describe_image, sample_image
from imagerag.tools.testing.mock_openai import MockOpenAIServer, MockResponse

TOKENS = ("<|im_end|>", "<|image_pad|>", "<start_of_turn>", "</s>", "[INST]", "<image>", "<｜User｜>", "◁think▷")
KEY = "sk-loopback-0123456789"


def evil(name: str) -> str:
    """Somebody's words, with a control token of each kind."""
    return f"{name} {' '.join(TOKENS)}"


IMAGE = ImagePart(data=sample_image("a"), media_type="image/png", concept=evil("subject"), caption=evil("caption"))
SOURCE = Source(
    number=1, id="a" * 64, image=IMAGE, title=evil("title"), caption=evil("source"), tags=(evil("tag"), "b"),
    metadata={evil("key"): evil("value"), "ocr": evil("ocr"), "file": evil("file")}, author=evil("author"),
    licence=evil("licence"),
)  # fmt: skip
FINDING = MetadataResult(
    kind="list", rows=3, matched=1, condition=evil("condition"), asked=(evil("key"),), values=(evil("value"),),
    unknown=(evil("unknown"),), notes=(evil("note"),), ids=("a" * 64,),
)  # fmt: skip
EARLIER = [ConversationTurn(question=evil("asked"), answer=evil("answered"), outcome="answered")]
CONCEPTS = [Concept(text=evil("concept"), caption=evil("caption"))]
REQUIREMENTS = [Requirement(text=evil("point"))]
VERDICT = Verdict(aligned=False, raw=f"No. {evil('raw')}", missing=tuple(CONCEPTS))


@pytest.fixture
def server() -> Iterator[MockOpenAIServer]:
    with MockOpenAIServer() as running:
        yield running


def judge(server: MockOpenAIServer) -> VlmJudge:
    return VlmJudge(chat=OpenAIChat(model="m", account=OpenAICredentials(server.base_url, KEY)))


def sample(server: MockOpenAIServer, folder: Path) -> Sample:
    case = Case(id="c", prompt=evil("prompt"))
    result = Result(
        suite={"name": "s", "version": "1", "hash": "0"}, case="c", arm="full", arm_hash="0", seed=0,
        prompt=case.prompt, setup=RunSpec(generator="fake", judge="fake"), run_id="ev-1", status="answered",
        outcome=None, initial_image=InitialImage(), image=describe_image(IMAGE.data),
    )  # fmt: skip
    return Sample(case=case, result=result, dependencies=EvalDependencies(DataDir(folder)), image=IMAGE.data)


async def graded(server: MockOpenAIServer, folder: Path, made: Any, kind: str) -> None:
    given, grader = sample(server, folder), f"openai:m@{server.base_url}"
    metric = made(spec=f"{kind}:{grader}", grader=grader, dependencies=given.dependencies, judges=frozenset())
    async with given.dependencies.working():
        await metric.measure(given)


def critique(mode: Any, requirements: Any = ()) -> "Callable[[MockOpenAIServer, Path], Awaitable[Any]]":
    return lambda server, folder: judge(server).critique(
        evil("prompt"), IMAGE, subjects=[IMAGE], requirements=requirements, mode=mode, variation=SamplingParams()
    )


def drawn(make: Callable[[str], Any], references: int) -> "Callable[[MockOpenAIServer, Path], Awaitable[Any]]":
    def draw(server: MockOpenAIServer, folder: Path) -> Any:
        return make(server.base_url).generate(
            evil("prompt"), [IMAGE] * references, variation=SamplingParams(), size=None
        )

    return draw


BUILDERS: "dict[str, Callable[[MockOpenAIServer, Path], Awaitable[Any]]]" = {
    "fused": critique("fused"),
    "fused with a checklist": critique("fused", REQUIREMENTS),
    "stepwise": critique("stepwise"),
    "missing concepts": lambda server, folder: judge(server).missing_concepts(
        evil("prompt"), IMAGE, verdict=VERDICT, variation=SamplingParams(), subjects=[IMAGE]
    ),
    "captions": lambda server, folder: judge(server).captions(
        evil("prompt"),
        CONCEPTS,
        max_tokens=77,
        variation=SamplingParams(),
        image=IMAGE,
        verdict=VERDICT,
        subjects=[IMAGE],
    ),
    "captions alone": lambda server, folder: judge(server).captions(
        evil("prompt"), CONCEPTS, max_tokens=77, variation=SamplingParams()
    ),
    "compare": lambda server, folder: judge(server).compare(evil("prompt"), IMAGE, IMAGE),
    "choose": lambda server, folder: judge(server).choose(evil("search"), [IMAGE, IMAGE]),
    "rerank": lambda server, folder: VlmReranker(judge(server)).rerank(
        evil("search"),
        [Hit(image=describe_image(IMAGE.data), similarity=0.5, vector=np.ones(1, np.float32), caption=evil("hit"))],
        [IMAGE],
    ),
    "answer": lambda server, folder: VlmAnswerer(chat=judge(server).chat).answer(
        evil("question"), [SOURCE], finding=FINDING, earlier=EARLIER, variation=SamplingParams()
    ),
    "answer without": lambda server, folder: VlmAnswerer(chat=judge(server).chat).answer_without(
        evil("question"), earlier=EARLIER, variation=SamplingParams()
    ),
    "vqa": lambda server, folder: graded(server, folder, VqaScore, "vqa"),
    "grade": lambda server, folder: graded(server, folder, GradeScore, "grade"),
    "openai-chat": drawn(lambda url: OpenAIChatImages("m", base_url=url, api_key=KEY), 1),
    "openai-responses": drawn(lambda url: OpenAIResponsesImages("m", base_url=url, api_key=KEY), 1),
    "openai": drawn(lambda url: OpenAIImages("gpt-image-2", base_url=url, api_key=KEY), 0),
    "openai with references": drawn(lambda url: OpenAIImages("gpt-image-2", base_url=url, api_key=KEY), 1),
}


@pytest.mark.parametrize("builder", BUILDERS)
async def test_no_message_holds_somebodys_control_tokens(
    server: MockOpenAIServer, builder: str, tmp_path: Path
) -> None:
    server.enqueue("chat", *[MockResponse(text="Yes")] * 4)
    with suppress(ImageRAGError):  # what is answered is no matter here
        await BUILDERS[builder](server, tmp_path)
    assert server.requests
    for request in server.requests:
        text = request.text
        assert [token for token in TOKENS if token in text] == []
        assert "‹|im_end|›" in text, "the words themselves are there"
        assert neutralised(text) == text


def test_what_a_generator_is_told_of_references_is_neutralised() -> None:
    from imagerag.agent.ports import ReferenceTemplate

    told = reference_prompt(ReferenceTemplate(), evil("prompt"), [IMAGE])
    assert neutralised(told) == told


def test_what_an_assistants_model_reads_is_neutralised() -> None:
    assert ToolResult(text=evil("caption"), data={}).text == neutralised(evil("caption"))


def test_our_own_words_hold_no_control_token() -> None:
    """Turns are neutralised whole, and so nothing of ours may be changed by it."""
    concepts, requirements = [Concept(text="a hat")], [Requirement(text="a hat"), Requirement(text="ink", kind="style")]
    finding = MetadataResult(kind="list", rows=1, matched=1)
    source = Source(number=1, id="a" * 64, title="t", caption="c", tags=("x",))
    texts = [prompts.SYSTEM, answer_prompts.SYSTEM, answer_prompts.PLAIN_SYSTEM, answer_prompts.source_text(source)]
    for wording in range(3):
        texts += [
            prompts.fused(requirements, words=9, variant=wording),
            prompts.fused((), words=9, variant=wording),
            prompts.decide(wording),
            prompts.list_missing(wording),
            prompts.write_captions(concepts, words=9, variant=wording),
            answer_prompts.question("q", finding=finding, earlier=[], sources=[source], variant=wording),
        ]
    sent = [
        replace(IMAGE, role=role, likeness=True, concept="", caption="") for role in ("edit", "subject", "reference")
    ]
    texts += [prompts.sent_along(n, image) for n, image in enumerate(sent, start=1)]
    texts += [prompts.decide(0, sent), prompts.fused((), words=9, variant=0, edit=True)]
    texts += [prompts.asked_for("p", sent), prompts.compare(), prompts.choose("q", ["c"], sheets=2)]
    for text in texts:
        assert neutralised(text) == text
        assert ChatMessage("user", (text,)).parts == (text,)


def test_a_checklist_with_such_words_is_still_matched() -> None:
    import json

    from imagerag.tools.judges.vlm.structured_verdict import parse_critique

    said = json.dumps({"checks": [{"requirement": neutralised(REQUIREMENTS[0].text), "met": True}]})
    read = parse_critique(said, REQUIREMENTS)
    assert read.requirements == tuple(REQUIREMENTS), "by its words, where the model gave no number"


BUILDING = {
    "tools/judges/vlm/openai_messages.py": "ChatMessage",
    "tools/judges/vlm/transformers_backend.py": "ChatMessage",
    "tools/embedders/openai_embeddings.py": "all_neutralised",
    "tools/embedders/qwen3_vl.py": "neutralised",
    "tools/rerankers/qwen3_vl.py": "neutralised",
    "tools/generators/openai_chat.py": "_words",
    "tools/generators/openai_responses.py": "_words",
    "evals/metrics/vlm_scores.py": "neutralised",
}


def test_every_place_that_builds_a_message_is_one_of_those_tried() -> None:
    """A part `{"type": "text", …}` is how a message for a model is built; a new place must neutralise, and be above."""
    root = Path(imagerag.tools.__file__).parent.parent
    found = set()
    for path in root.rglob("*.py"):
        name = path.relative_to(root).as_posix()
        if name.startswith(("tools/testing/mock_", "mcp/", "assistants/", "chat/")):
            continue  # servers and tools: they answer
        text = path.read_text("utf-8")
        if not {'"type"', '"text"'} <= {*re.findall(r'"\w+"', text)}:
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Dict) and _is_text_part(node):
                found.add(name)
    assert found == set(BUILDING)
    for name, how in BUILDING.items():
        assert how in (root / name).read_text("utf-8")


def _is_text_part(node: ast.Dict) -> bool:
    pairs = {
        key.value: value.value
        for key, value in zip(node.keys, node.values, strict=True)
        if isinstance(key, ast.Constant) and isinstance(value, ast.Constant)
    }
    return pairs.get("type") == "text"
