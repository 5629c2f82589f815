"""The VLM judge in the whole graph: real HTTP to the loopback provider, a scripted generator, a library of two."""

import io
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import RetryPolicy
from PIL import Image

from imagerag.agent.nodes import Nodes
from imagerag.agent.ports import Capabilities, Filter, GeneratedImage, Hit, ImagePart, ReferenceTemplate
from imagerag.agent.types import ImageRef, Outcome, RunConfig, SamplingParams, Size
from imagerag.graphs.generation import build_workflow, is_retryable
from imagerag.store.images.blob_store import FileBlobStore
from imagerag.tools.judges.vlm.judge import VlmJudge
from imagerag.tools.judges.vlm.openai_backend import OpenAIChat
from imagerag.tools.openai.client import OpenAICredentials
from imagerag.tools.testing.mock_openai import Fault, MockOpenAIServer, MockResponse

KEY = "sk-loopback-secret-0123456789"


def png(color: tuple[int, int, int]) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (40, 40), color).save(file, "PNG")
    return file.getvalue()


@dataclass
class ScriptedGenerator:
    """Draws a new colour each time."""

    drawn: list[tuple[str, Sequence[ImagePart]]] = field(default_factory=list)
    identity: str = "scripted"
    max_references: int = 3
    sizes: tuple[Size, ...] | None = None
    capabilities: Capabilities = Capabilities(supports_seed=True)  # noqa: RUF009
    template: ReferenceTemplate = field(default_factory=ReferenceTemplate)

    async def generate(
        self, prompt: str, references: Sequence[ImagePart], *, variation: SamplingParams, size: Size | None
    ) -> GeneratedImage:
        self.drawn.append((prompt, references))
        return GeneratedImage(data=png((10 * len(self.drawn), 0, 0)))


@dataclass
class SmallLibrary:
    """Finds the same pictures whatever is asked, most similar first; remembers what was asked."""

    pictures: list[bytes]
    asked: list[str] = field(default_factory=list)
    name: str = "small"
    threshold: float = 0.2
    context_length: int = 77

    def count_tokens(self, text: str) -> int:
        return len(text.split()) + 2

    async def search(self, text: str, *, k: int, filter: Filter) -> Sequence[Hit]:
        self.asked.append(text)
        return [hit(data, 0.9 - n / 10, n) for n, data in enumerate(self.pictures[:k])]

    async def search_by_image(self, image: bytes, *, k: int, filter: Filter) -> Sequence[Hit]:
        return []

    async def image_bytes(self, sha: str) -> bytes:
        return next(data for data in self.pictures if sha256(data).hexdigest() == sha)

    async def encode_for_model(self, sha: str) -> tuple[bytes, str]:
        return await self.image_bytes(sha), "image/png"


def hit(data: bytes, similarity: float, n: int, caption: str = "") -> Hit:
    image = ImageRef(sha256=sha256(data).hexdigest(), media_type="image/png", width=40, height=40)
    return Hit(image=image, similarity=similarity, vector=np.eye(8, dtype=np.float32)[n % 8], caption=caption)


@pytest.fixture
async def server() -> AsyncIterator[MockOpenAIServer]:
    with MockOpenAIServer() as running:
        yield running
    assert running.errors == []


def points(*met: bool) -> str:
    names = ["a red hat", "ink"]
    checks = [
        {"number": n, "requirement": names[n - 1], "kind": "content", "evidence": "", "met": m, "caption": f"cap {n}"}
        for n, m in enumerate(met, start=1)
    ]
    return json.dumps({"checks": checks})


def vlm(server: MockOpenAIServer) -> VlmJudge:
    return VlmJudge(chat=OpenAIChat(model="some-vlm", account=OpenAICredentials(server.base_url, KEY), timeout_s=20))


async def run(
    server: MockOpenAIServer, tmp_path: Path, mode: Literal["fused", "stepwise"], rounds: int = 3
) -> tuple[dict[str, Any], ScriptedGenerator, SmallLibrary]:
    generator = ScriptedGenerator()
    library = SmallLibrary([png((0, 200, n)) for n in range(6)])
    graph = build_workflow(
        Nodes(generator=generator, judge=vlm(server), library=library, blobs=FileBlobStore(tmp_path)),
        retry=RetryPolicy(max_attempts=3, initial_interval=0.01, retry_on=is_retryable),
    ).compile(checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "1"}}
    await graph.ainvoke({"prompt": "a red hat in ink"}, config, context=RunConfig(judge_mode=mode, max_rounds=rounds))
    state = (await graph.aget_state(config)).values
    return state, generator, library


