"""An irrelevant library does no harm, and pictures that are there are scored anew."""

from pathlib import Path
from typing import Any

import pytest

from imagerag.agent.errors import UsageError
from imagerag.agent.types import RunSpec
from imagerag.evals.harness.arms import parse_arms
from imagerag.evals.harness.evaluation import EvalOptions, run_evaluation, score_evaluation
from imagerag.evals.harness.plan import Plan
from imagerag.evals.result_record import read_results
from imagerag.evals.suites.sketch import sketch_suite
from imagerag.store.data_dir import DataDir
from tests.evals.conftest import with_libraries_of

HARD = ("crowded/0137", "alike/0208", "one/0000")
"""Two in which a circle passes for a hexagon, and one in which nothing passes."""


async def test_an_irrelevant_library_does_no_harm_and_pictures_are_scored_anew(
    irrelevant: Path, tmp_path: Path
) -> None:
    whole = sketch_suite(360)
    cases = tuple(case for case in whole.cases if case.id in HARD)
    plan = Plan(
        suite=whole.model_copy(update={"cases": cases}),
        arms=parse_arms("base,full+library=sketch-irrelevant"),
        setup=RunSpec(generator="sketch", judge="sketch", library="sketch-irrelevant"),
        metrics=("work",),
    )
    options = EvalOptions(users=DataDir(tmp_path / "users"), concurrency=1)
    await run_evaluation(with_libraries_of(irrelevant, tmp_path / "out"), plan, options)
    recorded = (tmp_path / "out" / "results.jsonl").read_bytes()
    for result in read_results(tmp_path / "out" / "results.jsonl"):
        first, best = result.attempts[0], result.attempts[result.best_attempt or 0]
        if result.image != result.initial_image.image:
            scores: list[Any] = [attempt.verdict.score for attempt in (first, best) if attempt.verdict]
            assert scores[0] < scores[1]

    assert await score_evaluation(tmp_path / "out", tmp_path / "new", ["text:independent"], options) == 6
    again = list(read_results(tmp_path / "new" / "results.jsonl"))
    assert all(list(result.scores) == ["text:independent"] for result in again)
    by_arm: dict[str, list[float]] = {}
    for result in again:
        by_arm.setdefault(result.arm, []).append(float(result.scores["text:independent"] or 0))
    base, full = by_arm.values()
    assert sum(full) / len(full) >= sum(base) / len(base) - 0.01
    assert (tmp_path / "out" / "results.jsonl").read_bytes() == recorded
    with pytest.raises(UsageError, match="folder of their own"):
        await score_evaluation(tmp_path / "out", tmp_path / "out", ["work"], options)
