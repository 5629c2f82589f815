"""Local pipelines and a local judge in the whole graph."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import RetryPolicy
from tiny_pipelines import SIZE

from imagerag.agent.nodes import Nodes
from imagerag.agent.ports import ImageGenerator, Judge
from imagerag.agent.types import Outcome, RunConfig
from imagerag.graphs.generation import build_workflow, is_retryable
from imagerag.tools.generators.diffusers.pipeline import DiffusersGenerator
from imagerag.tools.judges.vlm.transformers_backend import transformers_judge
from imagerag.tools.spec import BackendSpec
from imagerag.tools.testing.fakes import MemoryBlobs, ScriptedGenerator, ScriptedJudge, ScriptedLibrary, sample_image

Make = Callable[..., DiffusersGenerator]
PROMPT = "a red hat and a blue star"


@pytest.fixture
def library() -> ScriptedLibrary:
    made = ScriptedLibrary(elsewhere=0.6)
    for name in ("a blue star", "a red hat", "ink"):
        made.plant(f"a detailed picture of {name}", sample_image(name, SIZE))
    return made


async def run(generator: ImageGenerator, judge: Judge, library: ScriptedLibrary, **config: Any) -> dict[str, Any]:
    retry = RetryPolicy(max_attempts=2, initial_interval=0.01, retry_on=is_retryable)
    workflow = build_workflow(
        Nodes(generator=generator, judge=judge, library=library, blobs=MemoryBlobs()), retry=retry
    )
    context = RunConfig(max_rounds=2, size=SIZE, **config)
    graph, thread_config = (
        workflow.compile(checkpointer=InMemorySaver()),
        RunnableConfig(configurable={"thread_id": "1"}),
    )
    await graph.ainvoke({"prompt": PROMPT}, thread_config, context=context)
    return (await graph.aget_state(thread_config)).values


@pytest.mark.parametrize(("family", "sent"), [
    ("sdxl-ip-adapter", 1), ("flux-kontext", 1), ("flux2-klein", 3), ("omnigen", 3), ("qwen-image-edit-plus", 3),
])  # fmt: skip
async def test_a_run_draws_finds_what_is_missing_and_draws_again(
    make: Make, library: ScriptedLibrary, family: str, sent: int
) -> None:
    generator = make(family)
    state = await run(generator, ScriptedJudge(["a blue star", "a red hat", "ink"], []), library)
    assert state["result"].outcome is Outcome.ALIGNED
    first, second = state["attempts"]
    assert (first.prompt, first.references) == (PROMPT, ())
    assert len(second.references) == sent
    assert first.image.sha256 != second.image.sha256
    assert (second.image.width, second.image.height) == (64, 64)
    assert "a detailed picture of a blue star" in second.prompt
    drawing = [call for call in state["calls"] if call.role == "generate"]
    assert [call.backend for call in drawing] == [generator.identity] * 2
    assert [call.cost_usd for call in drawing] == [0.0, 0.0]
    if family == "omnigen":
        assert "a detailed picture of ink: <img><|image_3|></img>" in second.prompt


async def test_references_first_spares_a_pipeline_that_needs_one_its_canvas(
    make: Make, library: ScriptedLibrary
) -> None:
    state = await run(make("qwen-image-edit-plus"), ScriptedJudge([]), library, start="retrieve")
    assert state["result"].outcome is Outcome.ALIGNED
    assert state["attempts"][0].references
    assert "canvas" not in state["calls"][0].usage


async def test_a_pipeline_without_references_ends_by_name(
    folder: Callable[[str], Path], library: ScriptedLibrary
) -> None:
    generator = DiffusersGenerator(str(folder("sdxl")), device="cpu", dtype="float32", steps=1)
    state = await run(generator, ScriptedJudge(["a blue star"]), library)
    assert state["result"].outcome is Outcome.NO_USABLE_REFERENCE
    assert "takes no reference images" in state["result"].reason
    assert len(state["attempts"]) == 1


async def test_weights_that_are_not_here_end_the_run_by_name(library: ScriptedLibrary) -> None:
    state = await run(DiffusersGenerator("flux-kontext", device="cpu"), ScriptedJudge(), library)
    assert state["result"].outcome is Outcome.FAILED
    assert "diffusers:FAMILY=/DIR" in state["result"].reason


@pytest.mark.parametrize("mode", ["fused", "stepwise"])
async def test_a_judge_that_talks_gibberish_is_unavailable_and_the_picture_is_kept(
    folder: Callable[[str], Path], library: ScriptedLibrary, mode: str
) -> None:
    spec = BackendSpec.parse(f"transformers:{folder('vlm')}?device=cpu&dtype=float32&max_new_tokens=24")
    state = await run(ScriptedGenerator(), transformers_judge(spec), library, judge_mode=mode)
    assert (state["result"].outcome, state["best"]) == (Outcome.JUDGE_UNAVAILABLE, 0)
    assert [call.role for call in state["calls"]] == ["generate", "judge.critique", "judge.critique"]
    assert all(call.error and call.raw_response for call in state["calls"][1:])
