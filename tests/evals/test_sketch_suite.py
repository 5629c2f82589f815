"""The sketch suite: its cases are sound, its figures are a recount of them, and what breaks is counted apart."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest

from imagerag.agent.errors import BackendError, UsageError
from imagerag.agent.ports import Critique
from imagerag.agent.run_record import RunRecord
from imagerag.agent.types import (
    Attempt,
    Concept,
    ImageRef,
    Outcome,
    Requirement,
    RequirementCheck,
    RunSpec,
    UsedReference,
    Verdict,
)
from imagerag.evals.sketch.context import SketchContext
from imagerag.evals.sketch.judge import KINDS, Question, evaluate_judge, judge_answer, questions
from imagerag.evals.sketch.loop import Prompt, World, generator_knows, prompts, scored
from imagerag.evals.sketch.report_document import Evaluation
from imagerag.evals.sketch.suite import PARTS, TARGETS, evaluate_sketch
from imagerag.evals.sketch.synthetic_images import Picture, caption_text, chance, named, near_miss, swapped, vectors
from imagerag.evals.sketch.threshold import KINDS as KINDS_OF_LIBRARY
from imagerag.evals.sketch.threshold import Query, metrics, queries, scenes
from imagerag.graphs.dependencies import Dependencies
from imagerag.store.data_dir import DataDir
from imagerag.store.library.library import Library
from imagerag.tools.sketch.world import Scene, Thing, random_scene, random_thing

STAR = Thing("bolt", "red", "ringed")
CIRCLE = Thing("circle", "blue", "solid")
SCENE = random_scene(Random(1), (STAR, CIRCLE))


async def test_the_whole_suite_is_a_recount_of_its_cases_and_the_same_twice() -> None:
    told: list[tuple[str, int, int]] = []
    first = await evaluate_sketch(cases=2, seed=3, sizes=(12,), progress=lambda *step: told.append(step))
    again = await evaluate_sketch(cases=2, seed=3, sizes=(12,))
    assert Evaluation.model_validate(first.as_json()) == first
    assert first.cases == again.cases
    assert first.metrics == again.metrics
    assert recount(first) == {name: (m.value, m.n, m.failed) for name, m in first.metrics.items()}
    assert [case.id for case in first.cases if case.error] == [failure.case for failure in first.failures] == []
    assert len({case.id for case in first.cases}) == len(first.cases)
    assert {part for part, _, _ in told} == set(PARTS)
    assert all(done == total for part in PARTS for _, done, total in [max(step for step in told if step[0] == part)])
    assert set(first.elapsed_s) == {*PARTS, "total"}


def recount(made: Evaluation) -> dict[str, tuple[float, int, int]]:
    found = {}
    for name in made.metrics:
        results = [case.results[name] for case in made.cases if name in case.results]
        found[name] = (results.count(True) / len(results), len(results), results.count(None))
    return found


async def test_other_seeds_give_other_cases_and_parts_can_be_chosen() -> None:
    one, other = [await evaluate_sketch(cases=1, seed=seed, parts=["retrieval"]) for seed in (0, 1)]
    assert {case.id.split("/")[0] for case in one.cases} == {"retrieval"}
    assert [case.asked for case in one.cases] != [case.asked for case in other.cases]


@pytest.mark.parametrize("wrong", [{"parts": ["nothing"]}, {"cases": 0}, {"sizes": (0,)}])
async def test_wrong_use_is_said(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        await evaluate_sketch(**{"cases": 1, **wrong})


def test_every_target_belongs_to_a_metric_of_a_part() -> None:
    assert {name.split(".")[0] for name in TARGETS} == set(PARTS)


# -- the cases -----------------------------------------------------------------------------------------------------


def test_questions_are_what_they_say() -> None:
    for name, question in questions(seed=5, cases=30):
        kind, there = name.split("/")[1], set(question.scene.things)
        asked = set(named(question.prompt))
        on = f"on a {question.scene.background} background"
        if kind == "background":
            assert question.aligned == (on in question.prompt)
        elif kind != "free_words":
            assert None not in asked
            assert question.aligned == (asked <= there)
        if question.missing is not None:
            assert question.missing == asked - there
        if kind == "near_miss":
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
        assert set(named(prompt.text.split(" on a")[0])) == set(prompt.things)


def test_queries_of_the_threshold_are_what_they_say() -> None:
    drawn = scenes(0, 60, 0)["threshold.mixed"]
    asked = queries(Random(0), drawn, 40)
    for query in asked:
        assert query.present == any(query.shown_by(scene) for scene in drawn)
    assert {query.kind for query in asked} == {"alone", "among", "whole", "near", "held_out"}
    assert sum(not query.present for query in asked) == 40
    assert sum(query.kind == "near" for query in asked) == 20


def test_both_kinds_of_library_are_of_one_size_and_share_their_pictures_of_one_thing() -> None:
    for size in (1, 2, 7, 50):
        alone, mixed = scenes(0, size, 0).values()
        assert len(alone) == len(mixed) == size
        assert {len(scene.things) for scene in alone} == {1}
        assert {scene for scene in mixed if len(scene.things) == 1} <= set(alone)
    assert [sum(len(scene.things) == count for scene in mixed) for count in (1, 2, 3)] == [30, 15, 5]


def test_only_what_is_asked_of_pictures_of_one_thing_has_a_target() -> None:
    for query in (Query((STAR,), "alone"), Query((STAR,), "near")):
        assert metrics("threshold.50", query)[0] in TARGETS
        assert not set(metrics("threshold.mixed.50", query)) & set(TARGETS)


async def test_both_kinds_are_reported() -> None:
    made = await evaluate_sketch(cases=8, parts=["threshold"], sizes=(12,))
    figures = {f"{kind}.12.{figure}" for kind in KINDS_OF_LIBRARY for figure in ("accepts", "rejects")}
    assert figures <= set(made.metrics)
    assert made.metrics["threshold.12.accepts"].n == made.metrics["threshold.12.accepts.alone"].n


async def test_a_library_that_cannot_be_filled_fails_its_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    async def down(self: Library) -> None:
        raise BackendError("down", retryable=True)

    monkeypatch.setattr(Library, "calibrate", down)
    made = await evaluate_sketch(cases=2, parts=["threshold"], sizes=(12,))
    assert {case.error for case in made.cases} == {"BackendError"}
    assert all(metric.failed == metric.n for metric in made.metrics.values())


def test_chance_is_its_own_for_every_purpose_and_never_that_of_training() -> None:
    draws = [chance(0, "a").random(), chance(0, "b").random(), chance(1, "a").random()]
    draws += [Random(seed).random() for seed in (0, 1, 100_000)]
    assert len(set(draws)) == len(draws)
    assert chance(7, "a", 1).random() == chance(7, "a", 1).random()


def test_words_and_things() -> None:
    assert caption_text([STAR, CIRCLE], "grid") == "a red ringed bolt and a blue solid circle on a grid background"
    assert named(caption_text([STAR, CIRCLE])) == (STAR, CIRCLE)
    assert named("a red bolt") == (None,)
    rng = Random(0)
    for _ in range(50):
        thing = random_thing(rng)
        assert near_miss(rng, thing) != thing
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

    def __init__(self, verdicts: Sequence[Verdict | Exception]) -> None:
        self.verdicts = list(verdicts)

    async def critique(self, prompt: str, image: Any, **_: Any) -> Critique:
        verdict = self.verdicts.pop(0)
        if isinstance(verdict, Exception):
            raise verdict
        return Critique(verdict=verdict)


def verdict(*missing: str, aligned: bool | None = False) -> Verdict:
    checks = tuple(RequirementCheck(requirement=Requirement(text=text), met=False) for text in missing)
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


async def test_a_judge_that_is_down_fails_every_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = SketchContext(
        Dependencies(DataDir(tmp_path)), 2, 0, (10,), RunSpec(generator="sketch", judge="sketch"), "sketch"
    )
    down: Any = OracleJudge([BackendError("down", retryable=True)] * 2 * len(KINDS))
    monkeypatch.setattr(SketchContext, "judge", property(lambda _: down))
    cases = await evaluate_judge(lab)
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
    case = scored("loop/held/0000", ASKED, record(Outcome.ALIGNED, *references), shown)
    assert case.results == {
        "loop.held.aligned": True, "loop.held.right_reference": not false, "loop.false_success": false,
    }  # fmt: skip


def test_other_outcomes_count_for_what_they_are() -> None:
    gave_up = scored("loop/absent/0000", Prompt("absent", (STAR,)), record(Outcome.NO_USABLE_REFERENCE), {})
    assert gave_up.results == {"loop.absent.aligned": False, "loop.absent.no_usable_reference": True}
    broken = scored("loop/known/0000", Prompt("known", (CIRCLE,)), record(Outcome.FAILED), {})
    assert set(broken.results.values()) == {None}
    assert broken.error == "failed"


def test_pictures_are_the_same_for_the_same_scene() -> None:
    one, other = Picture.of(SCENE, 32), Picture.of(SCENE, 32)
    assert one.data == other.data
    assert one.row().id == other.row().id
    assert one.caption == "a red ringed bolt and a blue solid circle"


def test_the_suite_runs_without_a_loop_of_its_own() -> None:
    made = asyncio.run(evaluate_sketch(cases=1, parts=["judge"]))
    assert set(made.metrics) >= {f"judge.{kind}" for kind in KINDS}
