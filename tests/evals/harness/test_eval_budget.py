"""What an evaluation counts: graders' calls, calls that got no answer, and those of processes that were killed."""

import asyncio
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from imagerag.agent.calls.journal import FailedCall
from imagerag.agent.calls.model_caller import ModelCaller
from imagerag.agent.calls.pending_calls import NO_ANSWER
from imagerag.agent.errors import BackendError, BudgetExceededError, RateLimitedError, UsageError
from imagerag.agent.types import ModelCall, RunConfig
from imagerag.evals import retries
from imagerag.evals.harness.arms import parse_arms
from imagerag.evals.harness.evaluation import EvalOptions, run_evaluation, score_evaluation
from imagerag.evals.harness.plan import Plan
from imagerag.evals.metrics.registry import MetricMaker
from imagerag.evals.metrics.vlm_scores import graded_id
from imagerag.evals.suites.case import Case, Suite
from imagerag.graphs.generation import RETRY
from imagerag.store.data_dir import DataDir
from imagerag.store.output_dir_lock import exclusive_writer, shared_writer
from imagerag.tools.testing.mock_openai import Fault, MockOpenAIServer, MockResponse
from tests.conftest import copied


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[MockOpenAIServer]:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    with MockOpenAIServer() as loopback:
        yield loopback
    assert loopback.errors == []


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def now(_: float) -> None:
        return None

    monkeypatch.setattr(retries.asyncio, "sleep", now)


def graded(server: MockOpenAIServer, cases: int = 4) -> Plan:
    suite = Suite(name="s", cases=tuple(Case(id=f"c{at}", prompt=f"a red circle {at}") for at in range(cases)))
    return Plan(
        suite=suite, arms=parse_arms("base"), setup={"generator": "sketch", "judge": "sketch"},
        metrics=(f"vqa:openai:m@{server.base_url}",),
    )  # fmt: skip


def yes() -> MockResponse:
    return MockResponse(text="Yes", odds={"Yes": 0.9, "No": 0.1})


def options(folder: Path, **given: Any) -> EvalOptions:
    return EvalOptions(users=DataDir(folder / "users"), concurrency=1, **given)


async def test_graders_calls_count(server: MockOpenAIServer, tmp_path: Path) -> None:
    server.enqueue("chat", *[yes() for _ in range(4)])
    report = await run_evaluation(tmp_path / "out", graded(server), options(tmp_path))
    assert report.calls == 8, "four drawings, four gradings"
    again = await run_evaluation(tmp_path / "out", graded(server), options(tmp_path))
    assert again.calls == 8, "and they still do when the evaluation is looked at again"
    assert server.count("chat") == 4


async def test_no_case_is_begun_once_grading_has_taken_the_rest(server: MockOpenAIServer, tmp_path: Path) -> None:
    server.enqueue("chat", *[yes() for _ in range(4)])
    report = await run_evaluation(tmp_path / "out", graded(server), options(tmp_path, max_calls=3))
    assert (report.done, report.calls) == (2, 4)
    assert "4 model calls were made, of 3 allowed" in report.stopped
    later = await run_evaluation(tmp_path / "out", graded(server), options(tmp_path))
    assert (later.whole, later.calls, server.count("chat")) == (True, 8, 4)


async def test_a_grader_whose_price_is_not_known_keeps_no_budget_in_money(
    server: MockOpenAIServer, tmp_path: Path
) -> None:
    server.enqueue("chat", *[yes() for _ in range(4)])
    report = await run_evaluation(tmp_path / "out", graded(server), options(tmp_path, max_cost_usd=1.0))
    assert (report.done, report.unknown_cost_calls) == (1, 1)
    assert "prices of 1 calls are not known" in report.stopped
    assumed = {"max_cost_usd": 0.05, "assume_cost_usd_per_call": 0.02}
    report = await run_evaluation(tmp_path / "out", graded(server), options(tmp_path, **assumed))
    assert report.done == 3
    assert report.cost_usd == pytest.approx(0.06)
    assert "were spent" in report.stopped


