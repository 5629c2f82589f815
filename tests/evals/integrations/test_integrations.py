"""Other harnesses: one case in, one result out, and failures that are no exceptions."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from imagerag.agent.errors import UsageError
from imagerag.evals.integrations.cases import run_case
from imagerag.evals.integrations.datasets import export_dataset, rows
from imagerag.evals.integrations.langsmith import langsmith_target
from imagerag.evals.integrations.pytest_plugin import NotJudgedError, assert_aligned  # noqa: F401
from imagerag.evals.suites.case import Case
from imagerag.tools.testing.mock_openai import MockOpenAIServer
from tests.processes import python

KNOWN, UNKNOWN = "a red solid circle", "a teal checkered crescent"


@pytest.fixture
def world(tmp_path: Path) -> dict[str, Any]:
    """The sketch world without a library: what the painter does not know stays wrong."""
    return {"generator": "sketch", "judge": "sketch", "preset": "openai", "home": tmp_path / "home"}


async def test_a_case_is_answered_without_a_suite_and_paid_once(world: dict[str, Any]) -> None:
    first = await run_case(KNOWN, **world)
    assert (first.status, first.outcome) == ("kept_initial", "aligned")
    assert first.scores["calls"] == 2
    again = await run_case(KNOWN, **world, cache="replay")
    assert again.line() == first.line()
    missed = await run_case(UNKNOWN, **world, cache="replay")
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


def test_pytest_takes_what_a_run_takes(assert_aligned: Any, world: dict[str, Any], tmp_path: Path) -> None:  # noqa: F811
    seeded = assert_aligned(KNOWN, folder=tmp_path / "c", seed=7, max_rounds=0, **world)
    assert seeded.seed == 7
    again = assert_aligned(KNOWN, folder=tmp_path / "c", seed=8, max_rounds=0, max_calls=9, **world)
    assert again.seed == 8
    for wrong in ({"seed": -1}, {"max_rounds": 99}, {"max_round": 1}, {"deadline_at": 1.0}):
        with pytest.raises(UsageError, match=next(iter(wrong))):
            assert_aligned(KNOWN, folder=tmp_path / "c", **wrong, **world)


@pytest.mark.imagerag(generator="sketch")
def test_a_judge_that_is_down_is_an_error_and_no_failed_test(assert_aligned: Any, tmp_path: Path) -> None:  # noqa: F811
    with MockOpenAIServer() as server:
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


async def test_langsmith_evaluates_offline(world: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    from datetime import UTC, datetime
    from uuid import uuid4

    from langsmith import Client, aevaluate
    from langsmith.schemas import Example

    monkeypatch.setenv("LANGSMITH_TRACING", "false")
    now = datetime.now(UTC)
    data = [
        Example(id=uuid4(), dataset_id=uuid4(), inputs={"prompt": prompt}, created_at=now)
        for prompt in (KNOWN, UNKNOWN)
    ]

    def aligned(outputs: dict[str, Any]) -> bool:
        return bool(outputs["aligned"])

    client = Client(api_url="http://127.0.0.1:9", api_key="none", info={}, tracing_sampling_rate=0.0)
    found = await aevaluate(
        langsmith_target(**world), data=data, evaluators=[aligned], client=client, upload_results=False
    )
    rows = [row async for row in found]
    assert {r["example"].inputs["prompt"]: r["evaluation_results"]["results"][0].score for r in rows} == {
        KNOWN: True,
        UNKNOWN: False,
    }


async def test_results_are_a_hugging_face_dataset_with_its_pictures(tmp_path: Path, fakes: Any) -> None:
    datasets = pytest.importorskip("datasets")
    _, results = await fakes.run(fakes.plan(fakes.suite(2), arms="base,full"), out="out")
    folder = tmp_path / "out"
    (folder / "results.jsonl").write_text("".join(f"{result.line()}\n" for result in results))
    (folder / "home").symlink_to(tmp_path / "home")
    made = export_dataset(folder)
    assert made["case"][:] == ["c0", "c0", "c1", "c1"]
    assert made["score.searches"][:] == [0.0, 1.0, 0.0, 1.0]
    made.save_to_disk(tmp_path / "saved")
    again = datasets.load_from_disk(tmp_path / "saved")
    assert again[1]["image"].size == made[1]["image"].size
    assert again[1]["image"].size[0] > 0


READ = """
import json, sys
from datasets import Image, load_dataset

