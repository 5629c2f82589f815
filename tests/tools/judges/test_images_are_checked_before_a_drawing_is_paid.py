"""A judge that takes no image, or few, is known before a drawing is paid, and by its name."""

from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import openai
import pytest
from langgraph.checkpoint.memory import InMemorySaver

from imagerag.agent.judge_image_check import CHECK_IMAGES
from imagerag.agent.nodes import Nodes
from imagerag.agent.ports import Capabilities, PriceEstimator
from imagerag.agent.types import Outcome, RunConfig, RunSpec, Subject
from imagerag.diagnostics.doctor import Diagnosis, diagnose
from imagerag.graphs.configuration.settings import resolve
from imagerag.graphs.cost_estimate import estimate_setup
from imagerag.graphs.dependencies import Dependencies
from imagerag.graphs.generation import build_workflow
from imagerag.graphs.runs.runner import Runner
from imagerag.store.data_dir import DataDir
from imagerag.store.journal import open_journal
from imagerag.tools.fallback.judge import FallbackJudge
from imagerag.tools.generators.openai_images import OpenAIImages
from imagerag.tools.healthcheck import HealthStatus
from imagerag.tools.judges.vlm.image_limits import known_limit, takes_none
from imagerag.tools.judges.vlm.spec import vlm_judge
from imagerag.tools.pricing.price_table import Prices
from imagerag.tools.spec import BackendSpec
from imagerag.tools.testing.fakes import MemoryBlobs, ScriptedGenerator, ScriptedJudge
from imagerag.tools.testing.mock_openai import DefaultResponder, Fault, MockOpenAIServer, MockResponse, tiny_png
from imagerag.tools.testing.mock_openai.responses import Raw

YES = '{"checks": [{"number": 1, "requirement": "r", "kind": "content", "evidence": "", "met": true, "caption": ""}]}'
NO_IMAGES = [
    "At most 0 image(s) may be provided in one prompt.",
    "Invalid content type. image_url is only supported by certain models.",
    "loopback is not a multimodal model",
    "image input is not supported - hint: if this is unexpected, you may need to provide the mmproj",
    "this model is missing data required for image input",
    "No endpoints found that support image input",
    "Failed to deserialize the JSON body: messages[0]: unknown variant `image_url`, expected `text` at line 1",
    "messages[1].content must be a string",
    "Model does not support images. Please use a model that does.",
    "This model does not support image inputs",
    "The model deepseek-v9 can't process images",
    "Image inputs are not supported by this model",
    "Vision is not enabled for this model.",
]
ABOUT_THEIR_FORM = [
    "Image format image/tiff is not supported",
    "The image is too large: at most 20 MB",
    "image_url.detail is not supported",
    "image size 8x8 is not supported: at least 28 pixels",
    "At most 1 image(s) may be provided in one request.",
    "This model does not support image URLs, send base64",
    "response_format is not supported",
    "You uploaded an unsupported image. Please make sure your image has one of the formats png, jpeg",
]


BLOBS, PRICES = MemoryBlobs(), Prices.load()


def judge_at(server: MockOpenAIServer, options: str = "") -> Any:
    return vlm_judge(BackendSpec.parse(f"openai:judge{options}@{server.base_url}"))


async def state_of(generator: Any, judge: Any, given: Any, journal: Any = None, **config: Any) -> dict[str, Any]:
    nodes = Nodes(generator=generator, judge=judge, library=None, blobs=BLOBS, journal=journal)
    graph, thread_config = build_workflow(nodes).compile(InMemorySaver()), {"configurable": {"thread_id": uuid4().hex}}
    await graph.ainvoke(given, thread_config, context=RunConfig(**config))  # type: ignore[call-overload]
    values: dict[str, Any] = (await graph.aget_state(thread_config)).values  # type: ignore[arg-type]
    return values


async def run(
    server: MockOpenAIServer, judge: Any = None, journal: Any = None, subjects: int = 0, **config: Any
) -> Any:
    generator = OpenAIImages("gpt-image-2", base_url=server.base_url, price=PRICES.of("gpt-image-2", "127.0.0.1"))
    own = [Subject(image=await BLOBS.put(tiny_png(f"own {n}"))) for n in range(subjects)]
    given = {"prompt": "a cat", "subjects": own}
    # YES has one point: a judge is asked again for a likeness that it left out.
    return await state_of(generator, judge or judge_at(server), given, journal, **{"likeness": "never", **config})


def drawings(server: MockOpenAIServer) -> int:
    return server.count("images.generate") + server.count("images.edit")


@pytest.mark.parametrize("words", NO_IMAGES)
async def test_a_judge_that_takes_no_image_ends_the_run_before_anything_is_paid(words: str) -> None:
    with MockOpenAIServer() as server:
        server.enqueue("chat", Raw(400, {"error": {"message": words}}))
        state = await run(server)
        assert drawings(server) == 0
        assert server.count("chat") == 1
    assert state["result"].outcome is Outcome.JUDGE_UNAVAILABLE
    assert state["result"].error == "NoImagesError"
    assert words[:30] in state["result"].reason
    assert "`judge=SPEC`" in state["result"].reason
    assert not state["attempts"]


