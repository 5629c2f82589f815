"""The bench runs, says what it measured, and asserts nothing about time."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from imagerag.agent.errors import MissingExtraError, UsageError
from imagerag.agent.images.decoding import decode
from imagerag.agent.types import Outcome, RunConfig, RunSpec
from imagerag.cli.library.group import library_command
from imagerag.evals.bench import (
    caption_to_references,
    encoder_runtimes,
    indexing_speed,
    library_commands,
    library_speed,
    other_indexes,
    report_latency,
)
from imagerag.evals.bench import cli as bench_module
from imagerag.evals.bench.cli import bench, main
from imagerag.evals.bench.embedder_precision import embedder
from imagerag.evals.bench.graph_overhead import PROMPT, ROUNDS, InstantDependencies, instant, plain_loop
from imagerag.evals.bench.synthetic_library import synthetic_library
from imagerag.evals.bench.timing import BenchReport, TimingRow, interleaved, row
from imagerag.graphs.runs.runner import Runner
from imagerag.store.data_dir import DataDir
from imagerag.store.images.blob_store import FileBlobStore
from imagerag.store.library.library import Library
from imagerag.store.library.maintenance.duplicates import find_duplicates


async def test_graph_rows_and_ratios() -> None:
    measured = await bench(["graph"], repeats=2)
    rows = {each.name: each for each in measured.rows}
    assert set(rows) == {"plain loop", "graph", "graph, checkpoints", "graph, checkpoints, journal", "Runner.start"}
    base = rows.pop("plain loop")
    assert base.value
    assert base.ratio is None
    for each in rows.values():
        assert each.n == 2
        assert each.value
        assert each.ratio == pytest.approx(each.value / base.value)


async def test_a_run_of_three_rounds_leaves_at_most_150_kilobytes_of_checkpoints() -> None:
    plain, ours = (await bench(["storage"], repeats=3)).rows
    assert ours.value
    assert plain.value
    assert ours.value <= 150
    assert ours.ratio == pytest.approx(ours.value / plain.value)
    assert ours.ratio < 0.3


async def test_the_plain_loop_makes_the_calls_of_the_run_it_is_compared_with(tmp_path: Path) -> None:
    runner = Runner(dependencies=InstantDependencies(DataDir(tmp_path)))
    record = None
    async for event in runner.start(
        PROMPT, RunSpec(generator="instant", judge="instant", config=RunConfig(max_rounds=ROUNDS))
    ):
        record = event.record or record
    assert record
    assert record.outcome == Outcome.BEST_EFFORT
    judge: Any = instant().judge
    judge.calls.clear()
    assert len(await plain_loop(FileBlobStore(tmp_path / "plain"))) == ROUNDS + 1
    plain = Counter(f"judge.{call.method}" for call in judge.calls)
    assert record.calls == {**plain, "generate": ROUNDS + 1}
    assert len(record.searches) == 2 * ROUNDS
    assert all(len(attempt.references) == 2 for attempt in record.attempts[1:])


async def test_the_report_that_is_measured_is_of_eight_photographs_and_the_list_of_ten_thousand(tmp_path: Path) -> None:
    home = DataDir(tmp_path)
    await report_latency._long_run(home)
    runner = Runner(dependencies=InstantDependencies(home))
    record = await runner.record(report_latency.RUN)
    assert len({attempt.image.sha256 for attempt in record.attempts}) == report_latency.ATTEMPTS
    assert record.attempts[0].image.width == report_latency.SIDE
    report_latency._fill(home.run_list)
    assert await report_latency._time_listing(home) > 0


async def test_embedder_rows_with_a_tiny_model(monkeypatch: pytest.MonkeyPatch) -> None:
    import open_clip

    from imagerag.tools.sketch.registration import SKETCH_CLIP

    folder = Path(SKETCH_CLIP)
    monkeypatch.setattr(
        open_clip, "create_model", lambda *_, **__: open_clip.create_model_from_pretrained(f"local-dir:{folder}")[0]
    )
    rows = await embedder(1, batches=(1, 2))
    assert [each.name for each in rows] == [
        f"{tower} {kind}, batch {size}" for tower in ("images", "texts") for size in (1, 2) for kind in ("fp32", "bf16")
    ]
    assert all(each.value and each.unit.endswith("/s") for each in rows)


async def quick(repeats: int) -> list[TimingRow]:
    return [
        row("start", "quick", [0.001] * repeats),
        row("start", "slow", [0.002], against=("quick", [0.001]), note="why"),
    ]


def test_the_command_prints_a_table_or_a_document(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(bench_module.SECTIONS, "start", (quick, 3))
    assert main(["--sections", "start"]) == 0
    printed = capsys.readouterr()
    quickly, slowly = printed.out.splitlines()[-2:]
    assert " ".join(quickly.split()) == "quick 1.0 ms (fastest 1.0, 1.0 to 1.0, n 3)"
    assert " ".join(slowly.split()) == "slow 2.0 ms (fastest 2.0, 2.0 to 2.0, n 1) 2.00 x quick why"
    assert "measuring start" in printed.err
    assert main(["--sections", "start", "--repeats", "1", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "imagerag.bench/1"
    assert [each.n for each in BenchReport.model_validate(document).rows] == [1, 1]


def test_wrong_use_exits_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--sections", "nothing"])
    assert stopped.value.code == 2
    assert "there are: graph" in capsys.readouterr().err
    with pytest.raises(UsageError):
        asyncio.run(bench(["graph"], repeats=0))


async def test_a_section_that_cannot_run_does_not_hide_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(_: int) -> list[TimingRow]:
        raise RuntimeError("no such thing here")

    monkeypatch.setitem(bench_module.SECTIONS, "start", (broken, 1))
    monkeypatch.setitem(bench_module.SECTIONS, "first", (quick, 1))
    measured = await bench(["start", "first"], repeats=1)
    assert [each.value is None for each in measured.rows] == [True, False, False]
    assert "no such thing here" in measured.table()


async def test_work_is_measured_in_turns_and_warm_rounds_are_left_out() -> None:
    done: list[str] = []

    async def one() -> None:
        done.append("one")

    async def other() -> None:
        done.append("other")

    times = await interleaved({"one": one, "other": other}, 2, warm=1)
    assert done == ["one", "other"] * 3
    assert [len(spent) for spent in times.values()] == [2, 2]
    made = row("s", "n", [0.001, 0.003, 0.002], against=("b", [0.001]))
    assert [made.value, made.ratio, made.n] == pytest.approx([2, 2, 3])


async def no_indexing(repeats: int, *, files: int) -> list[TimingRow]:
    return [TimingRow(section="library", name=f"{files} files", value=1, unit="s")]


async def no_commands(library: Library, folder: Path, progress: Callable[[str], None]) -> list[TimingRow]:
    return [TimingRow(section="library", name=f"commands on {await library.count()}", value=1, unit="MB")]


def small_text_encoder() -> Any:
    class Net:
        def encode_text(self, tokens: Sequence[str], *, normalize: bool) -> None:
            time.sleep(0.001 * len(tokens))

    return Net(), list


@pytest.mark.parametrize(("rows", "aim"), [(99_999, None), (100_000, 0.8), (350_000, 0.4), (1_000_000, 0.4)])
def test_a_search_has_the_aim_of_a_library_of_its_size(rows: int, aim: float | None) -> None:
    aims = library_speed.aims_of(rows)
    assert (aims.get("search"), aims["hybrid search"]) == (aim, 2.0)


async def test_a_library_is_measured_beside_other_ways_at_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library_speed, "ASKED", 5)
    monkeypatch.setattr(library_speed, "indexing", no_indexing)
    monkeypatch.setattr(library_speed, "commands", no_commands)
    monkeypatch.setattr(caption_to_references, "text_encoder", small_text_encoder)
    measured = await bench(["library"], repeats=1, rows=400)
    rows = {each.name: each for each in measured.rows}
    assert {each.section for each in measured.rows} == {"library"}
    timed = ("numpy matmul", "search", "hybrid search", "search of 4 captions", "as the ImageRAG paper's code",
             "search, licence filter", "search, metadata filter")  # fmt: skip
    assert all((rows[name].value or 0) > 0 and rows[name].n == 3 for name in timed)
    assert (rows["text encoding alone"].value or 0) > 0
    assert rows["caption to references with bytes"].against == "text encoding alone"
    assert (rows["caption to references with bytes"].ratio or 0) > 1
    assert rows["search"].note == "recall@10 1.000"
    assert (rows["search"].against, rows["hybrid search"].against) == ("numpy matmul", "search")
    assert {"calibrate", "memory of calibrate", "is_stale", "faiss flat", "faiss HNSW", "usearch"} <= rows.keys()
    assert {"200 files", "commands on 400"} <= rows.keys()
    for name in ("faiss flat", "faiss HNSW", "usearch"):
        assert (rows[name].against, rows[f"build {name}"].unit) == ("numpy matmul", "s")
        assert rows[name].note.startswith("recall@10 ")


async def test_graphs_are_built_up_to_a_size_and_a_library_is_measured_in_parts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(library_speed, "ASKED", 5)
    measured = await bench(["library"], repeats=1, rows=200, graphs_to=199, parts=["searching"])
    rows = {each.name: each for each in measured.rows}
    assert (rows["faiss flat"].value or 0) > 0
    for name in ("faiss HNSW", "usearch"):
        assert rows[name].value is None
        assert rows[name].note == "not built above 199 rows: that takes minutes; --graphs-to 200 builds it"
        assert rows[name].note in measured.table()
    assert not {"calibrate", "text encoding alone", "unchanged folder"} & rows.keys()
    with pytest.raises(UsageError, match="no part 'searchin'"):
        await bench(["library"], parts=["searchin"])


def test_every_command_on_a_library_is_measured() -> None:
    measured = {" ".join(command.split(" ")[:2]) for command in library_commands.COMMANDS}
    assert {f"library {name}" for name in library_command.commands} <= measured


async def test_commands_on_a_library_tell_their_memory_and_those_that_fail_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = await synthetic_library(DataDir(tmp_path / "home"), "bench", 300)
    given = (*library_commands.COMMANDS[:1], "library dedupe {0}", "library info nothing")
    monkeypatch.setattr(library_commands, "COMMANDS", given)
    told: list[str] = []
    trusted, alike, failed = await library_commands.commands(library, tmp_path / "out", told.append)
    assert [text.partition(":")[0] for text in told] == [trusted.name, alike.name, failed.name]
    assert (trusted.name, alike.name) == ("trust --spec synthetic", "library dedupe bench")
    assert trusted.value
    assert alike.value
    assert 50 < alike.value < 2000
    assert "CPU s" in alike.note
    assert failed.value is None
    assert failed.note.startswith("exit 2: imagerag: ")
    assert "no library 'nothing'" in failed.note
    assert library.image_threshold is None, "only the commands are told a threshold"
    found = await find_duplicates(library, threshold=library_commands.ALIKE)
    assert {group.kept.title for group in found.groups} == {"Object 98", "Object 198", "Object 298"}


async def test_indexing_is_measured_beside_its_encoder_with_the_aim_of_each_figure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from imagerag.tools.embedders.openclip import OpenClipEmbedder
    from imagerag.tools.sketch.registration import SKETCH_CLIP

    tiny = OpenClipEmbedder(f"local-dir:{SKETCH_CLIP}")
    monkeypatch.setattr(indexing_speed, "random_encoder", lambda model, folder: nullcontext(tiny))
    monkeypatch.setattr(indexing_speed, "SIZES", {"small JPEGs": (320, 240, 6, 0.9)})
    alone, whole, disk, first, again = await indexing_speed.indexing(2, files=4)
    assert alone.value
    assert whole.value
    assert (whole.ratio, whole.against) == (pytest.approx(whole.value / alone.value), "encoder alone")
    assert (whole.note, disk.note) == ("aim: at least 0.9", "of the folder, vectors aside; aim: at most 5 %")
    assert first.value
    assert again.value
    assert again.ratio == pytest.approx(again.value * whole.value / 4)


def test_photographs_of_the_bench_are_all_different_files(tmp_path: Path) -> None:
    indexing_speed.photographs(tmp_path / "photos", 64, 48, 9)
    files = sorted((tmp_path / "photos").iterdir())
    assert len({one.read_bytes() for one in files}) == 9
    assert all(decode(one.read_bytes()).image.size == (64, 48) for one in files)


async def test_the_encoder_of_the_bench_has_random_weights_of_its_architecture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import open_clip

    from imagerag.tools.sketch.registration import SKETCH_CLIP

    made = open_clip.create_model_from_pretrained(f"local-dir:{SKETCH_CLIP}")[0]
    monkeypatch.setattr(open_clip, "create_model", lambda *_, **__: made)
    with indexing_speed.random_encoder(indexing_speed.MODEL, tmp_path) as encoder:
        assert encoder.identity.dimension == 512
        assert encoder.identity.weights.startswith("sha256:")
    assert not list(tmp_path.iterdir())


async def test_what_is_not_installed_is_left_out_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(library_speed, "ASKED", 5)
    monkeypatch.setattr(other_indexes, "import_module", missing)
    measured = await bench(["library"], repeats=1, rows=200, parts=["searching"])
    rows = {each.name: each for each in measured.rows}
    assert rows["faiss flat"].value is None
    assert "No module named 'faiss'" in rows["faiss flat"].note
    assert rows["search"].value is not None
    with pytest.raises(UsageError, match="at least 100 rows"):
        await bench(["library"], rows=99)


async def test_runtimes_of_an_encoder_are_compared_in_time_and_in_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    from imagerag.tools.embedders.openclip import OpenClipEmbedder
    from imagerag.tools.sketch.registration import SKETCH_CLIP

    tiny = OpenClipEmbedder(f"local-dir:{SKETCH_CLIP}")
    monkeypatch.setattr(encoder_runtimes, "random_encoder", lambda model, folder: nullcontext(tiny))
    monkeypatch.setattr(encoder_runtimes, "_encoders", lambda spec: {"torch fp32": tiny, "onnx int8": tiny})
    rows = await encoder_runtimes.encoder_runtimes(1)
    assert [each.name for each in rows] == [
        f"{tower} {name}, 32 at once" for tower in ("images", "texts") for name in ("torch fp32", "onnx int8")
    ]
    assert all(each.value and each.note == "lowest cosine 1.00000" for each in rows)
    assert [each.against for each in rows] == ["", "torch fp32's time"] * 2


async def test_runtimes_that_are_not_installed_are_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(spec: str) -> dict[str, Any]:
        raise MissingExtraError("runtime=onnx", "onnx")

    encoder = SimpleNamespace(identity=SimpleNamespace(spec="open_clip:x"))
    monkeypatch.setattr(encoder_runtimes, "random_encoder", lambda model, folder: nullcontext(encoder))
    monkeypatch.setattr(encoder_runtimes, "_encoders", missing)
    (only,) = await encoder_runtimes.encoder_runtimes(1)
    assert only.value is None
    assert "not measured" in only.note
