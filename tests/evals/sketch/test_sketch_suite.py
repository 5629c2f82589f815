"""The sketch suite: its cases are sound, its figures are a recount of them, and what breaks is counted apart."""

import asyncio
import json
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagerag.agent.calls.error_calls import attach_calls
from imagerag.agent.calls.journal import FailedCall
from imagerag.agent.calls.pending_calls import NO_ANSWER
from imagerag.agent.errors import BackendError, JudgeReplyError, UsageError
from imagerag.agent.ports import Critique
from imagerag.agent.run_record import RunRecord
from imagerag.agent.types import (
    Attempt,
    Concept,
    ImageRef,
    ModelCall,
    Outcome,
    Requirement,
    RunSpec,
    UsedReference,
    Verdict,
)
from imagerag.agent.types import RequirementCheck as JudgeCheck
from imagerag.evals.check_record import Check, CheckSummary
from imagerag.evals.dependencies import EvalDependencies
from imagerag.evals.harness.arms import parse_arms
from imagerag.evals.harness.checks import every_tenth
from imagerag.evals.harness.evaluation import EvalOptions, run_evaluation
from imagerag.evals.harness.plan import Plan
from imagerag.evals.harness.runner import EvalReport, EvalRunner
from imagerag.evals.judges.generated_questions import KINDS, Question, questions
from imagerag.evals.sketch.context import CheckContext
from imagerag.evals.sketch.judge import check_judge, judge_answer
from imagerag.evals.sketch.loop import Prompt, World, generator_knows, prompts, run, score_run
from imagerag.evals.sketch.sections import SECTIONS, TARGETS
from imagerag.evals.sketch.threshold import KINDS as KINDS_OF_LIBRARY
from imagerag.evals.sketch.threshold import Query, metrics, queries, scenes
from imagerag.evals.suites.case import Checks
from imagerag.evals.suites.sketch import sketch_suite
from imagerag.evals.synthetic_images import (
    SyntheticImage,
    caption_text,
    chance,
    hard_negative,
    swapped,
    things_in_text,
    vectors,
)
from imagerag.store.data_dir import DataDir
from imagerag.store.journal import open_journal
from imagerag.store.library.library import Library
from imagerag.tools.sketch.world import Scene, Thing, random_scene, random_thing
from tests.conftest import made_once
from tests.evals.conftest import drawn_once

STAR = Thing("bolt", "red", "ringed")
CIRCLE = Thing("circle", "blue", "solid")
SCENE = random_scene(Random(1), (STAR, CIRCLE))


Told = list[tuple[int, int, str]]


async def evaluated(folder: Path, *, budget: Mapping[str, Any] = {}, seed: int = 3, **suite: Any) -> EvalReport:
    """Run some sections as any evaluation is run."""
    made = sketch_suite(seed=seed, **{"sections": tuple(SECTIONS), **suite})
    plan = Plan(suite=made, arms=parse_arms("base"), setup=RunSpec(generator="sketch", judge="sketch"))
    return await run_evaluation(folder, plan, EvalOptions(users=DataDir(folder / "users"), **budget))


async def measured(
    folder: Path, told: Told | None = None, *, seed: int = 3, **suite: Any
) -> tuple[CheckSummary, list[Check]]:
    """The figures and the cases of some sections."""
    steps: Told = [] if told is None else told
    report = await evaluated(folder, budget={"progress": lambda *step: steps.append(step)}, seed=seed, **suite)
    assert report.whole
    return kept(folder)


def kept(folder: Path) -> tuple[CheckSummary, list[Check]]:
    """The figures and the cases in a folder."""
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["schema"] == "imagerag.eval/1"
    lines = (folder / "checks.jsonl").read_text().splitlines()
    return CheckSummary.model_validate(summary["checks"]), [Check.model_validate_json(line) for line in lines]


