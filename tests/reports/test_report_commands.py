"""`show`, `runs` and `report` as commands."""

import asyncio
import json
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from imagerag.cli import main, step_table
from imagerag.client.runs import RunsAPI
from imagerag.graphs.runs import history
from tests.graphs.conftest import make_stage
from tests.reports.conftest import RUNS, begin


@pytest.fixture
def imagerag(every_outcome: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, home: Path = every_outcome) -> Result:
        return CliRunner().invoke(main, ["--home", str(home), *arguments])

    return run


@pytest.mark.parametrize("name", RUNS)
def test_show_has_a_line_for_each_step(imagerag: Any, name: str, rag: Any) -> None:
    shown = imagerag("show", name)
    assert shown.exit_code == 0
    lines = shown.stdout.splitlines()
    for step in asyncio.run(rag.runs.steps(name)):
        (line,) = [line for line in lines if line.split()[:1] == [str(step.index)] and step.node in line]
        if step.node == "critique" and step.status == "done":
            assert any(score in line for score in ("1/2", "2/2", "1/3", "none"))


def test_show_tells_where_a_killed_run_stands_and_how_it_goes_on(imagerag: Any) -> None:
    shown = imagerag("show", "killed").stdout
    assert "stands at step 3 (extract_concepts)" in shown
    assert " resume killed" in shown


def test_show_tells_tries_levers_and_what_passed(imagerag: Any) -> None:
    assert "wording 2" in imagerag("show", "judge_unavailable").stdout
    assert "5 of 8" in imagerag("show", "aligned").stdout


def test_show_raw_gives_the_models_own_words(imagerag: Any) -> None:
    shown = imagerag("show", "judge_unavailable", "--raw").stdout
    assert shown.count("I am sorry") == 2
    assert "\u202e" not in shown


def test_watch_follows_a_run_that_another_makes(imagerag: Any, tmp_path: Path) -> None:
    stage = make_stage(tmp_path / "home")
    stage.judge.latency_s = 0.4
    stage.judge.enqueue([])

    def work() -> None:
        asyncio.run(begin(stage, "slow"))

    other = threading.Thread(target=work)
    other.start()
    give_up = time.monotonic() + 120
    while imagerag("show", "slow", home=tmp_path / "home").exit_code:
        assert time.monotonic() < give_up
        time.sleep(0.02)
    shown = imagerag("show", "slow", "--watch", home=tmp_path / "home")
    other.join()
    assert shown.exit_code == 0
    assert [line.split()[1] for line in shown.stdout.splitlines() if line.lstrip()[:1].isdigit()] == [
        "input",
        "generate",
        "critique",
        "finish",
    ]
    assert "aligned" in shown.stdout


def test_watch_misses_no_step_of_a_run_that_ends_while_its_steps_are_read(
    imagerag: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, get, reads = history.steps, RunsAPI.get, list[int]()

    async def steps(*of_run: Any) -> Any:
        found = await read(*of_run)
        reads.append(len(found))
        return found if reads[1:] else found[:2]

    async def stands(runs: Any, run_id: str) -> Any:
        record = await get(runs, run_id)
        return record if reads else record.model_copy(update={"outcome": None})

    monkeypatch.setattr(history, "steps", steps)
    monkeypatch.setattr(RunsAPI, "get", stands)
    monkeypatch.setattr(step_table, "at_work", lambda *_: not reads)
    monkeypatch.setattr(step_table, "EVERY_S", 0)
    shown = imagerag("show", "aligned", "--watch")
    assert shown.exit_code == 0
    assert shown.stdout.count("critique") == 2
    assert "finish" in shown.stdout


def test_watch_ends_at_once_for_a_run_that_waits(imagerag: Any) -> None:
    assert "waits for a choice" in imagerag("show", "interrupted", "--watch").stdout


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        (["--outcome", "waiting"], {"interrupted"}),
        (["--outcome", "unfinished"], {"killed"}),
        (["--outcome", "refused"], {"refused"}),
        (["--library", "elsewhere"], set()),
        (["--since", "1h", "--text", "<SCRIPT>"], {"best_effort"}),
        (["--until", "2d"], set()),
        (["--until", "2020-01-01"], set()),
        (["--min-cost", "1"], set()),
        (["--max-cost", "0"], {"refused"}),
    ],
)
def test_runs_are_filtered(imagerag: Any, filters: list[str], names: set[str]) -> None:
    told = json.loads(imagerag("runs", *filters, "--json").stdout)
    assert {entry["run_id"] for entry in told["runs"]} == names


def test_a_time_that_is_none_is_wrong_use(imagerag: Any) -> None:
    refused = imagerag("runs", "--since", "yesterday")
    assert refused.exit_code == 2
    assert "no time" in refused.output


def test_a_report_is_written_where_it_is_wanted(imagerag: Any, tmp_path: Path) -> None:
    assert imagerag("report", "aligned").stdout == "report: aligned.html\n"
    assert (tmp_path / "aligned.html").read_text().startswith("<!doctype html>")
    told = json.loads(imagerag("report", "last", "--out", "deep/x.html", "--json").stdout)
    assert told == {"schema": "imagerag.report/1", "run_id": "killed", "path": "deep/x.html"}
    assert imagerag("report", "aligned", "refused", "--out", "both").exit_code == 0
    assert {path.name for path in (tmp_path / "both").iterdir()} == {"aligned.html", "refused.html", "index.html"}
    index = (tmp_path / "both" / "index.html").read_text()
    assert 'href="aligned.html"' in index
    assert "2 runs" in index


@pytest.mark.parametrize(
    "arguments",
    [[], ["aligned", "--all"], ["nope"], ["aligned", "--out", "x.png"], ["aligned", "refused", "--out", "x.html"]],
)
def test_reports_that_cannot_be_are_refused(imagerag: Any, arguments: list[str], tmp_path: Path) -> None:
    refused = imagerag("report", *arguments)
    assert refused.exit_code == 2
    assert list(tmp_path.glob("*.html")) == []


def test_a_run_that_is_being_made_has_a_report(imagerag: Any, tmp_path: Path) -> None:
    stage = make_stage(tmp_path / "home")
    left = replace(stage, runner=replace(stage.runner, left_open=True))
    asyncio.run(begin(left, "early", until="generate"))
    assert imagerag("report", "early", home=tmp_path / "home").exit_code == 0
    assert "not judged" in (tmp_path / "early.html").read_text().lower()
