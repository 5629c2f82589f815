"""The temperature of every kind of request to a judge over HTTP: 0, but for the asks that are made again."""

import io
import json
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from langgraph.checkpoint.memory import InMemorySaver
from PIL import Image

from imagerag.agent.nodes import Nodes
from imagerag.agent.ports import Filter, Hit, ImagePart
from imagerag.agent.types import Concept, ImageRef, Outcome, RunConfig, SamplingParams, Verdict
from imagerag.graphs.generation import build_workflow
from imagerag.store.images.blob_store import FileBlobStore
from imagerag.tools.judges.vlm.judge import VlmJudge
from imagerag.tools.judges.vlm.openai_backend import OpenAIChat
from imagerag.tools.openai.client import OpenAICredentials
from imagerag.tools.testing.fakes import ScriptedGenerator
from imagerag.tools.testing.mock_openai import MockOpenAIServer, MockResponse, RecordedRequest
from imagerag.tools.testing.mock_openai.responses import Raw

ONE_THIRD, FIVE_SIXTHS = pytest.approx(1 / 3), pytest.approx(5 / 6)
NO_ZERO = Raw(
    400,
    {
        "error": {
            "message": "Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) "
            "value is supported.",
            "type": "invalid_request_error",
            "param": "temperature",
            "code": "unsupported_value",
        }
    },
)
NO_MAX_TOKENS = Raw(
    400,
    {
        "error": {
            "message": "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
            "'max_completion_tokens' instead.",
            "type": "invalid_request_error",
            "param": "max_tokens",
            "code": "unsupported_parameter",
        }
    },
)


def png(color: tuple[int, int, int]) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (40, 40), color).save(file, "PNG")
    return file.getvalue()


RED = ImagePart(data=png((200, 0, 0)), media_type="image/png")


def checks(*met: bool) -> str:
    points = [{"requirement": f"point {n}", "met": yes, "caption": f"cap {n}"} for n, yes in enumerate(met, 1)]
    rows = [{"number": n, "kind": "content", "evidence": "", **point} for n, point in enumerate(points, 1)]
    return json.dumps({"checks": rows})


class OnlyByPrompt:
    """A library in which one text finds a picture; whatever else is asked, nothing is similar enough."""

    name, threshold, context_length = "small", 0.2, 77

    def __init__(self, found_by: str) -> None:
        self.found_by, self.picture, self.asked = found_by, png((0, 200, 0)), list[str]()

    def count_tokens(self, text: str) -> int:
        return len(text.split()) + 2

    async def search(self, text: str, *, k: int, filter: Filter) -> Sequence[Hit]:
        self.asked.append(text)
        image = ImageRef(sha256=sha256(self.picture).hexdigest(), media_type="image/png", width=40, height=40)
        similarity = 0.9 if text == self.found_by else 0.1
        return [Hit(image=image, similarity=similarity, vector=np.eye(8, dtype=np.float32)[0])]

    async def search_by_image(self, image: bytes, *, k: int, filter: Filter) -> Sequence[Hit]:
        return []

    async def image_bytes(self, sha: str) -> bytes:
        return self.picture

    async def encode_for_model(self, sha: str) -> tuple[bytes, str]:
        return self.picture, "image/png"


def judge_on(server: MockOpenAIServer, model: str = "some-vlm", **chat: Any) -> VlmJudge:
    votes = chat.pop("votes", 1)
    return VlmJudge(
        chat=OpenAIChat(model=model, account=OpenAICredentials(server.base_url, "sk-x"), **chat), votes=votes
    )


def sent(server: MockOpenAIServer) -> list[float | None]:
    return [request.body.get("temperature") for request in server.requests]


async def run(judge: VlmJudge, folder: Path, mode: Literal["fused", "stepwise"], library: Any) -> dict[str, Any]:
    nodes = Nodes(generator=ScriptedGenerator(), judge=judge, library=library, blobs=FileBlobStore(folder))
    graph = build_workflow(nodes).compile(checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "1"}, "recursion_limit": 80}
    await graph.ainvoke({"prompt": "a red hat"}, config, context=RunConfig(judge_mode=mode, seed=3))
    return dict((await graph.aget_state(config)).values)


def asked_again(n: int) -> list[MockResponse]:
    return [MockResponse(text=f"content: thing {n}"), MockResponse(text=f"1. A picture of thing {n}.")]


async def test_fused_two_hotter_asks_before_the_prompt_is_searched(tmp_path: Path) -> None:
    library = OnlyByPrompt("a red hat")
    with MockOpenAIServer() as server:
        replies = [MockResponse(text=checks(False)), *asked_again(1), *asked_again(2), MockResponse(text=checks(True))]
        server.enqueue("chat", *replies)
        state = await run(judge_on(server), tmp_path, "fused", library)
        assert sent(server) == [0, ONE_THIRD, ONE_THIRD, FIVE_SIXTHS, FIVE_SIXTHS, 0]
        assert server.repeats == []
        naming, captioning = server.requests[3].prompt, server.requests[4].prompt
    assert library.asked == ["cap 1", "A picture of thing 1.", "A picture of thing 2.", "a red hat"]
    assert state["result"].outcome is Outcome.ALIGNED
    assert 'SEARCH: "point 1"\nSEARCH: "thing 1"' in naming
    assert 'SEARCH: "cap 1"\nSEARCH: "A picture of thing 1."' in captioning
    judged = [call for call in state["calls"] if call.role != "generate"]
    assert [call.variation.temperature for call in judged] == [0, ONE_THIRD, ONE_THIRD, FIVE_SIXTHS, FIVE_SIXTHS, 0]


