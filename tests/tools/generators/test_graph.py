"""Each adapter through the whole graph, with a scripted judge and library, against the loopback provider."""

from typing import Any

import pytest
from langgraph.types import RetryPolicy

from imagerag.agent.nodes import Nodes
from imagerag.agent.ports import ImageGenerator
from imagerag.agent.types import Outcome, RunConfig
from imagerag.graphs.generation import build_workflow, is_retryable
from imagerag.tools.generators.image_models import ImageModel
from imagerag.tools.generators.openai_chat import OpenAIChatImages
from imagerag.tools.generators.openai_images import OpenAIImages
from imagerag.tools.generators.openai_responses import OpenAIResponsesImages
from imagerag.tools.testing.fakes import MemoryBlobs, ScriptedJudge, ScriptedLibrary
from imagerag.tools.testing.mock_openai import Endpoint, Fault, FaultRates, MockOpenAIServer, tiny_png

PROMPT = "a red hat and a blue star"
ENDPOINTS: list[Endpoint] = ["images.edit", "chat", "responses"]


def adapter(endpoint: Endpoint, server: MockOpenAIServer) -> ImageGenerator:
    adapters: dict[Endpoint, Any] = {
        "images.edit": OpenAIImages, "chat": OpenAIChatImages, "responses": OpenAIResponsesImages,
    }  # fmt: skip
    facts = ImageModel(max_references=4)
    generator: ImageGenerator = adapters[endpoint]("m", base_url=server.base_url, facts=facts, timeout_s=20)
    return generator


async def run(
    generator: ImageGenerator, judge: ScriptedJudge, library: ScriptedLibrary, prompt: str = PROMPT
) -> dict[str, Any]:
    graph = build_workflow(
        Nodes(generator=generator, judge=judge, library=library, blobs=MemoryBlobs()),
        retry=RetryPolicy(max_attempts=3, initial_interval=0.01, retry_on=is_retryable),
    ).compile()
    state: dict[str, Any] = await graph.ainvoke({"prompt": prompt}, context=RunConfig(max_rounds=2))
    return state


@pytest.fixture
def library() -> ScriptedLibrary:
    made = ScriptedLibrary(elsewhere=0.6)
    made.plant("a detailed picture of a blue star", tiny_png("one"))
    made.plant("something else", tiny_png("two"))
    return made


@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_a_run_draws_finds_what_is_missing_and_draws_again(
    server: MockOpenAIServer, library: ScriptedLibrary, endpoint: Endpoint
) -> None:
    judge = ScriptedJudge(["a blue star"], [])
    state = await run(adapter(endpoint, server), judge, library)
    assert state["result"].outcome is Outcome.ALIGNED
    first, second = server.requests
    assert first.prompt == PROMPT
    assert first.images == ()
    assert second.endpoint == endpoint
    assert second.prompt.endswith(PROMPT)
    assert "Image 1: a detailed picture of a blue star" in second.prompt
    assert second.prompt == state["attempts"][1].prompt
    assert [image.data for image in second.images] == [tiny_png("one")]
    assert server.repeats == []


@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_a_refusal_ends_the_run_after_one_request(
    server: MockOpenAIServer, library: ScriptedLibrary, endpoint: Endpoint
) -> None:
    server.enqueue("images.generate" if endpoint == "images.edit" else endpoint, Fault("refusal"))
    state = await run(adapter(endpoint, server), ScriptedJudge(), library)
    assert state["result"].outcome is Outcome.REFUSED
    assert "safety_violations=[violence]" in state["result"].reason
    assert server.count() == 1


async def test_what_can_help_is_asked_again_and_what_cannot_is_not(
    server: MockOpenAIServer, library: ScriptedLibrary
) -> None:
    server.enqueue("images.generate", Fault("error_503"), Fault("empty_data"))
    state = await run(adapter("images.edit", server), ScriptedJudge([]), library)
    assert state["result"].outcome is Outcome.ALIGNED
    assert server.count() == 3
    server.forget()
    server.enqueue("images.generate", Fault("truncated_base64"))
    state = await run(adapter("images.edit", server), ScriptedJudge([]), library)
    assert state["result"].outcome is Outcome.FAILED
    assert server.count() == 1  # it was paid for: asking again would be to pay again
    server.forget()
    server.enqueue("images.generate", Fault("quota"))
    state = await run(adapter("images.edit", server), ScriptedJudge([]), library)
    assert state["result"].outcome is Outcome.FAILED
    assert "nothing left to spend" in state["result"].reason
    assert server.count() == 1


@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_in_a_storm_every_run_ends_by_name_and_nothing_answered_is_asked_again(
    library: ScriptedLibrary, endpoint: Endpoint
) -> None:
    rates = FaultRates.every(0.08, seed=1, without=("hang",))
    with MockOpenAIServer(faults=rates) as server:
        generator = adapter(endpoint, server)
        for number in range(6):
            judge = ScriptedJudge(lambda prompt, image: ["a blue star"])
            state = await run(generator, judge, library, f"{PROMPT}, number {number}")
            assert state["result"].outcome in Outcome
        assert server.repeats == []
        assert server.errors == []
    assert len({request.fault for request in server.requests}) > 3