async def test_a_grading_that_failed_and_was_asked_again_is_two_calls(
    server: MockOpenAIServer, tmp_path: Path, at_once: None
) -> None:
    server.enqueue("chat", Fault("server_error"), yes())
    report = await run_evaluation(tmp_path / "out", graded(server, 1), options(tmp_path))
    assert report.calls == 3
    assert server.count("chat") == 2


async def test_scoring_anew_keeps_a_budget_and_goes_on_without_paying_twice(
    server: MockOpenAIServer, tmp_path: Path
) -> None:
    server.enqueue("chat", *[yes() for _ in range(4)])
    plan = graded(server).model_copy(update={"metrics": ("work",)})
    await run_evaluation(tmp_path / "out", plan, options(tmp_path))
    spec = [f"vqa:openai:m@{server.base_url}"]
    with pytest.raises(BudgetExceededError, match="pays nothing twice"):
        await score_evaluation(tmp_path / "out", tmp_path / "new", spec, options(tmp_path, max_calls=2))
    assert server.count("chat") == 2
    assert await score_evaluation(tmp_path / "out", tmp_path / "new", spec, options(tmp_path)) == 4
    assert server.count("chat") == 4


# -- calls without an answer ---------------------------------------------------------------------------------------


def lost(run_id: str, usd: float | None = 0.25, requests: int = 2) -> FailedCall:
    call = ModelCall(
        role="judge.critique", backend="b", elapsed_s=0, completed=False, unsettled=True, error=NO_ANSWER,
        max_cost_usd=usd,
        requests=requests, call_id=f"id-{run_id}",
    )  # fmt: skip
    return FailedCall(run_id=run_id, call=call, at="2026-01-01T00:00:00+00:00", task="")


async def _left_behind(fakes: Any, *found: FailedCall) -> None:
    dependencies = fakes.dependencies()
    async with dependencies.working():
        for one in found:
            await dependencies.held_journal.keep_lost(one)


async def test_what_a_killed_process_asked_counts_before_any_case_is_begun(fakes: Any) -> None:
    plan = fakes.plan(fakes.suite(2), arms="base,full")
    await _left_behind(fakes, lost("ev-of-no-case-any-more"))
    report, results = await fakes.run(plan, max_calls=2)
    assert (report.calls, results) == (2, [])
    assert "2 model calls were made, of 2 allowed" in report.stopped
    report, results = await fakes.run(plan, max_cost_usd=0.25)
    assert "were spent" in report.stopped


async def test_a_graders_call_that_was_killed_counts_too(fakes: Any) -> None:
    await _left_behind(fakes, lost(graded_id("ev-x")))
    report, _ = await fakes.run(fakes.plan(fakes.suite(2), arms="base"), max_calls=2)
    assert report.calls == 2


async def test_a_killed_call_is_counted_once_when_its_case_is_done(fakes: Any) -> None:
    plan = fakes.plan(fakes.suite(1), arms="base,full")
    _, whole = await fakes.run(plan, out="reference")
    run_id = next(result.run_id for result in whole if result.arm == "full")
    expected = (await fakes.run(plan, out="without"))[0].calls
    await _left_behind(fakes, lost(run_id))
    first, _ = await fakes.run(plan, out="with")
    again, _ = await fakes.run(plan, out="with")
    assert first.calls == again.calls == expected + 2
    assert first.cost_usd == pytest.approx(0.25)


async def test_a_lost_call_of_unknown_price_keeps_no_budget_in_money(fakes: Any) -> None:
    await _left_behind(fakes, lost("ev-x", usd=None))
    report, _ = await fakes.run(fakes.plan(fakes.suite(2), arms="base"), max_cost_usd=1.0)
    assert "prices of 1 calls are not known" in report.stopped
    report, _ = await fakes.run(fakes.plan(fakes.suite(2), arms="base"), max_cost_usd=1.0, assume_cost_usd_per_call=2.0)
    assert "were spent" in report.stopped


