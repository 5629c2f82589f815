"""How many references a concept gets can be said at every door, and reaches the request."""

import json
from pathlib import Path
from typing import Any

import pytest

from imagerag import ImageRAG
from imagerag.agent.errors import UsageError
from imagerag.agent.nodes import Nodes
from imagerag.agent.ports import Capabilities
from imagerag.agent.types import RunConfig, RunContext
from imagerag.assistants.tool_inputs import GenerateImage
from imagerag.evals.harness.arms import parse_arms
from imagerag.graphs.configuration.settings import resolve
from imagerag.graphs.generation import build_workflow
from imagerag.tools.generators.image_models import ImageModel
from imagerag.tools.generators.openai_images import OpenAIImages
from imagerag.tools.judges.vlm.judge import VlmJudge
from imagerag.tools.judges.vlm.openai_backend import OpenAIChat
from imagerag.tools.testing.fakes import MemoryBlobs, ScriptedJudge, ScriptedLibrary
from imagerag.tools.testing.mock_openai import MockOpenAIServer, tiny_png

HELD = "a red solid heart and a blue split crescent on a mint background"
HEART = "a detailed picture of a heart"
Imagerag = Any


def library_of(count: int) -> ScriptedLibrary:
    made = ScriptedLibrary()
    for number in range(count):
        made.plant({HEART: 0.9 - number / 100, "a scene": 0.8}, tiny_png(f"heart {number}"))
    return made


async def images_sent(judge: ScriptedJudge, count: int = 20, takes: int = 16, **config: Any) -> list[int]:
    """How many images each drawing was sent, over HTTP."""
    with MockOpenAIServer() as server:
        facts = ImageModel(max_references=takes)
        generator = OpenAIImages("m", base_url=server.base_url, facts=facts, timeout_s=20)
        nodes = Nodes(generator=generator, judge=judge, library=library_of(count), blobs=MemoryBlobs())
        await build_workflow(nodes).compile().ainvoke({"prompt": "a scene"}, context=RunConfig(max_rounds=1, **config))
        return [len(request.images) for request in server.requests]


@pytest.mark.parametrize(("each", "takes", "sent"), [(1, 16, 1), (3, 16, 3), (16, 16, 16), (16, 4, 4)])
async def test_a_hosted_model_gets_as_many_as_are_asked_for_and_it_takes(each: int, takes: int, sent: int) -> None:
    assert await images_sent(ScriptedJudge(["a heart"], []), takes=takes, references_per_concept=each) == [0, sent]


@pytest.mark.parametrize(("each", "sent"), [(1, 1), (3, 3)])
async def test_a_search_with_the_prompt_sends_no_more_than_the_full_method(each: int, sent: int) -> None:
    judge = ScriptedJudge(["a heart"], [])
    assert await images_sent(judge, retrieve_by="prompt", references_per_concept=each) == [0, sent]
    first = ScriptedJudge([])
    assert await images_sent(first, start="retrieve", references_per_concept=each) == [sent]


async def test_the_judges_limit_binds_what_is_sent_beyond_the_first() -> None:
    judge = ScriptedJudge(["a heart"], [])
    judge.capabilities = Capabilities(max_images=4)
    assert await images_sent(judge, references_per_concept=9) == [0, 3]
    assert VlmJudge(chat=OpenAIChat(model="m", max_images=4)).capabilities.max_images == 4


def test_the_command_line_a_batch_and_a_file_of_settings(imagerag: Imagerag, tmp_path: Path) -> None:
    told = imagerag("generate", HELD, "--references-per-concept", "3", "--json")
    assert json.loads(told.stdout)["setup"]["config"]["references_per_concept"] == 3
    wrong = imagerag("generate", HELD, "--references-per-concept", "17")
    assert wrong.exit_code == 2
    assert "--references-per-concept: at most 16, not 17" in wrong.stderr
    lines = [{"prompt": HELD, "references_per_concept": 2}, {"prompt": HELD}]
    (tmp_path / "prompts.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (tmp_path / "imagerag.toml").write_text("references_per_concept = 4\n")
    imagerag("batch", "prompts.jsonl", "--out", "batch")
    results = [json.loads(line) for line in (tmp_path / "batch" / "results.jsonl").read_text().splitlines()]
    shown = [json.loads(imagerag("show", result["run_id"], "--json").stdout) for result in results]
    in_order = sorted(zip(results, shown, strict=True), key=lambda pair: pair[0]["id"])
    assert [record["setup"]["config"]["references_per_concept"] for _, record in in_order] == [2, 4]


def test_a_file_and_the_environment_set_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert resolve().references_per_concept == 1
    (tmp_path / "imagerag.toml").write_text("references_per_concept = 4\n")
    assert resolve().references_per_concept == 4
    monkeypatch.setenv("IMAGERAG_REFERENCES_PER_CONCEPT", "5")
    assert resolve().references_per_concept == 5
    monkeypatch.setenv("IMAGERAG_REFERENCES_PER_CONCEPT", "many")
    with pytest.raises(UsageError, match="IMAGERAG_REFERENCES_PER_CONCEPT: it has to be a whole number"):
        resolve()


async def test_python_says_it_or_leaves_it_to_the_settings(home: Path) -> None:
    (home.parent / "imagerag.toml").write_text("references_per_concept = 4\n")
    rag = ImageRAG(preset="sketch", home=home)
    for given, set_ in (({}, 4), ({"references_per_concept": 2}, 2)):
        record = await rag.generate("a blue striped square", **given)
        assert record.setup is not None
        assert record.setup.config.references_per_concept == set_
    with pytest.raises(UsageError, match="references_per_concept"):
        await rag.generate("a blue striped square", references_per_concept=0)


def test_http_mcp_and_evaluations_take_it() -> None:
    assert RunContext(references_per_concept=3).config().references_per_concept == 3
    assert GenerateImage(prompt="a hat", references_per_concept=3).references_per_concept == 3
    (arm,) = parse_arms("full+references_per_concept=3")
    assert arm.config == {"references_per_concept": 3}