async def test_fused_makes_one_vlm_call_a_round(server: MockOpenAIServer, tmp_path: Path) -> None:
    server.enqueue("chat", *[MockResponse(text=points(*met)) for met in ((False, False), (True, False), (True, True))])
    state, generator, library = await run(server, tmp_path, "fused")
    assert state["result"].outcome is Outcome.ALIGNED
    assert len(generator.drawn) == 3
    assert server.count() == 3
    assert [call.role for call in state["calls"] if call.role != "generate"] == ["judge.critique"] * 3
    assert sorted(library.asked) == ["cap 1", "cap 2", "cap 2"]
    assert [attempt.verdict.score for attempt in state["attempts"]] == [0, 0.5, 1]
    assert [entry.resolved_round for entry in state["tracked_concepts"]] == [1, 2]
    assert '1. [content] "a red hat"\n2. [content] "ink"' in server.requests[1].prompt
    assert server.repeats == []


async def test_stepwise_makes_three_vlm_calls_a_round(server: MockOpenAIServer, tmp_path: Path) -> None:
    for _ in range(2):
        server.enqueue(
            "chat", MockResponse(text="No."), MockResponse(text="content: hat"), MockResponse(text="1. A red hat.")
        )
    server.enqueue("chat", MockResponse(text="Yes."))
    state, generator, library = await run(server, tmp_path, "stepwise")
    assert state["result"].outcome is Outcome.ALIGNED
    assert len(generator.drawn) == 3
    roles = [call.role for call in state["calls"] if call.role != "generate"]
    assert roles == ["judge.critique", "judge.missing_concepts", "judge.captions"] * 2 + ["judge.critique"]
    assert server.count() == 7
    assert library.asked == ["A red hat."] * 2


async def test_what_could_not_be_named_is_asked_for_hotter_and_then_searched_by_the_prompt(
    server: MockOpenAIServer, tmp_path: Path
) -> None:
    server.enqueue(
        "chat", MockResponse(text="No."), *[MockResponse(text="I’m unable to name any.")] * 3, MockResponse(text="Yes.")
    )
    state, _, library = await run(server, tmp_path, "stepwise")
    temperatures = [request.body.get("temperature") for request in server.requests]
    assert temperatures == [0, 0, pytest.approx(1 / 3), pytest.approx(5 / 6), 0]
    assert library.asked == ["a red hat in ink"]
    assert state["result"].outcome is Outcome.ALIGNED


async def test_a_model_without_temperature_is_reworded_and_reseeded_instead(tmp_path: Path) -> None:
    said = iter(["No.", "Unable to", "Unable to", "Unable to", "Yes."])
    with MockOpenAIServer(lambda request: MockResponse(text=next(said)), refuses=("temperature",)) as server:
        state, _, _ = await run(server, tmp_path, "stepwise")
        tries = server.requests[2:5]
    assert state["result"].outcome is Outcome.ALIGNED
    assert len({request.prompt for request in tries}) == 3
    assert [request.body.get("seed") for request in tries] == [None, 1, 2]


@pytest.mark.parametrize(
    ("script", "outcome", "requests"),
    [
        ([Fault("refusal")], Outcome.REFUSED, 1),
        ([MockResponse(text="I can't help with that.")], Outcome.REFUSED, 1),
        ([MockResponse(text="hm"), MockResponse(text="hm")], Outcome.JUDGE_UNAVAILABLE, 2),
        ([MockResponse(text="hm"), MockResponse(text=points(True, True))], Outcome.ALIGNED, 2),
        ([Fault("error_500"), Fault("reset_midway"), MockResponse(text=points(True))], Outcome.ALIGNED, 3),
        ([Fault("unauthorized")], Outcome.JUDGE_UNAVAILABLE, 1),
        ([Fault("quota")], Outcome.JUDGE_UNAVAILABLE, 1),
    ],
)
async def test_every_failure_of_the_judge_ends_by_name_with_the_picture_kept(
    server: MockOpenAIServer, tmp_path: Path, script: list[Any], outcome: Outcome, requests: int
) -> None:
    server.enqueue("chat", *script)
    state, _, _ = await run(server, tmp_path, "fused")
    assert (state["result"].outcome, state["best"], server.count()) == (outcome, 0, requests)
    assert KEY not in str(state)