async def test_a_drawing_that_failed_on_the_way_is_counted(fakes: Any, at_once: None) -> None:
    fakes.generator.enqueue(BackendError("busy", retryable=True))
    report, results = await fakes.run(fakes.plan(fakes.suite(1), arms="base"))
    assert (report.calls, results[0].status) == (2, "kept_initial")


async def test_every_vote_of_a_judge_counts_and_is_assumed_to_cost(fakes: Any) -> None:
    plan = fakes.plan(fakes.suite(1), arms="full")
    _, (result,) = await fakes.run(plan)
    votes = tuple({**call, "requests": 3, "cost_usd": None} for call in result.calls)
    assert votes
    runner = fakes.harness(plan, out="votes", assume_cost_usd_per_call=0.5)
    runner.store.add([result.model_copy(update={"calls": votes})], [])
    report = await runner.run()
    assert result.initial_image.cost_usd is None
    requests = 3 * len(votes) + result.initial_image.calls
    assert (report.calls, report.assumed_usd) == (requests, pytest.approx(0.5 * requests))


# -- patience ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        BackendError("down", retryable=True),
        BackendError("down", retryable=False),
        RateLimitedError("busy"),
        RateLimitedError("busy", retry_after_s=3.0),
    ],
)
def test_arms_and_graders_are_as_patient_as_the_graph(error: BackendError) -> None:
    pauses = []
    while (pause := retries.pause_before(error, len(pauses) + 1)) is not None:
        pauses.append(pause)
    policy = next((one for one in RETRY if one.retry_on(error)), None)  # type: ignore[operator, arg-type]
    assert len(pauses) == (policy.max_attempts - 1 if policy else 0)
    if isinstance(error, RateLimitedError) and error.retry_after_s is None:
        assert math.fsum(pauses) > 60, "limits are counted by the minute"


async def test_a_limit_that_lifts_within_a_minute_breaks_no_drawing(fakes: Any, at_once: None) -> None:
    fakes.generator.enqueue(*[RateLimitedError("busy")] * 4)
    _, results = await fakes.run(fakes.plan(fakes.suite(1), arms="base"))
    assert results[0].status == "kept_initial"


# -- who writes a folder -------------------------------------------------------------------------------------------


def test_cases_share_a_folder_and_an_evaluation_has_it_alone(tmp_path: Path) -> None:
    folder = tmp_path / "evals"
    with (
        shared_writer(folder),
        shared_writer(folder),
        pytest.raises(UsageError, match="is being written by"),
        exclusive_writer(folder),
    ):
        pass
    with (
        exclusive_writer(folder),
        pytest.raises(UsageError, match="another folder"),
        shared_writer(folder, instead="another folder"),
    ):
        pass
    with exclusive_writer(folder):
        pass
    assert not (folder / ".lock").exists()


async def test_run_case_takes_the_folder_it_writes(sketch_home: Path, tmp_path: Path) -> None:
    from imagerag.evals.integrations.cases import run_case

    home = copied(sketch_home, tmp_path / "home")
    given: dict[str, Any] = {"arm": "base", "folder": tmp_path / "f", "home": home, "preset": "sketch"}
    with exclusive_writer(tmp_path / "f"), pytest.raises(UsageError, match="is being written by"):
        await run_case("a red circle", **given)
    one, two = await asyncio.gather(run_case("a red circle", **given), run_case("a blue square", **given))
    assert one.image != two.image


def test_graders_keep_their_books_by_run(tmp_path: Path, fakes: Any) -> None:
    maker = MetricMaker(fakes.dependencies())
    call = ModelCall(role="grade.vqa", backend="b", elapsed_s=0, cost_usd=0.5)
    books = ModelCaller(config=RunConfig(), journal=None, run_id="r", task="", before=[], round=0, failed={})
    books.made += [call, call.model_copy(update={"cached": True, "cost_usd": 0.0})]
    maker.graded.calls["r"] = [books]
    assert [(one["requests"], one["usd"]) for one in maker.graded.pop("r")] == [(1, 0.5), (0, 0.0)]
    assert maker.graded.pop("r") == []