def refused(words: str, status: int = 400) -> openai.APIStatusError:
    answer = httpx2.Response(status, request=httpx2.Request("POST", "http://127.0.0.1/v1/chat/completions"))
    return openai.APIStatusError(words, response=answer, body={"message": words})  # type: ignore[arg-type]


@pytest.mark.parametrize("words", ABOUT_THEIR_FORM)
def test_words_about_the_form_of_an_image_do_not_mean_none(words: str) -> None:
    assert not takes_none(refused(words))


def test_a_server_that_is_down_says_nothing_of_images() -> None:
    assert not takes_none(refused("images are not supported", status=503))
    assert not takes_none(ValueError("images are not supported"))


async def test_a_limit_is_known_before_the_drawing_is_paid() -> None:
    with MockOpenAIServer(DefaultResponder(text=YES), max_images=1) as server:
        state = await run(server, subjects=2)
        order = [request.endpoint for request in server.requests]
        # Three pictures are too many, one sheet is not; after the drawing none is turned down any more.
        assert order == ["chat", "chat", "images.edit", "chat"]
        assert len(server.of("chat")[-1].images) == 1
    assert state["result"].outcome is Outcome.ALIGNED
    assert [call.role for call in state["calls"]] == [CHECK_IMAGES, "generate", "judge.critique"]


async def test_what_was_found_is_kept_and_not_asked_again(tmp_path: Path) -> None:
    with MockOpenAIServer(DefaultResponder(text=YES), max_images=1) as server:
        judge = judge_at(server)
        for _ in range(2):
            await run(server, judge)
        assert server.count("chat") == 3  # one check, two verdicts
        async with open_journal(tmp_path / "store.sqlite") as journal:
            await run(server, judge_at(server), journal, subjects=1)
            before = server.count("chat")
            state = await run(server, judge_at(server), journal, subjects=1)  # as another process would
        assert server.count("chat") == before + 1
        assert [call.role for call in state["calls"]] == ["generate", "judge.critique"]


async def test_what_failed_is_asked_again(tmp_path: Path) -> None:
    with MockOpenAIServer(DefaultResponder(text=YES)) as server:
        server.enqueue("chat", Raw(400, {"error": {"message": NO_IMAGES[0]}}))
        async with open_journal(tmp_path / "store.sqlite") as journal:
            assert (await run(server, None, journal))["result"].outcome is Outcome.JUDGE_UNAVAILABLE
            assert (await run(server, None, journal))["result"].outcome is Outcome.ALIGNED


async def test_a_wrong_key_of_the_judge_costs_no_drawing() -> None:
    with MockOpenAIServer() as server:
        server.enqueue("chat", Raw(401, {"error": {"message": "Incorrect API key provided"}}))
        state = await run(server)
        assert drawings(server) == 0
    assert state["result"].outcome is Outcome.JUDGE_UNAVAILABLE
    assert state["result"].error == "AuthError"


async def test_a_judge_that_is_busy_is_asked_again_before_the_drawing() -> None:
    with MockOpenAIServer(DefaultResponder(text=YES)) as server:
        server.enqueue("chat", Fault("rate_limit", retry_after_s=0.01))
        state = await run(server)
        assert [request.endpoint for request in server.requests] == ["chat", "chat", "images.generate", "chat"]
    assert state["result"].outcome is Outcome.ALIGNED


@pytest.mark.parametrize("reply", [MockResponse(text=""), Fault("refusal"), MockResponse(text="A cat.")])
async def test_whatever_it_says_of_the_test_picture_it_has_looked(reply: Any) -> None:
    with MockOpenAIServer(DefaultResponder(text=YES)) as server:
        server.enqueue("chat", reply)
        assert (await run(server))["result"].outcome is Outcome.ALIGNED


@pytest.mark.parametrize(
    ("options", "config"), [("?max_images=1", {}), ("", {"max_calls": 2})], ids=["said", "no room in the budget"]
)
async def test_it_is_not_asked_where_that_is_known_or_leaves_no_call_for_the_verdict(
    options: str, config: dict[str, Any]
) -> None:
    with MockOpenAIServer(DefaultResponder(text=YES)) as server:
        state = await run(server, judge_at(server, options), **config)
    assert [call.role for call in state["calls"]] == ["generate", "judge.critique"]
    assert state["result"].outcome is Outcome.ALIGNED


async def test_it_counts_as_a_call_and_fits_the_budget() -> None:
    with MockOpenAIServer(DefaultResponder(text=YES)) as server:
        state = await run(server, max_calls=3)
        assert sum(call.requests for call in state["calls"]) == 3
        tight = await run(server, max_cost_usd=0.01)
        assert drawings(server) == 1
    assert tight["result"].outcome is Outcome.BUDGET_EXHAUSTED


