"""Batches: every line gets one result, nothing is made twice, and what was stopped goes on."""

import asyncio
import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from imagerag import ImageRAG, UsageError
from imagerag.agent.errors import BackendError, BudgetExceededError, QuotaError
from imagerag.agent.ports import FREE, Capabilities, Critique, GeneratedImage, PriceEstimator
from imagerag.agent.types import Verdict
from imagerag.agent.types.filters import parse_filter
from imagerag.batch.line_runner import manifest
from imagerag.batch.results import BatchResult
from imagerag.batch.runner import BatchRunner
from imagerag.tools.testing.fakes import ScriptedGenerator, ScriptedJudge, sample_image

LINES: list[Any] = ["a cat", {"id": "dog", "prompt": "a dog", "seed": 3}, {"prompt": "a hard one", "max_rounds": 0}]


def results(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]


def by_id(out: Path) -> dict[str, dict[str, Any]]:
    told = results(out)
    assert len({one["id"] for one in told}) == len(told), "one line per input"
    return {one["id"]: one for one in told}


def drawn(generator: ScriptedGenerator) -> Counter[str]:
    return Counter(call.arguments["prompt"] for call in generator.calls)


async def test_a_line_for_each_with_its_picture(rag: ImageRAG, tmp_path: Path) -> None:
    out = tmp_path / "out"
    told = [result async for result in rag.batch([*LINES, {"prompt": 3}], out)]
    kept = by_id(out)
    assert {result.id: result.as_json() for result in told} == kept
    assert {name: (one["index"], one["status"], one["outcome"]) for name, one in kept.items()} == {
        "00001": (1, "done", "aligned"),
        "dog": (2, "done", "aligned"),
        "00003": (3, "done", "best_effort"),
        "00004": (4, "invalid", None),
    }
    assert kept["00004"]["reason"] == "it has no prompt"
    assert (out / "dog.png").read_bytes() == await rag.runs.image_bytes(kept["dog"]["image"]["sha256"])
    assert json.loads((out / "dog.png.json").read_text())["run_id"] == kept["dog"]["run_id"]
    assert (await rag.runs.get(kept["dog"]["run_id"])).setup.config.seed == 3  # type: ignore[union-attr]


