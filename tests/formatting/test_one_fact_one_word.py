"""The same run, read at every door: for one fact there is one word, and one number."""

import asyncio
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import pytest

from imagerag import ImageRAG
from imagerag.agent.run_record import RunRecord
from imagerag.agent.types import RunConfig, RunSpec
from imagerag.assistants.run_results import run_result
from imagerag.assistants.run_text import format_run, format_step
from imagerag.assistants.tool_reports import run_report
from imagerag.cli.choose_prompt import question_lines
from imagerag.cli.live_text import VerboseRenderer, step_line
from imagerag.cli.run_text import render_run
from imagerag.cli.step_table import step_lines
from imagerag.formatting import labels, numbers
from imagerag.mcp.responses import job_answer
from imagerag.reports.contact_sheet.canvas import Canvas
from imagerag.reports.contact_sheet.choices_sheet import choices_sheet
from imagerag.reports.contact_sheet.run_sheet import contact_sheet
from imagerag.reports.html.diff_writer import compare, page_of
from tests.graphs.conftest import Stage, make_stage
from tests.reports.html.test_run_report import Reader

CAPTION = "a detailed picture of a heart"
SIMILARITY = 0.41051
"""Rounded to four digits and then to three it would be 0.410."""


def setup(**config: Any) -> RunSpec:
    return RunSpec(
        generator="scripted", judge="scripted", library="scripted", config=RunConfig(threshold=0.3, **config)
    )


@dataclass
class Runs:
    """The runs, and what happened in them."""

    rag: ImageRAG
    events: list[Any] = field(default_factory=list)


async def begin(stage: Stage, name: str, **config: Any) -> list[Any]:
    return [event async for event in stage.runner.start("a heart on a hill", setup(**config), run_id=name)]


async def make_runs(root: Path) -> Runs:
    stage = make_stage(root)
    for similarity, title in ((SIMILARITY, "Heart 1"), (0.2, "Heart 2")):
        stage.library.plant(CAPTION, similarity=similarity, title=title)
    runs = Runs(ImageRAG(home=root))
    stage.judge.enqueue(["a heart"], ["a heart"])
    runs.events = await begin(stage, "spent")
    stage.judge.enqueue(["a heart"])
    await begin(stage, "asked", select=True)
    return runs


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return asyncio.run(make_runs(tmp_path_factory.mktemp("one-fact")))


