"""The arms `paper` and `rephrase` do what was published, no more: over HTTP, on the sketch world, and on fakes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagerag.agent.errors import BackendError, JudgeReplyError, RefusalError, UsageError
from imagerag.evals.harness.arms import parse_arms
from imagerag.evals.harness.evaluation import EvalOptions, replay_evaluation, run_evaluation
from imagerag.evals.harness.plan import Plan
from imagerag.evals.harness.results_store import RESULTS
from imagerag.evals.result_record import Result, read_results
from imagerag.evals.suites.case import Case, LibraryRecipe, Suite
from imagerag.evals.suites.sketch import sketch_suite
from imagerag.store.data_dir import DataDir
from imagerag.tools.judges.vlm.rephrasing import LONGEST, prompt_in
from imagerag.tools.sketch.rephrasing import rephrased
from imagerag.tools.sketch.text_parser import parse
from imagerag.tools.sketch.world import all_things, describe
from imagerag.tools.testing.fakes import ScriptedJudge, ScriptedLibrary
from imagerag.tools.testing.mock_openai import MockOpenAIServer, MockResponse, SketchResponder

ROLES = ["judge.critique", "judge.missing_concepts", "judge.captions", "generate"]
RARE = "a teal checkered crescent"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[MockOpenAIServer]:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    with MockOpenAIServer(SketchResponder()) as loopback:
        yield loopback
    assert loopback.errors == []


def plan_of(server: MockOpenAIServer, arms: str, *cases: Case) -> Plan:
    suite = Suite(name="http", cases=cases, libraries={"small": LibraryRecipe(kind="rare", size=12)})
    where = f"@{server.base_url}"
    setup = {"generator": f"openai:gpt-image-2{where}", "judge": f"openai:judge{where}", "library": "small"}
    return Plan(suite=suite, arms=parse_arms(arms), setup=setup, metrics=("work",))


async def run(folder: Path, plan: Plan) -> dict[str, Result]:
    report = await run_evaluation(folder / "out", plan, EvalOptions(users=DataDir(folder / "users"), concurrency=1))
    assert report.whole
    return {result.arm: result for result in read_results(folder / "out" / RESULTS)}


# -- as published --------------------------------------------------------------------------------------------------


async def test_the_papers_arm_makes_five_calls_over_http_all_at_temperature_0(
    server: MockOpenAIServer, tmp_path: Path
) -> None:
    found = (await run(tmp_path, plan_of(server, "paper", Case(id="c", prompt=RARE))))["paper"]
    asked = [request for request in server.requests if request.asks != "image"]
    drawn = [request for request in server.requests if request.asks == "image"]
    assert (len(asked), len(drawn)) == (3, 2), "decide, list, caption; draw and draw again"
    assert [request.body["temperature"] for request in asked] == [0.0, 0.0, 0.0]
    assert len(server.requests) == 5
    assert [call["role"] for call in found.calls] == ROLES
    assert found.scores["calls"] == 5.0
    assert len(drawn[0].images) == 0
    assert len(drawn[1].images) == 1
    assert (found.retrievals, found.regenerations, found.best_attempt) == (1, 1, 1)
    assert found.searches[0].threshold is None
    assert [search.query.by for search in found.searches] == ["caption"]
    assert found.attempts[1].verdict is None, "nobody looks at what was redrawn"
    assert found.image == found.attempts[1].image


async def test_the_papers_arm_is_replayed_without_a_call(server: MockOpenAIServer, tmp_path: Path) -> None:
    await run(tmp_path, plan_of(server, "base,paper,rephrase", Case(id="c", prompt=RARE)))
    made = len(server.requests)
    assert (await replay_evaluation(tmp_path / "out", EvalOptions(users=DataDir(tmp_path / "users")))).identical
    assert len(server.requests) == made


async def test_what_matches_at_once_is_not_searched_for(server: MockOpenAIServer, tmp_path: Path) -> None:
    found = (await run(tmp_path, plan_of(server, "paper", Case(id="c", prompt="a red solid circle"))))["paper"]
    assert [call["role"] for call in found.calls] == ["judge.critique"]
    assert (found.outcome, found.status) == ("aligned", "kept_initial")


async def test_a_list_that_names_nothing_is_asked_for_hotter_and_then_the_prompt_is_searched_with(
    server: MockOpenAIServer, tmp_path: Path
) -> None:
    # The picture, the decision, and three lists without a concept.
    server.enqueue("chat", MockResponse(text="No."), *[MockResponse(text="I am unable to name anything.")] * 3)
    found = (await run(tmp_path, plan_of(server, "paper", Case(id="c", prompt=RARE))))["paper"]
    heat = [request.body["temperature"] for request in server.requests if request.asks != "image"]
    assert heat == [0.0, 0.0, pytest.approx(1 / 3), pytest.approx(5 / 6)]
    assert [search.query.by for search in found.searches] == ["prompt"]
    assert found.regenerations == 1


async def test_the_papers_arm_on_the_sketch_world(tmp_path: Path) -> None:
    suite = sketch_suite(6).model_copy(update={"libraries": {"small": LibraryRecipe(kind="rare", size=60)}})
    setup = {"generator": "sketch", "judge": "sketch", "library": "small"}
    plan = Plan(suite=suite, arms=parse_arms("base,paper"), setup=setup, metrics=("text:independent", "work"))
    await run(tmp_path, plan)
    found = list(read_results(tmp_path / "out" / RESULTS))
    paper = [result for result in found if result.arm == "paper" and result.outcome != "aligned"]
    assert paper
    assert all([call["role"] for call in result.calls] == ROLES for result in paper)
    assert all(result.image == result.attempts[-1].image for result in paper)
    means = {arm: [r.scores["text:independent"] for r in found if r.arm == arm] for arm in ("base", "paper")}
    assert sum(map(float, means["paper"])) > sum(map(float, means["base"]))  # type: ignore[arg-type]


async def test_a_worse_redrawing_is_given_back_all_the_same(fakes: Any) -> None:
    fakes.judge = ScriptedJudge(lambda prompt, image: ["a thing 0"])  # it never agrees
    _, results = await fakes.run(fakes.plan(fakes.suite(1), arms="base,paper"))
    assert results[1].image == results[1].attempts[1].image
    assert (results[1].outcome, results[1].status) == ("best_effort", "answered")


async def test_an_empty_library_leaves_the_first_picture(fakes: Any) -> None:
    fakes.library = ScriptedLibrary()
    fakes.judge = ScriptedJudge(lambda prompt, image: ["a thing 0"])
    _, results = await fakes.run(fakes.plan(fakes.suite(1), arms="base,paper"))
    assert (results[1].status, results[1].image) == ("no_reference", results[0].image)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(RefusalError("no"), "refused"), (BackendError("down", retryable=False), "judge_unavailable")],
)
async def test_a_step_that_fails_ends_the_papers_arm_by_name(fakes: Any, error: Exception, outcome: str) -> None:
    fakes.judge = ScriptedJudge(lambda prompt, image: ["a thing 0"])
    fakes.judge.enqueue_missing(error)
    _, results = await fakes.run(fakes.plan(fakes.suite(1), arms="base,paper"))
    assert results[1].outcome == outcome


async def test_a_drawing_that_fails_is_a_failure_of_the_generator(fakes: Any) -> None:
    fakes.judge = ScriptedJudge(lambda prompt, image: ["a thing 0"])
    fakes.generator.enqueue(None, BackendError("down", retryable=False))
    _, results = await fakes.run(fakes.plan(fakes.suite(1), arms="base,paper"))
    assert (results[1].outcome, results[1].status) == ("failed", "technical")


async def test_only_as_many_concepts_are_captioned_as_the_generator_takes(fakes: Any) -> None:
    fakes.generator.max_references = 1
    fakes.judge = ScriptedJudge(lambda prompt, image: ["a thing 0", "a thing 1", "a thing 2"])
    _, results = await fakes.run(fakes.plan(fakes.suite(1), arms="base,paper"))
    asked = [call for call in fakes.judge.calls if call.method == "captions"]
    assert [len(call.arguments["concepts"]) for call in asked] == [1]
    assert len(results[1].attempts[1].references) == 1


@pytest.mark.parametrize("change", ["max_rounds=2", "judge_mode=fused", "retrieve_by=prompt", "start=retrieve"])
def test_what_the_paper_fixes_cannot_be_set(change: str) -> None:
    with pytest.raises(UsageError, match="leaves no choice of"):
        parse_arms(f"paper+{change}")
    assert parse_arms("paper+threshold=0.3+max_references=1")[0].config["threshold"] == 0.3


# -- in other words ------------------------------------------------------------------------------------------------


async def test_rephrasing_redraws_from_other_words_without_references_and_without_a_look(fakes: Any) -> None:
    _, results = await fakes.run(fakes.plan(fakes.suite(2), arms="base,rephrase"))
    for result in (result for result in results if result.arm == "rephrase"):
        assert [attempt.prompt for attempt in result.attempts] == [result.prompt, f"thing number {result.case[1:]}"]
        assert result.attempts[1].references == ()
        assert [call["role"] for call in result.calls] == ["generate"]
        assert result.image == result.attempts[1].image


async def test_without_other_words_the_judges_model_is_asked_for_them(fakes: Any) -> None:
    suite = Suite(name="s", cases=(Case(id="c0", prompt="a thing 0"),))
    _, results = await fakes.run(fakes.plan(suite, arms="base,rephrase"))
    assert [call["role"] for call in results[1].calls] == ["judge.rephrase", "generate"]
    assert results[1].attempts[1].prompt == "a thing 0, in plain words"


async def test_a_prompt_that_is_clear_stays_and_so_does_its_picture(fakes: Any) -> None:
    fakes.judge = ScriptedJudge(True)
    fakes.judge.enqueue_rephrased("A thing  0.")
    suite = Suite(name="s", cases=(Case(id="c0", prompt="a thing 0"),))
    _, results = await fakes.run(fakes.plan(suite, arms="base,rephrase"))
    assert (results[1].status, results[1].image) == ("kept_initial", results[0].image)
    assert "clear as it is" in results[1].reason


async def test_rephrasing_over_http_is_one_question_at_temperature_0_and_one_drawing(
    server: MockOpenAIServer, tmp_path: Path
) -> None:
    found = (await run(tmp_path, plan_of(server, "base,rephrase", Case(id="c", prompt=RARE))))["rephrase"]
    (asked,) = [request for request in server.requests if request.asks != "image"]
    assert asked.body["temperature"] == 0.0
    assert asked.images == ()
    assert '"a teal checkered crescent"' in asked.prompt
    assert found.attempts[1].prompt == "a teal checkerboard-patterned half moon"
    assert [request.images for request in server.requests if request.asks == "image"] == [(), ()]
    assert found.image == found.attempts[1].image


async def test_rephrasing_over_http_leaves_what_is_clear(server: MockOpenAIServer, tmp_path: Path) -> None:
    found = await run(tmp_path, plan_of(server, "base,rephrase", Case(id="c", prompt="a red solid circle")))
    assert found["rephrase"].status == "kept_initial"
    assert len(server.requests) == 2, "one drawing, one question"


async def test_rephrasing_on_the_sketch_world_describes_rare_words(tmp_path: Path) -> None:
    suite = Suite(name="s", cases=(Case(id="rare", prompt=RARE), Case(id="clear", prompt="a red solid circle")))
    plan = Plan(suite=suite, arms=parse_arms("base,rephrase"), setup={"generator": "sketch", "judge": "sketch"})
    await run(tmp_path, plan)
    found = {r.case: r for r in read_results(tmp_path / "out" / RESULTS) if r.arm == "rephrase"}
    assert found["rare"].attempts[1].prompt == "a teal checkerboard-patterned half moon"
    assert found["clear"].status == "kept_initial"


def test_a_reworded_sketch_prompt_asks_for_the_same_thing() -> None:
    for thing in all_things():
        (mention,) = parse(rephrased(describe(thing))).mentions
        assert (mention.shape, mention.colour, mention.pattern) == (thing.shape, thing.colour, thing.pattern)
        assert not mention.unknown


@pytest.mark.parametrize(
    ("said", "prompt"),
    [
        ('"a small bird with a black head"', "a small bird with a black head"),
        ("Rephrased prompt: a small bird", "a small bird"),
        ("```\na small bird\n```", "a small bird"),
        ("<think>An albatross is…</think>\na large\nwhite bird", "a large white bird"),
        ('a sign that says "Hi"', 'a sign that says "Hi"'),
        ('"Hi" on a sign that says "Ho"', '"Hi" on a sign that says "Ho"'),
        ("„ein kleiner Vogel”", "ein kleiner Vogel"),
    ],
)
def test_a_prompt_is_read_from_an_answer(said: str, prompt: str) -> None:
    assert prompt_in(said) == prompt


@pytest.mark.parametrize("said", ["", "  \n", '""', "<think>hm", "word " * LONGEST])
def test_an_answer_that_is_no_prompt_is_none(said: str) -> None:
    with pytest.raises(JudgeReplyError):
        prompt_in(said)


@given(st.text(max_size=200))
def test_whatever_a_model_says_there_is_a_prompt_or_an_error_that_says_why(said: str) -> None:
    try:
        found = prompt_in(said)
    except (JudgeReplyError, RefusalError):
        return
    assert found.strip() == found
    assert "\n" not in found