async def test_stepwise_decision_list_and_captions_at_zero_and_then_hotter(tmp_path: Path) -> None:
    with MockOpenAIServer() as server:
        replies = [reply for n in range(3) for reply in asked_again(n)]
        server.enqueue("chat", MockResponse(text="No."), *replies, MockResponse(text="Yes."))
        await run(judge_on(server), tmp_path, "stepwise", OnlyByPrompt("a red hat"))
        assert sent(server) == [0, 0, 0, ONE_THIRD, ONE_THIRD, FIVE_SIXTHS, FIVE_SIXTHS, 0]


async def test_the_same_concept_and_caption_again_is_not_searched_with_again(tmp_path: Path) -> None:
    library = OnlyByPrompt("another picture")
    with MockOpenAIServer() as server:
        again = [MockResponse(text="content: point 1"), MockResponse(text="1. CAP 1")]
        server.enqueue("chat", MockResponse(text=checks(False)), *again, *again)
        state = await run(judge_on(server), tmp_path, "fused", library)
        assert len(server.requests) == 5
    assert library.asked == ["cap 1", "a red hat"]
    assert state["result"].outcome is Outcome.NO_USABLE_REFERENCE


@pytest.mark.parametrize("mode", ["fused", "stepwise"])
async def test_a_server_that_refuses_temperature_gets_other_words_and_seeds_and_the_trace_says_so(
    tmp_path: Path, mode: Any
) -> None:
    def answer(request: RecordedRequest) -> MockResponse:
        if request.asks != "text":
            return MockResponse(text=checks(False))
        if "yes or no" in request.prompt:
            return MockResponse(text="No.")
        number = len(server.requests)
        return MockResponse(text=f"1. Picture {number}" if "CONCEPTS" in request.prompt else f"content: thing {number}")

    with MockOpenAIServer(answer, refuses=("temperature",)) as server:
        state = await run(judge_on(server), tmp_path, mode, OnlyByPrompt("another picture"))
        refused = [request for request in server.requests if "temperature" in request.body]
        assert len(refused) == 1  # found out once, and remembered
        seeds = {request.body["seed"] for request in server.requests if "seed" in request.body}
        assert seeds == {4, 5}  # the run's seed, and one more for each ask
    asked = [call.variation for call in state["calls"] if call.role == "judge.missing_concepts"][-2:]
    assert [(v.varied_parameter, v.temperature, v.seed, v.prompt_variant) for v in asked] == [
        ("seed_and_wording", None, 4, 1), ("seed_and_wording", None, 5, 2),
    ]  # fmt: skip
    notes = [search.query.note for search in state["searches"] if search.query.ask]
    assert notes == [f"asked again in other words (seed {seed}; the judge takes no temperature)" for seed in (4, 5)]


async def every_kind(judge: VlmJudge) -> None:
    no, usual = Verdict(aligned=False, raw="No."), SamplingParams()
    for mode in ("fused", "stepwise"):
        await judge.critique("a hat", RED, subjects=[], requirements=[], mode=mode, variation=usual)  # type: ignore[arg-type]
    await judge.missing_concepts("a hat", RED, verdict=no, variation=usual)
    await judge.captions("a hat", [Concept(text="hat")], max_tokens=77, variation=usual)
    await judge.compare("a hat", RED, RED)
    await judge.choose("a hat", [RED])


ANSWERS = [checks(True), "Yes.", "content: hat", "1. A hat.", '{"better": "first"}', '{"ranking": [1]}']


async def test_every_kind_of_question_is_asked_at_zero() -> None:
    with MockOpenAIServer() as server:
        server.enqueue("chat", *(MockResponse(text=text) for text in ANSWERS))
        await every_kind(judge_on(server))
        assert sent(server) == [0] * len(ANSWERS)


async def test_what_the_user_set_is_sent_instead() -> None:
    with MockOpenAIServer() as server:
        server.enqueue("chat", *(MockResponse(text=text) for text in ANSWERS))
        await every_kind(judge_on(server, temperature=0.5))
        assert sent(server) == [0.5] * len(ANSWERS)


@pytest.mark.parametrize("model", ["gpt-5", "o3-2025-04-16"])
async def test_a_model_that_reasons_gets_none(model: str) -> None:
    with MockOpenAIServer() as server:
        server.enqueue("chat", *(MockResponse(text=text) for text in ANSWERS))
        await every_kind(judge_on(server, model=model))
        assert sent(server) == [None] * len(ANSWERS)


async def test_a_server_that_refuses_zero_and_max_tokens_is_asked_twice_more_and_never_again() -> None:
    with MockOpenAIServer() as server:
        server.enqueue("chat", NO_MAX_TOKENS, NO_ZERO, *(MockResponse(text=text) for text in ANSWERS))
        await every_kind(judge_on(server, max_tokens=300))
        assert sent(server) == [0, 0] + [None] * len(ANSWERS)
        limits = [(r.body.get("max_tokens"), r.body.get("max_completion_tokens")) for r in server.requests]
        assert limits == [(300, None)] + [(None, 300)] * (1 + len(ANSWERS))


async def test_votes_are_asked_at_zero_while_their_words_are_new() -> None:
    with MockOpenAIServer(lambda _: MockResponse(text=checks(False))) as server:
        judge = judge_on(server, votes=9)
        await judge.critique("a hat", RED, subjects=[], requirements=[], mode="fused", variation=SamplingParams())
        told = sent(server)
        assert told[:3] == [0, 0, 0]
        assert told[3:] == [ONE_THIRD] * len(told[3:])
        assert len({(request.prompt, request.body.get("seed")) for request in server.requests}) == len(told)
