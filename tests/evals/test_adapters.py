"""Other harnesses: one case in, one result out, and failures that are no exceptions."""

from pathlib import Path
from typing import Any

import pytest

from imagerag.agent.errors import UsageError
from imagerag.evals.adapters import langsmith_target, rows, run_case
from imagerag.evals.pytest_plugin import NotJudgedError, assert_aligned  # noqa: F401
from imagerag.evals.suites.case import Case
from imagerag.tools.loopback import Loopback

KNOWN, UNKNOWN = "a red solid circle", "a teal checkered crescent"


@pytest.fixture
def world(tmp_path: Path) -> dict[str, Any]:
    """The sketch world without a library: what the painter does not know stays wrong."""
    return {"generator": "sketch", "judge": "sketch", "preset": "openai", "home": tmp_path / "home"}


async def test_a_case_is_answered_without_a_suite_and_paid_once(world: dict[str, Any]) -> None:
    first = await run_case(KNOWN, **world)
    assert (first.status, first.outcome) == ("kept_initial", "aligned")
    assert first.scores["calls"] == 2
    again = await run_case(KNOWN, **world, journal="replay")
    assert again.line() == first.line()
    missed = await run_case(UNKNOWN, **world, journal="replay")
    assert (missed.status, missed.error) == ("technical", "ReplayMissError")
    with pytest.raises(UsageError, match="no arm"):
        await run_case(KNOWN, arm="nothing", **world)


async def test_langsmith_gets_plain_outputs(world: dict[str, Any]) -> None:
    target = langsmith_target(**world)
    assert (await target({"prompt": KNOWN, "id": "a"}))["aligned"] is True
    outputs = await target({"prompt": UNKNOWN})
    assert (outputs["aligned"], outputs["unresolved"]) == (False, [UNKNOWN])


def test_pytest_is_told_what_is_missing(assert_aligned: Any, world: dict[str, Any], tmp_path: Path) -> None:  # noqa: F811
    assert assert_aligned(KNOWN, folder=tmp_path / "c", **world).outcome == "aligned"
    with pytest.raises(AssertionError, match=f"missing {UNKNOWN}"):
        assert_aligned(UNKNOWN, folder=tmp_path / "c", **world)


@pytest.mark.imagerag(generator="sketch")
def test_a_judge_that_is_down_is_an_error_and_no_failed_test(assert_aligned: Any, tmp_path: Path) -> None:  # noqa: F811
    with Loopback() as server:
        gone = server.base_url
    options = {"judge": f"openai:m@{gone}", "preset": "openai", "home": tmp_path, "folder": tmp_path / "c"}
    with pytest.raises(NotJudgedError):
        assert_aligned(KNOWN, **options)


async def test_rows_are_flat(tmp_path: Path, fakes: Any) -> None:
    _, results = await fakes.run(fakes.plan(fakes.suite(2), arms="base,full"), out="out")
    folder = tmp_path / "out"
    (folder / "results.jsonl").write_text("".join(f"{result.line()}\n" for result in results))
    found = list(rows(folder))
    assert [(row["case"], row["arm"]) for row in found] == [
        ("c0", "base"),
        ("c0", "full"),
        ("c1", "base"),
        ("c1", "full"),
    ]
    assert found[1]["score.searches"] == 1.0
    assert all(not isinstance(value, dict | list) for row in found for value in row.values())


def test_a_case_has_an_id_that_can_be_one() -> None:
    with pytest.raises(ValueError, match="id"):
        Case(id="../x", prompt="p")
