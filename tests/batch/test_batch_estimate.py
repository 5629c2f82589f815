"""`batch --dry-run`: what the lines of a batch can cost together, and which of them cannot be run."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from imagerag import ImageRAG, UsageError
from imagerag.agent.ports import FREE, Capabilities, PriceEstimator
from imagerag.cli import main
from imagerag.schemas import schema
from imagerag.tools.testing.fakes import ScriptedGenerator, ScriptedJudge
from tests.batch.conftest import judgement
from tests.conftest import copied

ONE_ROUND: dict[str, Any] = {"max_rounds": 0}


@pytest.fixture
def priced(rag: ImageRAG, generator: ScriptedGenerator) -> ImageRAG:
    """An image costs half a dollar, and one at most; the judge is free."""
    tariff = PriceEstimator(known=True, most=lambda *_: 1.0, usual=lambda *_: 0.5)
    generator.capabilities = Capabilities(tariff=tariff)
    judge = ScriptedJudge(judgement)
    judge.capabilities = Capabilities(tariff=FREE)
    rag.dependencies.use("judge", "mine", judge)
    return rag


async def test_the_estimate_is_the_sum_over_the_lines_and_nothing_is_run_or_written(
    priced: ImageRAG, generator: ScriptedGenerator, tmp_path: Path
) -> None:
    lines: list[Any] = ["a cat", {"id": "dog", "prompt": "a dog", "max_rounds": 2}, {"prompt": 3}, {"prompt": " "}]
    total = await priced.estimate_batch(lines, tmp_path / "out", **ONE_ROUND)
    each = [await priced.estimate("a cat", **ONE_ROUND), await priced.estimate("a dog", max_rounds=2)]
    assert (total.lines, total.invalid) == (2, 2)
    assert [(line.index, line.id) for line in total.invalid_lines] == [(3, "00003"), (4, "00004")]
    assert total.max_calls == sum(one.max_calls for one in each)
    assert total.expected_calls == sum(one.expected_calls for one in each)
    assert total.max_cost_usd == sum(one.max_cost_usd or 0 for one in each) > 0
    assert total.expected_cost_usd == sum(one.expected_cost_usd or 0 for one in each) > 0
    assert generator.calls == []
    assert not (tmp_path / "out").exists()


async def test_lines_without_their_files_or_libraries_are_named(priced: ImageRAG, tmp_path: Path) -> None:
    lines: list[Any] = [
        "a cat",
        {"prompt": "a cat", "library": "nosuch"},
        {"prompt": "a cat", "initial_image": str(tmp_path / "nosuch.png")},
        {"prompt": "a cat", "subjects": [str(tmp_path / "nosuch.png")]},
    ]
    total = await priced.estimate_batch(lines, tmp_path / "out", **ONE_ROUND)
    assert total.lines == 1
    assert [line.index for line in total.invalid_lines] == [2, 3, 4]


async def test_limits_of_a_run_and_of_the_batch_hold_the_cost(priced: ImageRAG, tmp_path: Path) -> None:
    lines, out = [f"cat {n}" for n in range(8)], tmp_path / "out"
    by_run = await priced.estimate_batch(lines, out, max_run_cost_usd=0.25)
    assert by_run.max_cost_usd == 2.0
    by_batch = await priced.estimate_batch(lines, out, max_cost_usd=3.5)
    assert by_batch.max_cost_usd == 3.5
    assert "some lines may be left" in " ".join(by_batch.notes)


async def test_what_has_no_price_is_named(rag: ImageRAG, tmp_path: Path) -> None:
    unknown = await rag.estimate_batch(["a", "b"], tmp_path / "out")
    assert (unknown.expected_cost_usd, unknown.max_cost_usd) == (None, None)
    assert "scripted:generator" in unknown.has_unknown_cost
    limited = await rag.estimate_batch(["a", "b"], tmp_path / "out", max_cost_usd=1.0)
    assert (limited.lines, limited.invalid) == (0, 2)
    assert "`max_run_cost_usd`" in limited.invalid_lines[0].reason


async def test_a_batch_that_goes_on_is_estimated_for_what_is_left(priced: ImageRAG, tmp_path: Path) -> None:
    lines, out = ["a cat", "a dog"], tmp_path / "out"
    assert [one.status async for one in priced.batch(lines[:1], out, **ONE_ROUND)] == ["done"]
    before = (out / "results.jsonl").read_bytes()
    with pytest.raises(UsageError, match="there is a batch in"):
        await priced.estimate_batch(lines, out)
    rest = await priced.estimate_batch(lines, out, resume=True)
    assert (rest.lines, rest.previously_done) == (1, 1)
    assert (out / "results.jsonl").read_bytes() == before
    with pytest.raises(UsageError, match="was started with"):
        await priced.estimate_batch(lines, out, resume=True, max_rounds=3)


def test_the_command(sketch_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMAGERAG_HOME", str(copied(sketch_home, tmp_path / "home")))
    file = tmp_path / "prompts.jsonl"
    file.write_text('{"prompt": "a red circle"}\n"a moon"\n{"prompt": "x", "seed": "many"}\nno json\n')
    command = ["batch", str(file), "--out", str(tmp_path / "out"), "--preset", "sketch", "--dry-run"]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 1, "lines that cannot be run"
    assert "2 prompts to run" in result.stdout
    assert "$0.00" in result.stdout
    assert "2 lines cannot be run" in result.stdout
    assert "it is not JSON" in result.stdout
    document = json.loads(CliRunner().invoke(main, [*command, "--json"]).stdout)
    assert set(document) == set(schema("batch-estimate")["properties"])
    assert (document["schema"], document["lines"], document["invalid"]) == ("imagerag.batch-estimate/1", 2, 2)
    assert not (tmp_path / "out").exists()
    file.write_text("".join(f'"a red circle and a zyx{n}"\n' for n in range(9)))
    many = CliRunner().invoke(main, command)
    assert (many.exit_code, many.stderr.count("warning:")) == (0, 1), "warnings of all lines are one"