WHOLE: Mapping[str, Any] = {"cases": 2, "sizes": (12,)}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an evaluation of every section, in which `told.json` has what was told of it: read, or copy it."""

    def make(folder: Path) -> None:
        told: Told = []
        asyncio.run(measured(folder, told, **WHOLE))
        (folder / "told.json").write_text(json.dumps(told))

    return made_once(tmp_path_factory, "sketch-suite", make)


async def test_the_whole_suite_is_a_recount_of_its_cases_and_the_same_twice(tmp_path: Path, whole: Path) -> None:
    told = json.loads((whole / "told.json").read_text())
    first, cases = kept(whole)
    again, same = await measured(tmp_path / "b", **WHOLE)
    assert CheckSummary.model_validate(first.model_dump(mode="json")) == first
    assert cases == same
    assert first.metrics == again.metrics
    assert (whole / "summary.json").read_bytes() == (tmp_path / "b" / "summary.json").read_bytes()
    assert recount(first, cases) == {name: (m.value, m.n, m.failed) for name, m in first.metrics.items()}
    assert [case.id for case in cases if case.error] == [failure.case for failure in first.failures] == []
    assert len({case.id for case in cases}) == len(cases) == first.cases
    assert {section for _, _, section in told} == set(SECTIONS)
    assert all(done == total for name in SECTIONS for done, total, _ in [max(step for step in told if step[2] == name)])
    timings = [json.loads(line) for line in (whole / "checks-timings.jsonl").read_text().splitlines()]
    assert {one["section"] for one in timings} == set(SECTIONS)


def recount(made: CheckSummary, cases: list[Check]) -> dict[str, tuple[float, int, int]]:
    found = {}
    for name in made.metrics:
        results = [case.results[name] for case in cases if name in case.results]
        found[name] = (results.count(True) / len(results), len(results), results.count(None))
    return found


async def test_what_was_checked_before_a_kill_is_not_checked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, whole = await measured(tmp_path / "a", cases=1, sections=("judge", "loop"))
    asked = Counter[str]()

    async def counted(*given: Any) -> Check:
        asked["judge"] += 1
        if asked["judge"] == 4:
            raise KeyboardInterrupt
        return await judge_answer(*given)

    monkeypatch.setattr("imagerag.evals.sketch.judge.judge_answer", counted)
    with pytest.raises(KeyboardInterrupt):
        await measured(tmp_path / "b", cases=1, sections=("judge", "loop"))
    with (tmp_path / "b" / "checks.jsonl").open("a") as torn:
        torn.write('{"id": "judge/type')
    again, cases = await measured(tmp_path / "b", cases=1, sections=("judge", "loop"))
    assert asked["judge"] == 4 + len(KINDS) - 3
    assert (again, cases) == (wanted, whole)


async def test_a_rerun_does_no_costly_work_again(tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    wanted = kept(tmp_path)
    timings = (tmp_path / "checks-timings.jsonl").read_bytes()

    def costly(*_: Any, **__: Any) -> Any:
        raise AssertionError("every case has been checked")

    for name in ("fill", "vectors"):
        for module in ("loop", "retrieval", "threshold"):
            monkeypatch.setattr(f"imagerag.evals.sketch.{module}.{name}", costly, raising=False)
    monkeypatch.setattr(SyntheticImage, "of", costly)
    steps: Told = []
    assert await measured(tmp_path, steps, **WHOLE) == wanted
    assert (tmp_path / "checks-timings.jsonl").read_bytes() == timings
    assert all((name, True) in {(s, done == total) for done, total, s in steps} for name in SECTIONS)


async def test_the_times_of_a_section_that_was_stopped_and_resumed_add_up(tmp_path: Path) -> None:
    for limit in (3, 10, None):
        await evaluated(tmp_path, cases=2, sections=("judge",), budget={"max_calls": limit})
    times = [json.loads(line) for line in (tmp_path / "checks-timings.jsonl").read_text().splitlines()]
    assert sum(one["checks"] for one in times) == 2 * len(KINDS)
    assert len(times) == 3


@given(st.lists(st.integers(1, 70), min_size=1, max_size=60))
def test_progress_is_reported_in_every_tenth_whatever_the_size_of_the_steps(sizes: list[int]) -> None:
    total, done = sum(sizes), 0
    steps: Told = []
    progress = every_tenth(lambda *step: steps.append(step))
    reached = {0}
    for section in ("one", "two"):
        done = 0
        progress(0, total, section)
        for size in sizes:
            done += size
            progress(done, total, section)
            reached.add(10 * done // total)
        own = [at for at, _, name in steps if name == section]
        assert {10 * at // total for at in own} == reached
        assert len(own) == len(reached) <= 11
        assert (own[0], own[-1]) == (0, total)


async def test_the_calls_of_the_loop_count_for_the_budget(tmp_path: Path) -> None:
    suite: dict[str, Any] = {"cases": 2, "sections": ("loop",)}
    whole = await evaluated(tmp_path / "whole", **suite)
    lines = (tmp_path / "whole" / "checks.jsonl").read_text().splitlines()
    calls = [Check.model_validate_json(line).calls for line in lines]
    assert min(calls) >= 2, "every run draws and judges"
    assert whole.calls == sum(calls)
    stopped = await evaluated(tmp_path / "out", **suite, budget={"max_calls": 3})
    assert "model calls were made, of 3 allowed" in stopped.stopped
    checked = len((tmp_path / "out" / "checks.jsonl").read_text().splitlines())
    assert 1 <= checked < len(calls)
    resumed = await evaluated(tmp_path / "out", **suite)
    assert (resumed.whole, resumed.calls) == (True, whole.calls)
    assert (tmp_path / "out" / "summary.json").read_bytes() == (tmp_path / "whole" / "summary.json").read_bytes()


async def test_a_call_of_a_killed_check_is_counted_once(tmp_path: Path) -> None:
    suite: dict[str, Any] = {"cases": 1, "sections": ("loop",)}
    expected = (await evaluated(tmp_path / "whole", **suite)).calls
    call = ModelCall(
        role="judge.critique", backend="b", elapsed_s=0, completed=False, unsettled=True, error=NO_ANSWER,
        max_cost_usd=0.25, requests=2, call_id="lost",
    )  # fmt: skip
    found = FailedCall(run_id="check-loop-held-0000", call=call, at="2026-01-01T00:00:00+00:00", task="")
    async with open_journal(DataDir(tmp_path / "out" / "home").store) as journal:
        await journal.keep_lost(found)
    for _ in range(2):
        report = await evaluated(tmp_path / "out", **suite)
        assert (report.calls, report.cost_usd) == (expected + 2, pytest.approx(0.25))


async def test_a_run_that_raises_keeps_the_calls_it_made() -> None:
    class Broken:
        async def start(self, prompt: str, setup: RunSpec, *, run_id: str) -> AsyncIterator[Any]:
            calls = [ModelCall(role="generate", backend="b", elapsed_s=0, cost_usd=0.25, requests=2)]
            raise attach_calls(calls, BackendError("down", retryable=False))
            yield

    context: Any = SimpleNamespace(
        setup=RunSpec(generator="g", judge="j"), dependencies=SimpleNamespace(runner=Broken())
    )
    case = await run(context, "loop/held/0000", Prompt("held", (STAR,)), {})
    assert (case.error, case.calls, case.cost_usd) == ("BackendError", 2, 0.25)
    assert set(case.results.values()) == {None}


def test_a_check_of_unknown_cost_counts_every_request_as_one() -> None:
    check = Check(id="loop/held/0000", prompt="p", results={}, calls=3, cost_usd=None)
    runner: Any = EvalRunner(plan=None, dependencies=None, metrics=[], store=None)  # type: ignore[arg-type]
    runner.add_check(check)
    assert (runner.report.calls, runner.report.unknown_cost_calls, runner.report.cost_usd) == (3, 3, 0.0)
    runner = EvalRunner(plan=None, dependencies=None, metrics=[], store=None, assume_cost_usd_per_call=0.5)  # type: ignore[arg-type]
    runner.add_check(check)
    report = runner.report
    assert (report.calls, report.unknown_cost_calls, report.cost_usd, report.assumed_usd) == (3, 0, 1.5, 1.5)


async def test_other_seeds_give_other_cases_and_sections_can_be_chosen(tmp_path: Path) -> None:
    (_, one), (_, other) = [
        await measured(tmp_path / str(seed), cases=1, seed=seed, sections=["retrieval"]) for seed in (0, 1)
    ]
    assert {case.id.split("/")[0] for case in one} == {"retrieval"}
    assert [case.prompt for case in one] != [case.prompt for case in other]


@pytest.mark.parametrize("wrong", [{"sections": ["nothing"]}, {"cases": 0}, {"sizes": (0,)}])
def test_wrong_use_is_said(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        sketch_suite(**{"cases": 1, "sections": ("judge",), **wrong})


def test_every_target_belongs_to_a_metric_of_a_part() -> None:
    assert {name.split(".")[0] for name in TARGETS} == set(SECTIONS)


# -- the cases -----------------------------------------------------------------------------------------------------


def test_questions_are_what_they_say() -> None:
    for name, question in questions(seed=5, cases=30):
        kind, there = name.split("/")[1], set(question.scene.things)
        asked = set(things_in_text(question.prompt))
        on = f"on a {question.scene.background} background"
        if kind == "background":
            assert question.aligned == (on in question.prompt)
        elif kind != "free_words":
            assert None not in asked
            assert question.aligned == (asked <= there)
        if question.missing is not None:
            assert question.missing == asked - there
        if kind == "hard_negative":
            (wanted,) = asked
            assert wanted
            assert any(
                sum(getattr(wanted, w) != getattr(t, w) for w in ("shape", "colour", "pattern")) == 1 for t in there
            )


def test_prompts_of_the_loop_are_what_they_say() -> None:
    world = World.of(seed=2, cases=40)
    assert not set(world.held) & set(world.absent)
    assert not any(map(generator_knows, (*world.held, *world.absent)))
    assert all(map(generator_knows, (*world.known, *world.extra)))
    for prompt in prompts(2, 40, world):
        unknown = {thing for thing in prompt.things if not generator_knows(thing)}
        assert unknown <= set(world.held if prompt.kind == "held" else world.absent)
        assert bool(unknown) == (prompt.kind != "known")
        assert set(things_in_text(prompt.text.split(" on a")[0])) == set(prompt.things)


def test_queries_of_the_threshold_are_what_they_say() -> None:
    drawn = scenes(0, 60, 0)["threshold.mixed"]
    asked = queries(Random(0), drawn, 40)
    for query in asked:
        assert query.present == any(query.shown_by(scene) for scene in drawn)
    assert {query.kind for query in asked} == {"alone", "among", "whole", "near", "held_out", "near_list"}
    lists = [query for query in asked if query.kind == "near_list"]
    assert len(lists) == 20
    assert all(len(query.things) > 1 for query in lists)
    assert metrics("threshold.regions.50", lists[0]) == ("threshold.regions.50.rejects.near_list",)
    assert sum(not query.present for query in asked) == 40 + len(lists)
    assert sum(query.kind == "near" for query in asked) == 20


def test_both_kinds_of_library_are_of_one_size_and_share_their_images_of_one_thing() -> None:
    for size in (1, 2, 7, 50):
        alone, mixed = scenes(0, size, 0).values()
        assert len(alone) == len(mixed) == size
        assert {len(scene.things) for scene in alone} == {1}
        assert {scene for scene in mixed if len(scene.things) == 1} <= set(alone)
    assert [sum(len(scene.things) == count for scene in mixed) for count in (1, 2, 3)] == [30, 15, 5]


def test_only_what_is_asked_of_images_of_one_thing_has_a_target() -> None:
    for query in (Query((STAR,), "alone"), Query((STAR,), "near")):
        assert metrics("threshold.50", query)[0] in TARGETS
        assert not set(metrics("threshold.mixed.50", query)) & set(TARGETS)


def test_both_kinds_are_reported(whole: Path) -> None:
    made, _ = kept(whole)
    figures = {f"{kind}.12.{figure}" for kind in KINDS_OF_LIBRARY for figure in ("accepts", "rejects")}
    assert figures <= set(made.metrics)
    assert made.metrics["threshold.12.accepts"].n == made.metrics["threshold.12.accepts.alone"].n


async def test_a_library_that_cannot_be_filled_fails_its_cases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def down(self: Library) -> None:
        raise BackendError("down", retryable=True)

    monkeypatch.setattr(Library, "calibrate", down)
    made, cases = await measured(tmp_path, cases=2, sections=["threshold"], sizes=(12,))
    assert {case.error for case in cases} == {"BackendError"}
    assert all(metric.failed == metric.n for metric in made.metrics.values())


def test_chance_is_its_own_for_every_purpose_and_never_that_of_training() -> None:
    draws = [chance(0, "a").random(), chance(0, "b").random(), chance(1, "a").random()]
    draws += [Random(seed).random() for seed in (0, 1, 100_000)]
    assert len(set(draws)) == len(draws)
    assert chance(7, "a", 1).random() == chance(7, "a", 1).random()


def test_words_and_things() -> None:
    assert caption_text([STAR, CIRCLE], "grid") == "a red ringed bolt and a blue solid circle on a grid background"
    assert things_in_text(caption_text([STAR, CIRCLE])) == (STAR, CIRCLE)
    assert things_in_text("a red bolt") == (None,)
    rng = Random(0)
    for _ in range(50):
        thing = random_thing(rng)
        assert hard_negative(rng, thing) != thing
        (a, b), (c, d) = swapped(rng, "colour")
        assert (c.colour, d.colour, c.shape, d.pattern) == (b.colour, a.colour, a.shape, b.pattern)


# -- what breaks ---------------------------------------------------------------------------------------------------


async def test_one_bad_item_does_not_take_its_batch_with_it() -> None:
    async def embed(items: Sequence[int]) -> Any:
        if 3 in items:
            raise BackendError("three", retryable=False)
        return items

    found = await vectors(embed, range(6), lambda _: None)
    assert [item for item in found if not isinstance(item, Exception)] == [0, 1, 2, 4, 5]
    assert isinstance(found[3], BackendError)


class OracleJudge:
    """Gives the verdicts it was told to give, one after the other."""

    honours: frozenset[str] = frozenset()

    def __init__(self, verdicts: Sequence[Verdict | Exception]) -> None:
        self.verdicts = list(verdicts)

    async def critique(self, prompt: str, image: Any, **_: Any) -> Critique:
        verdict = self.verdicts.pop(0)
        if isinstance(verdict, Exception):
            raise verdict
        return Critique(verdict=verdict)


def verdict(*missing: str, aligned: bool | None = False) -> Verdict:
    checks = tuple(JudgeCheck(requirement=Requirement(text=text), met=False) for text in missing)
    concepts = tuple(Concept(text=text) for text in missing)
    return Verdict(
        status="judged" if aligned is not None else "abstained", aligned=aligned, checks=checks, missing=concepts
    )


async def test_verdicts_are_scored_by_what_is_there() -> None:
    question = Question(
        SCENE, "a red ringed bolt and a pink solid drop", False, frozenset({Thing("drop", "pink", "solid")})
    )
    judge: Any = OracleJudge([
        verdict("a pink solid drop"), verdict("a red ringed bolt", "a pink solid drop"), verdict(aligned=True),
        verdict(aligned=None), BackendError("down", retryable=True),
    ])  # fmt: skip
    cases = [await judge_answer(judge, f"judge/type_2/{at:04}", question) for at in range(5)]
    assert [tuple(case.results.values()) for case in cases] == [
        (True, True), (True, False), (False, False), (None, None), (None, None),
    ]  # fmt: skip
    assert [case.error for case in cases] == ["", "", "", "abstained", "BackendError"]
    assert [(case.calls, case.cost_usd) for case in cases] == [(1, None)] * 4 + [(1, 0.0)]
    unread: Any = OracleJudge([JudgeReplyError("no JSON in it")])
    case = await judge_answer(unread, "judge/type_2/0000", question)
    assert (case.error, case.calls, case.cost_usd) == ("JudgeReplyError", 1, None), (
        "it was answered, for whatever price"
    )


async def test_a_judge_that_is_down_fails_every_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checks = Checks(sections=("judge",), cases=2, sizes=(10,))
    context = CheckContext(EvalDependencies(DataDir(tmp_path)), checks, RunSpec(generator="sketch", judge="sketch"))
    down: Any = OracleJudge([BackendError("down", retryable=True)] * 2 * len(KINDS))
    monkeypatch.setattr(CheckContext, "judge", property(lambda _: down))
    cases = [case async for case in check_judge(context)]
    assert {case.error for case in cases} == {"BackendError"}
    assert all(result is None for case in cases for result in case.results.values())


# -- the loop's own check ------------------------------------------------------------------------------------------


def record(outcome: Outcome, *references: UsedReference) -> RunRecord:
    image = ImageRef(sha256="0" * 64, media_type="image/png", width=16, height=16)
    attempt = Attempt(index=0, round=0, prompt="p", image=image)
    return RunRecord(
        run_id="r", status="ended", prompt="p", outcome=outcome, attempts=[attempt], references=list(references)
    )


def reference(sha: str, concept: str) -> UsedReference:
    image = ImageRef(sha256=sha * 64, media_type="image/png", width=16, height=16)
    return UsedReference(image=image, concept=concept)


SHOWN = {
    "a" * 64: random_scene(Random(0), (STAR,)),
    "b" * 64: random_scene(Random(0), (Thing("bolt", "red", "split"),)),
}
ASKED = Prompt("held", (STAR, CIRCLE))


@pytest.mark.parametrize(
    ("references", "false"),
    [
        ((reference("a", "a red ringed bolt"),), False),
        ((reference("a", caption_text([STAR, CIRCLE])),), False),
        ((reference("b", "a red ringed bolt"),), True),
        ((reference("a", "a blue solid circle"),), True),
        ((reference("a", "a red ringed bolt"), reference("b", "a blue solid circle")), True),
        ((), True),
    ],
)
def test_a_false_success_is_told_from_the_references(references: tuple[UsedReference, ...], false: bool) -> None:
    shown: dict[str, Scene] = SHOWN
    case = score_run("loop/held/0000", ASKED, record(Outcome.ALIGNED, *references), shown)
    assert case.results == {
        "loop.held.aligned": True, "loop.held.right_reference": not false, "loop.false_success": false,
    }  # fmt: skip


def test_other_outcomes_count_for_what_they_are() -> None:
    gave_up = score_run("loop/absent/0000", Prompt("absent", (STAR,)), record(Outcome.NO_USABLE_REFERENCE), {})
    assert gave_up.results == {"loop.absent.aligned": False, "loop.absent.no_usable_reference": True}
    broken = score_run("loop/known/0000", Prompt("known", (CIRCLE,)), record(Outcome.FAILED), {})
    assert set(broken.results.values()) == {None}
    assert broken.error == "failed"


def test_pictures_are_the_same_for_the_same_scene() -> None:
    one, other = (drawn_once.__wrapped__(SCENE, 32) for _ in range(2))
    assert one.data == other.data
    assert one.row().id == other.row().id
    assert one.caption == "a red ringed bolt and a blue solid circle"


async def test_a_section_runs_by_itself(tmp_path: Path) -> None:
    made, _ = await measured(tmp_path, cases=1, sections=["judge"])
    assert set(made.metrics) >= {f"judge.{kind}" for kind in KINDS}