read = load_dataset("parquet", data_files=sys.argv[1], split="train", cache_dir=sys.argv[2])
assert isinstance(read.features["image"], Image)
stored = read.cast_column("image", Image(decode=False))["image"][:]
print(json.dumps({
    "sizes": [image and image.size for image in read["image"][:]],
    "bytes": [image and len(image["bytes"]) for image in stored],
    "paths": [image and image["path"] for image in stored],
}))
"""


async def test_a_parquet_file_of_results_holds_the_pictures(tmp_path: Path, fakes: Any) -> None:
    """Read by `datasets` where nothing of this home is left."""
    pytest.importorskip("datasets")
    _, results = await fakes.run(fakes.plan(fakes.suite(2), arms="base,full"), out="out")
    folder = tmp_path / "out"
    (folder / "results.jsonl").write_text("".join(f"{result.line()}\n" for result in results))
    (tmp_path / "home").rename(folder / "home")
    gone = next((folder / "home" / "blobs").glob(f"*/{results[-1].image.sha256[2:]}"))
    sizes = [gone.stat().st_size]
    export_dataset(folder).to_parquet(tmp_path / "all.parquet")
    gone.unlink()
    export_dataset(folder).to_parquet(tmp_path / "one_gone.parquet")
    shutil.rmtree(folder)
    for name in ("all", "one_gone"):
        done = python("-c", READ, tmp_path / f"{name}.parquet", tmp_path / f"cache_{name}")
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout.splitlines()[-1])
        assert [bool(size) for size in told["sizes"]] == [True, True, True, name == "all"]
        assert told["bytes"][-1] == (sizes[0] if name == "all" else None)
        assert not any("/" in (path or "") for path in told["paths"])


def test_nothing_to_export_is_said(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    (tmp_path / "results.jsonl").write_text("")
    with pytest.raises(UsageError, match="no results"):
        export_dataset(tmp_path)


INSPECT = """
import json, sys
from pathlib import Path
from inspect_ai import eval
from imagerag.evals.integrations.inspect_ai import inspect_task
from imagerag.evals.suites.case import Case, Suite

known, unknown, home = sys.argv[1:]
options = {"generator": "sketch", "judge": "sketch", "preset": "openai", "home": home, "folder": f"{home}/cases"}
run = {"model": "none/none", "display": "none", "log_dir": f"{home}/logs"}
suite = Suite(name="two", cases=(Case(id="known", prompt=known), Case(id="unknown", prompt=unknown)))
(log,) = eval(inspect_task(suite, **options), **run)
new = Suite(name="new", cases=(Case(id="new", prompt="a blue solid square"),))
(broken,) = eval(inspect_task(new, **options, cache="replay"), **run)
print(json.dumps({
    "status": log.status,
    "samples": {sample.id: sample.scores["imagerag"].model_dump() for sample in log.samples},
    "metrics": {score.name: score.metrics["mean"].value for score in log.results.scores},
    "pictures": [Path(sample.messages[-1].content[1].image).is_file() for sample in log.samples],
    "broken": [broken.status, broken.samples[0].error.message],
}))
"""


def test_inspect_runs_the_task_and_what_breaks_is_an_error(tmp_path: Path) -> None:
    """In a process of its own: Inspect patches the event loop of the one it runs in."""
    pytest.importorskip("inspect_ai")
    done = python("-c", INSPECT, KNOWN, UNKNOWN, tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["status"] == "success"
    assert {name: score["value"]["aligned"] for name, score in told["samples"].items()} == {
        "known#0": 1.0,
        "unknown#0": 0.0,
    }
    assert UNKNOWN in told["samples"]["unknown#0"]["explanation"]
    assert told["metrics"]["aligned"] == 0.5
    assert told["metrics"]["calls"] >= 2
    assert told["pictures"] == [True, True]
    assert told["broken"][0] == "error"
    assert "ReplayMiss" in told["broken"][1] or "CaseFailedError" in told["broken"][1]