async def test_a_run_that_was_killed_before_its_end_was_listed_is_taken_and_listed(
    rag: ImageRAG, generator: ScriptedGenerator, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    [made] = [result async for result in rag.batch(["a cat"], out)]
    assert made.run_id
    await rag.dependencies.runs.upsert(made.run_id, prompt="a cat", status="running")
    (out / "results.jsonl").write_text("")
    [again] = [result async for result in rag.batch(["a cat"], out, resume=True)]
    assert (again.run_id, again.status, len(generator.calls)) == (made.run_id, "done", 1)
    assert [run.status for run in await rag.runs.list()] == ["ended"]


async def test_going_on_does_what_is_left_and_nothing_twice(
    rag: ImageRAG, generator: ScriptedGenerator, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    async for _ in rag.batch([f"cat {n}" for n in range(10)], out, concurrency=1):
        break
    assert len(results(out)) < 10
    with pytest.raises(UsageError, match="`resume=True`"):
        await anext(rag.batch(["a"], out))
    left = [result async for result in rag.batch([f"cat {n}" for n in range(10)], out, resume=True)]
    assert len(by_id(out)) == 10
    assert len(left) < 10
    # What was under way when the loop was left is gone on with: its drawing may have been lost, not its journal.
    assert set(drawn(generator)) == {f"cat {n}" for n in range(10)}
    assert sum(drawn(generator).values()) <= 11
    assert [result async for result in rag.batch([f"cat {n}" for n in range(10)], out, resume=True)] == []


async def test_a_torn_last_line_is_mended_from_the_run(
    rag: ImageRAG, generator: ScriptedGenerator, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    [_ async for _ in rag.batch(LINES, out, concurrency=1)]
    before, calls = by_id(out), len(generator.calls)
    whole = (out / "results.jsonl").read_bytes()
    (out / "results.jsonl").write_bytes(whole[:-20])
    again = [result.id async for result in rag.batch(LINES, out, resume=True)]
    assert again == ["00003"]
    assert by_id(out) == before
    assert len(generator.calls) == calls


@pytest.mark.parametrize(
    ("lines", "options", "told"),
    [
        (["another cat", *LINES[1:]], {}, "line 1 is not what it was"),
        ([LINES[0], {**LINES[1], "seed": 4}, LINES[2]], {}, "line 2 is not what it was"),
        (LINES, {"max_rounds": 1}, "max_rounds"),
        (LINES, {"nonsense": 1}, "nonsense"),
        ([*LINES, {"id": "dog", "prompt": "x"}], {}, "the same id"),
        ([], {}, "not one prompt"),
    ],
)
async def test_what_changed_is_noticed_before_anything_is_run(
    rag: ImageRAG, generator: ScriptedGenerator, tmp_path: Path, lines: list[Any], options: dict[str, Any], told: str
) -> None:
    out = tmp_path / "out"
    [_ async for _ in rag.batch(LINES, out)]
    before = len(generator.calls), results(out)
    with pytest.raises(UsageError, match=told):
        [_ async for _ in rag.batch(lines, out, resume=True, **options)]
    assert (len(generator.calls), results(out)) == before


async def test_lines_may_be_added_and_mended(rag: ImageRAG, tmp_path: Path) -> None:
    out, bad = tmp_path / "out", {"id": "x", "prompt": "a cat", "max_rounds": 99}
    [_ async for _ in rag.batch(["a dog", bad], out)]
    assert by_id(out)["x"]["status"] == "invalid"
    [_ async for _ in rag.batch(["a dog", {**bad, "max_rounds": 1}, "a bird"], out, resume=True)]
    assert {name: one["status"] for name, one in by_id(out).items()} == dict.fromkeys(("00001", "x", "00003"), "done")


async def test_failures_are_results_and_are_tried_again_when_asked(
    rag: ImageRAG, generator: ScriptedGenerator, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    generator.enqueue(None, QuotaError("nothing left"), ValueError("a bug in a backend"))
    [_ async for _ in rag.batch(["a", "b", "c"], out, concurrency=1)]
    assert [one["status"] for one in results(out)] == ["done", "failed", "failed"]
    assert "nothing left" in by_id(out)["00002"]["reason"]
    assert [_ async for _ in rag.batch(["a", "b", "c"], out, resume=True)] == []
    again = [one.id async for one in rag.batch(["a", "b", "c"], out, resume=True, retry_failed=True)]
    assert sorted(again) == ["00002", "00003"]
    assert {one["id"]: (one["status"], one["run_count"]) for one in results(out)} == {
        "00001": ("done", 1),
        "00002": ("done", 2),
        "00003": ("done", 2),
    }


async def test_so_many_at_once_and_no_more(rag: ImageRAG, generator: ScriptedGenerator, tmp_path: Path) -> None:
    now, most, together = 0, 0, asyncio.Event()

    async def counted(prompt: str, *args: Any, **options: Any) -> GeneratedImage:
        nonlocal now, most
        now, most = now + 1, max(most, now + 1)
        if now == 3:
            together.set()
        await together.wait()
        await asyncio.sleep(0)
        now -= 1
        return GeneratedImage(data=sample_image(prompt))

    generator.generate = counted  # type: ignore[method-assign]
    [_ async for _ in rag.batch([f"cat {n}" for n in range(12)], tmp_path / "out", concurrency=3)]
    assert most == 3
    assert len(results(tmp_path / "out")) == 12


@pytest.mark.parametrize("concurrency", [0, 65])
async def test_a_concurrency_that_cannot_be(rag: ImageRAG, tmp_path: Path, concurrency: int) -> None:
    with pytest.raises(UsageError, match="concurrency"):
        await anext(rag.batch(["a"], tmp_path / "out", concurrency=concurrency))
    assert not (tmp_path / "out").exists()


async def test_the_input_is_streamed(rag: ImageRAG, tmp_path: Path) -> None:
    taken = 0

    def endless() -> Iterator[str]:
        nonlocal taken
        while True:
            taken += 1
            yield f"cat {taken}"

    told = 0
    async for _ in rag.batch(endless(), tmp_path / "out", concurrency=2):
        told += 1
        if told == 3:
            break
    assert taken <= 3 + 2 + 2 + 1, "as far as the workers and what waits to be told"


def price(generator: ScriptedGenerator, rag: ImageRAG) -> None:
    """A drawing costs a dollar; the judge is free."""
    generator.capabilities = Capabilities(tariff=PriceEstimator(known=True, most=lambda *asked: 1.0))
    free = Critique(verdict=Verdict(aligned=True, score=1.0), cost_usd=0.0)
    judge = ScriptedJudge(lambda prompt, image: free)
    judge.capabilities = Capabilities(tariff=FREE)
    rag.dependencies.use("judge", "mine", judge)

    async def dear(prompt: str, *args: Any, **options: Any) -> GeneratedImage:
        await generator._called("generate", prompt=prompt)
        return GeneratedImage(data=sample_image(prompt), cost_usd=1.0)

    generator.generate = dear  # type: ignore[method-assign]


async def test_the_batch_keeps_its_budget_and_goes_on_with_more(
    rag: ImageRAG, generator: ScriptedGenerator, tmp_path: Path
) -> None:
    price(generator, rag)
    lines, out = [f"cat {n}" for n in range(8)], tmp_path / "out"
    options: dict[str, Any] = {"max_rounds": 0, "max_run_cost_usd": 1.0}
    with pytest.raises(BudgetExceededError, match="may spend \\$3"):
        [_ async for _ in rag.batch(lines, out, max_cost_usd=3.5, concurrency=4, **options)]
    assert [one["cost_usd"] for one in results(out)] == [1.0] * 3
    assert len(generator.calls) == 3
    left = [one.id async for one in rag.batch(lines, out, resume=True, max_cost_usd=8.0)]
    assert len(left) == 5
    assert len(by_id(out)) == 8
    assert sum(drawn(generator).values()) == 8


async def test_a_budget_needs_prices_that_are_known(
    rag: ImageRAG, generator: ScriptedGenerator, tmp_path: Path
) -> None:
    told = [one async for one in rag.batch(["a", "b"], tmp_path / "out", max_cost_usd=1.0)]
    assert [one.status for one in told] == ["invalid", "invalid"]
    assert "`max_run_cost_usd`" in told[0].reason
    assert generator.calls == []


async def test_two_processes_do_not_run_the_same_batch(rag: ImageRAG, tmp_path: Path) -> None:
    out = tmp_path / "out"
    async for _ in rag.batch(["a", "b", "c"], out, concurrency=1):
        with pytest.raises(UsageError, match=rf"is being written by process {os.getpid()} \("):
            await anext(rag.batch(["a", "b", "c"], out, resume=True))
        break


async def test_a_folder_with_something_else_is_left_alone(rag: ImageRAG, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("dear to me")
    for resume in (False, True):
        with pytest.raises(UsageError, match="holds something"):
            await anext(rag.batch(["a"], tmp_path / "out", resume=resume))
    (tmp_path / "out" / "mine.txt").unlink()
    assert [one.status async for one in rag.batch(["a"], tmp_path / "out", resume=True)] == ["done"]


def test_without_a_loop(rag: ImageRAG, tmp_path: Path) -> None:
    told = rag.batch_sync(["a", "b"], tmp_path / "out")
    assert all(isinstance(one, BatchResult) for one in told)
    assert len(told) == 2


async def test_an_unknown_library_is_said_at_once(rag: ImageRAG, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere"):
        await anext(rag.batch(["a"], tmp_path / "out", library="nowhere"))
    assert not (tmp_path / "out").exists()
    told = [one async for one in rag.batch([{"prompt": "a", "library": "nowhere"}, "b"], tmp_path / "out")]
    assert {one.id: one.status for one in told} == {"00001": "invalid", "00002": "done"}


async def test_a_backend_that_is_down_fails_lines_and_not_the_batch(
    rag: ImageRAG, generator: ScriptedGenerator, tmp_path: Path
) -> None:
    generator.enqueue(*[BackendError("down", retryable=False)] * 3)
    told = [one async for one in rag.batch(["a", "b", "c", "d"], tmp_path / "out", concurrency=2)]
    assert Counter(one.status for one in told) == {"failed": 3, "done": 1}


async def test_what_was_under_way_when_a_batch_stopped_counts_in_its_budget(
    rag: ImageRAG, generator: ScriptedGenerator, tmp_path: Path
) -> None:
    """Two drawings are cut off: they may be charged for, and the batch that goes on has so much less."""
    generator.capabilities = Capabilities(tariff=PriceEstimator(known=True, most=lambda prompt, images, size: 0.10))
    vars(rag.dependencies.judge(rag.settings.judge))["capabilities"] = Capabilities(tariff=FREE)
    generator.latency_s = 30
    batch = BatchRunner(rag.settings, rag.dependencies, ["a", "b"], tmp_path / "out", concurrency=2)

    async def run() -> None:
        async with aclosing(batch.run()) as results:
            async for _ in results:
                pass

    task = asyncio.create_task(run())
    while len(generator.calls) < 2:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert batch.spent_usd == pytest.approx(0.20)
    generator.latency_s = 0
    again = BatchRunner(rag.settings, rag.dependencies, ["a", "b"], tmp_path / "out", resume=True, max_cost_usd=1.35)
    # A run can cost $1.20 at most; with what is gone of both it does not fit.
    with pytest.raises(BudgetExceededError, match=r"can cost \$1.30"):
        await anext(again.run())
    assert again.spent_usd == pytest.approx(0.20)
    last = BatchRunner(rag.settings, rag.dependencies, ["a", "b"], tmp_path / "out", resume=True)
    told = [one async for one in last.run()]
    assert [one.status for one in told] == ["done", "done"]
    assert last.spent_usd >= 0.20
    assert all(one.calls["generate"] == 2 for one in told)


async def test_a_filter_of_any_form_is_kept_resumed_and_compared_by_its_meaning(rag: ImageRAG, tmp_path: Path) -> None:
    out = tmp_path / "out"
    typed = parse_filter("price>=0 and not tag=draft")
    assert [one.status async for one in rag.batch(["a cat"], out, filter=typed)] == ["done"]
    record = await rag.runs.get(results(out)[0]["run_id"])
    assert record is not None
    assert record.setup.config.filter == typed
    rest = [one async for one in rag.batch(["a cat", "a dog"], out, resume=True)]
    assert [one.id for one in rest] == ["00002"]
    # Another form of the same filter is the same filter; another filter is not.
    again = rag.batch(["a cat", "a dog"], out, resume=True, filter=["price >= 0", "not tag=draft"])
    assert [one async for one in again] == []
    with pytest.raises(UsageError, match=r"started with filter 'price>=0 and not tag=draft', now 'price>=1'"):
        await anext(rag.batch(["a cat", "a dog"], out, resume=True, filter=parse_filter("price>=1")))


async def test_sets_among_the_options_are_plain_data(rag: ImageRAG, tmp_path: Path) -> None:
    options = {"filter": {"kind": {"mug", "cup"}}, "tags": frozenset({"b", "a"})}
    started = manifest(None, rag.settings, options, tmp_path)
    assert started.settings["options"] == {"filter": {"kind": ["cup", "mug"]}, "tags": ["a", "b"]}
    with pytest.raises(UsageError, match="has to be plain data: object"):
        manifest(None, rag.settings, {"tags": [object()]}, tmp_path)