def on_sheet(draw: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """All that a sheet says."""
    said: list[str] = []
    kept = Canvas.text

    def text(self: Canvas, x: float, y: float, words: str, *rest: Any, **options: Any) -> float:
        said.append(words)
        return kept(self, x, y, words, *rest, **options)

    monkeypatch.setattr(Canvas, "text", text)
    draw()
    return "\n".join(said)


def lost(sha256: str) -> bytes:
    raise LookupError(sha256)


async def doors(runs: Runs, record: RunRecord, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What each door says of a run, without styles."""
    rag = runs.rag
    steps = await rag.runs.steps(record)
    other = await rag.runs.get("asked")
    events = [line for event in runs.events for line in step_line(event)]
    whole = VerboseRenderer()
    told = {
        "terminal, round by round": "\n".join(render_run(record)),
        "terminal, steps": "\n".join(step_lines(steps)),
        "terminal, as it happens": "\n".join(events),
        "terminal, demo": "\n".join(line for event in runs.events for line in whole(event)),
        "report": Reader(await rag.runs.report(record)).words,
        "diff page": Reader(
            await page_of(rag.dependencies, await compare(rag.dependencies, record, other), record, other)
        ).words,
        "sheet": on_sheet(lambda: contact_sheet(record.as_json(), lost), monkeypatch),
        "assistant": format_run(record),
        "tools' progress": "\n".join(filter(None, map(format_step, runs.events))),
        "MCP's status of a run": job_answer(run_result(record), 120).text,
        "notebook": Reader(record._repr_html_().replace("<br>", " ")).words,
    }
    return {name: click.unstyle(words) for name, words in told.items()}


async def test_a_similarity_is_one_number(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    record = await runs.rag.runs.get("spent")
    told = await doors(runs, record, monkeypatch)
    shown = [name for name, words in told.items() if "0.411" in words]
    assert {"terminal, round by round", "terminal, steps", "terminal, as it happens", "report", "sheet"} <= {*shown}
    assert "tools' progress" in shown
    assert [name for name, words in told.items() if re.search(r"0\.4105?\b", words)] == []
    assert record.searches[0].candidates[0].similarity == pytest.approx(SIMILARITY, abs=1e-9)


async def test_a_choice_offers_the_same_number(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    record = await runs.rag.runs.get("asked")
    assert record.question is not None
    question = record.question
    assert question["candidates"][0]["similarity"] == pytest.approx(SIMILARITY, abs=1e-9)
    for words in (
        "\n".join(question_lines(question)),
        format_run(record),
        on_sheet(lambda: choices_sheet(question, lost), monkeypatch),
    ):
        assert "0.411" in words
        assert "0.410" not in words
    assert run_report(record).offered[0].similarity == pytest.approx(SIMILARITY, abs=1e-9)


async def test_a_decision_is_one_word(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    told = await doors(runs, await runs.rag.runs.get("spent"), monkeypatch)
    word = labels.DECISIONS["below_threshold"].name
    for door in ("terminal, round by round", "terminal, demo", "report", "sheet"):
        assert word in told[door], door
    everything = "\n".join(told.values())
    for other in ("too low", "not similar enough", "too far", "under the threshold", "twin", "unfit", "declined"):
        assert other not in everything


async def test_an_outcome_is_one_word(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    record = await runs.rag.runs.get("spent")
    told = await doors(runs, record, monkeypatch)
    word = labels.standing(record.status, record.outcome).name
    for door, words in told.items():
        if door not in ("terminal, steps", "terminal, demo"):  # which end before a run does
            assert word in words, door
    assert record.reason in told["assistant"]
    assert labels.OUTCOMES[str(record.outcome)].meaning in told["assistant"]


async def test_a_step_is_one_word(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each line of progress is the terminal's line of the same step."""
    told = await doors(runs, await runs.rag.runs.get("spent"), monkeypatch)
    steps = [line.partition(": ") for line in told["tools' progress"].splitlines() if not line.startswith("run ")]
    assert {name for name, _, _ in steps} >= {labels.node(node) for node in ("generate", "critique", "shortlist")}
    for name, _, words in steps:
        assert re.search(rf"{name} +{re.escape(words[:40])}", told["terminal, as it happens"]), name
        assert name in told["report"].lower()


async def test_what_was_looked_for_is_one_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = make_stage(tmp_path)
    stage.library.plant("a heart on a hill", similarity=SIMILARITY, title="Heart 1")
    stage.judge.enqueue([])
    runs = Runs(ImageRAG(home=tmp_path), await begin(stage, "first", start="retrieve"))
    record = await runs.rag.runs.get("first")
    assert [search.query.by for search in record.searches] == ["prompt"]
    word = labels.sought("prompt", "")
    told = {
        "report": Reader(await runs.rag.runs.report(record)).words,
        "sheet": on_sheet(lambda: contact_sheet(record.as_json(), lost), monkeypatch),
        "terminal, steps": click.unstyle("\n".join(step_lines(await runs.rag.runs.steps(record)))),
    }
    for door, words in told.items():
        assert word in words.lower(), door


async def test_attempts_are_counted_alike(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first drawing is attempt 1 wherever a person reads; documents keep the index, which counts from 0."""
    record = await runs.rag.runs.get("spent")
    told = await doors(runs, record, monkeypatch)
    assert [attempt.index for attempt in record.attempts] == [0, 1]
    for door, words in told.items():
        assert "attempt 0" not in words.lower(), door
    for door in ("terminal, round by round", "terminal, steps", "terminal, as it happens", "report", "sheet"):
        assert {"attempt 1", "attempt 2"} <= {*re.findall(r"attempt \d+", told[door].lower())}, door
    assert f"attempt {(record.best_attempt or 0) + 1} of 2" in told["assistant"]


async def test_money_time_and_calls_are_shown_one_way(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    record = await runs.rag.runs.get("spent")
    told = await doors(runs, record, monkeypatch)
    facts = (
        numbers.dollars(record.cost_usd),
        numbers.seconds(record.elapsed_s),
        numbers.model_calls(sum(record.calls.values())),
    )
    for fact in facts:
        for door in ("terminal, round by round", "report", "sheet", "assistant", "MCP's status of a run", "notebook"):
            assert fact in told[door], (door, fact)
    for other in ("$0.0000", "Cost: nothing", "free"):
        assert other not in "\n".join(told.values())


async def test_what_was_reused_is_no_call_at_any_door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = make_stage(tmp_path)
    stage.judge.enqueue([])
    runs = Runs(ImageRAG(home=tmp_path))
    await begin(stage, "first")
    runs.events = [event async for event in stage.runner.start("a heart on a hill", setup(cache="replay"))]
    record = runs.events[-1].record
    assert (record.calls, sum(record.cached_calls.values())) == ({}, 2)
    monkeypatch.setattr(runs.rag.runs, "get", _always(record))
    told = {
        "terminal": "\n".join(render_run(record)),
        "report": Reader(await runs.rag.runs.report(record.run_id)).words,
        "sheet": on_sheet(lambda: contact_sheet(record.as_json(), lost), monkeypatch),
        "assistant": format_run(record),
    }
    for door, words in told.items():
        assert "0 model calls (2 answers from the journal)" in click.unstyle(words), door
    assert (run_report(record).calls, run_report(record).cached_calls) == (0, 2)
    entry = next(one for one in await runs.rag.runs.list(5) if one.run_id == record.run_id)
    assert entry.calls == 0


def _always(record: RunRecord) -> Any:
    async def give(run_id: str) -> RunRecord:
        return record

    return give
