"""Done again from any step with nothing changed, a run makes no call and gives the same: images, record, report.

Two sketch runs and one over HTTP here; `STORM=full` in the environment makes it ten sketch runs and two over HTTP
(minutes):

    STORM=full python -m pytest tests/reports/html/test_replays.py -s
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from imagerag import ImageRAG, RunRecord
from imagerag.agent.types import RunResult, RunSpec
from imagerag.graphs.runs.history import Change, Step
from imagerag.reports.html.report_writer import images_of
from imagerag.reports.html.run_page import report
from imagerag.tools.testing.mock_openai import MockOpenAIServer, SketchResponder
from tests.conftest import copied

FULL = os.environ.get("STORM") == "full"

HELD = "a red solid heart and a blue split crescent on a mint background"
"""What the painter cannot draw without the library."""

RUNS: list[tuple[str, dict[str, Any]]] = [
    (HELD, {"seed": 1}),
    ("a blue striped square on a mint background", {}),
    ("a black solid hexagon", {}),
    (HELD, {"seed": 2, "judge_mode": "stepwise"}),
    (HELD, {"start": "retrieve"}),
    (HELD, {"select": True}),
    (HELD, {"threshold": 0.9}),
    (HELD, {"max_calls": 3}),
    ("a red solid circle and a black solid hexagon", {"judge_mode": "stepwise", "max_rounds": 1}),
    ("a blue split crescent and a green dotted star on a sand background", {"max_rounds": 2, "threshold": "off"}),
]
"""Runs of the embedded world: aligned with and without the library, not aligned, out of budget, waiting."""


@pytest.fixture(scope="module")
def home(sketch_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copied(sketch_home, tmp_path_factory.mktemp("replays") / "home")


def canonical(steps: Sequence[Step]) -> list[Step]:
    """The same steps without what names and dates them or says who paid: a replay that changed nothing has the same."""
    comparable = [(step, _distinguishable(step.changes)) for step in steps]
    comparable = [(step, changes) for step, changes in comparable if step.node != "update" or changes]
    places = {superstep: at for at, superstep in enumerate(dict.fromkeys(step.superstep for step, _ in comparable))}
    return [
        replace(
            step,
            index=index,
            superstep=places[step.superstep],
            before=None,
            after=None,
            at=None,
            elapsed_s=0.0,
            changes=changes,
            calls=tuple(call.canonical() for call in step.calls if call.completed),
        )
        for index, (step, changes) in enumerate(comparable)
    ]


def _distinguishable(changes: Mapping[str, Change]) -> dict[str, Change]:
    """Changes of what the run was asked and did; not of its date, of where it comes from, or of who pays."""
    plain = {
        name: Change(*(_undated(value) for value in (change.before, change.after)))
        for name, change in changes.items()
        if name not in ("started_at", "parent_run")
    }
    return {name: change for name, change in plain.items() if change.before != change.after}


def _undated(value: Any) -> Any:
    if isinstance(value, RunSpec):
        return value.canonical()
    return value.model_copy(update={"at": None}) if isinstance(value, RunResult) else value


async def page(rag: ImageRAG, record: RunRecord) -> str:
    """The run's report, without what names it, dates it, or says who paid."""
    pictures = await images_of(rag.dependencies, record)
    return report(record.canonical(), canonical(await rag.runs.steps(record)), pictures.__getitem__)


async def asked(rag: ImageRAG, run_id: str) -> int:
    """How many calls the run itself made, answered or lost: each is in the journal under its name."""
    async with rag.dependencies.journal() as journal:
        entries, lost = await journal.of_run(run_id)
    return len(entries) + len(lost)


async def check_every_step(rag: ImageRAG, first: RunRecord) -> int:
    """Replay the run from each of its steps; how many replays that were."""
    told, paper = first.canonical(), await page(rag, first)
    images = [await rag.runs.image_bytes(attempt.image.sha256) for attempt in first.attempts]
    steps = await rag.runs.steps(first)
    for step in steps:
        again = await rag.runs.replay(first.run_id, step.index)
        assert again.canonical() == told, step
        assert [await rag.runs.image_bytes(attempt.image.sha256) for attempt in again.attempts] == images
        assert await page(rag, again) == paper, step
        assert await asked(rag, again.run_id) == 0
        assert all(call.cached for call in again.call_log)
        found = await rag.runs.diff(first, again)
        assert found.same, found
        assert (found.relation, found.descendant, found.since) == ("replay", "b", max(step.index, 1))
    once = await rag.runs.replay(first.run_id, len(steps) // 2)
    for number in sorted({1, len(steps) // 2, len(steps) - 1}):
        again = await rag.runs.replay(once.run_id, number)
        assert again.canonical() == told, number
        assert [await rag.runs.image_bytes(attempt.image.sha256) for attempt in again.attempts] == images
        assert await page(rag, again) == paper, number
        assert await asked(rag, again.run_id) == 0
    assert (await rag.runs.get(first.run_id)) == first
    return len(steps)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("prompt", "options"), RUNS if FULL else RUNS[:2])
async def test_a_sketch_run_replayed_from_any_step_is_the_same(
    home: Path, prompt: str, options: dict[str, Any]
) -> None:
    rag = ImageRAG(preset="sketch", home=home)
    first = await rag.generate(prompt, **options)
    assert await asked(rag, first.run_id) > 0
    number = await check_every_step(rag, first)
    print(f"\n{first.outcome or first.status}: {number} replays, no call")


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("mode", ["fused", "stepwise"] if FULL else ["fused"])
async def test_a_run_over_http_replayed_from_any_step_sends_no_request(home: Path, mode: Any) -> None:
    with MockOpenAIServer(SketchResponder()) as server:
        specs = {"generator": f"openai:gpt-image-2@{server.base_url}", "judge": f"openai:gpt-5@{server.base_url}"}
        rag = ImageRAG(preset="sketch", home=home, **specs)
        first = await rag.generate(HELD, judge_mode=mode)
        before = server.count()
        assert before >= 4
        number = await check_every_step(rag, first)
        assert server.count() == before
    print(f"\n{first.outcome}: {number} replays, {before} requests before them, none in them")


async def test_a_canonical_record_still_tells_what_runs_did_apart(home: Path) -> None:
    rag = ImageRAG(preset="sketch", home=home)
    one, other = [await rag.generate("a red solid circle", seed=seed) for seed in (3, 4)]
    assert one.canonical() != other.canonical()
    assert await page(rag, one) != await page(rag, other)
    found = await rag.runs.diff(one, other)
    assert not found.same
    assert [change.what for change in found.setup] == ["seed"]
    assert found.first is not None
    assert found.first.node == "generate"