async def test_where_drawing_costs_nothing_nobody_is_asked() -> None:
    with MockOpenAIServer(DefaultResponder(text=YES)) as server:
        for tariff in (None, PriceEstimator(known=True, most=lambda prompt, images, size: 0.0)):
            generator = ScriptedGenerator()
            if tariff is not None:
                generator.capabilities = Capabilities(tariff=tariff)
            state = await state_of(generator, judge_at(server), {"prompt": "a cat"})
            assert [call.role for call in state["calls"]] == ["generate", "judge.critique"]


async def test_of_a_fallback_the_next_is_asked_where_the_first_takes_none() -> None:
    with MockOpenAIServer() as blind, MockOpenAIServer(DefaultResponder(text=YES)) as seeing:
        blind.enqueue("chat", *[Raw(400, {"error": {"message": NO_IMAGES[0]}})] * 2)
        state = await run(seeing, FallbackJudge([judge_at(blind), judge_at(seeing)]))
    assert state["result"].outcome is Outcome.ALIGNED
    assert state["calls"][0].role == CHECK_IMAGES
    assert "NoImagesError" in state["calls"][0].note
    assert not FallbackJudge([ScriptedJudge()]).image_check_needed(1)


@pytest.mark.parametrize(
    ("host", "model", "limit"),
    [
        ("api.openai.com", "gpt-5.5", 500),
        ("api.openai.com", "gpt-4o-2024-08-06", 500),
        ("api.openai.com", "o3-mini", 0),
        ("api.openai.com", "gpt-3.5-turbo", 0),
        ("api.openai.com", "gpt-99", None),
        ("proxy.example", "gpt-3.5-turbo", None),
        ("proxy.example", "openai/gpt-5.5", 500),
        ("api.groq.com", "meta-llama/llama-4-scout-17b-16e-instruct", 5),
        ("127.0.0.1", "llama3.2-vision:11b", 1),
        ("127.0.0.1", "qwen3-vl", None),
    ],
)
def test_what_is_known_of_models(host: str, model: str, limit: int | None) -> None:
    assert known_limit(host, model) == limit


async def test_a_model_of_openais_that_takes_no_images_is_not_even_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with MockOpenAIServer() as server:
        state = await run(server, vlm_judge(BackendSpec.parse("openai:o3-mini")))
        assert server.count() == 0
    assert state["result"].outcome is Outcome.JUDGE_UNAVAILABLE
    assert "openai:o3-mini takes no images" in state["result"].reason
    assert [call.requests for call in state["calls"]] == [0]


async def test_an_estimate_counts_the_question_until_it_was_asked(tmp_path: Path) -> None:
    dependencies = Dependencies(DataDir(tmp_path))
    with MockOpenAIServer(DefaultResponder(text=YES)) as server:
        drawn_with, judge = f"openai:gpt-image-2@{server.base_url}", f"openai:judge@{server.base_url}"
        setup = RunSpec(generator=drawn_with, judge=judge, library=None, config=RunConfig())

        async def roles(**config: Any) -> dict[str, int]:
            found = await estimate_setup(
                dependencies, setup.model_copy(update={"config": RunConfig(**config)}), prompt="a cat"
            )
            return {role.role: role.expected_calls for role in found.roles}

        assert (await roles())[CHECK_IMAGES] == 1
        assert CHECK_IMAGES not in await roles(max_calls=2)
        assert CHECK_IMAGES not in await roles(cache="replay")
        async for event in Runner(dependencies=dependencies).start("a cat", setup):
            record = event.record
        assert record is not None
        assert record.calls == {CHECK_IMAGES: 1, "generate": 1, "judge.critique": 1}
        dependencies = Dependencies(DataDir(tmp_path))  # as another process would
        assert CHECK_IMAGES not in await roles()
        (state,) = [one for one in (await diagnosed(dependencies, judge)).backends if one.role == "judge"]
        assert state.takes_images is True


@pytest.mark.parametrize(("spec", "takes"), [("openai:o3-mini", False), ("openai:gpt-5.5", True), ("sketch", True)])
async def test_the_doctor_says_whether_a_judge_takes_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: str, takes: bool
) -> None:
    monkeypatch.setattr("imagerag.diagnostics.doctor.check_health", reachable)
    found = await diagnosed(Dependencies(DataDir(tmp_path)), spec)
    (state,) = [one for one in found.backends if one.role == "judge"]
    assert state.takes_images is takes
    assert any("takes no images" in problem for problem in found.problems) is not takes


async def test_the_doctor_says_what_it_does_not_know(tmp_path: Path) -> None:
    with MockOpenAIServer() as server:
        found = await diagnosed(Dependencies(DataDir(tmp_path)), f"openai:judge@{server.base_url}")
        assert server.count("chat") == 0
    (state,) = [one for one in found.backends if one.role == "judge"]
    assert state.takes_images is None


async def reachable(spec: BackendSpec, role: str, **_: Any) -> HealthStatus:
    return HealthStatus(identity=str(spec), reachable=True)


async def diagnosed(dependencies: Dependencies, judge: str) -> Diagnosis:
    return await diagnose(resolve(judge=judge), dependencies)
