"""Latency of commands: sketch runs, the first run in a new home, a search, and the start of the program."""

import asyncio
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from imagerag.agent.run_record import RunRecord
from imagerag.agent.types import BUILT_IN_LIBRARY, RunSpec
from imagerag.evals.bench.timing import TimingRow, Work, interleaved, row
from imagerag.evals.sketch.loop import generator_knows
from imagerag.graphs.dependencies import Dependencies
from imagerag.graphs.runs.runner import Runner
from imagerag.store.data_dir import DataDir
from imagerag.tools.sketch.catalogue import products
from imagerag.tools.sketch.world import describe

KINDS: Final = ("nothing missing", "one thing missing", "not in the library")
"""A prompt of known things; one that needs the library; one that no reference helps."""

COMMAND: Final = "import sys; from imagerag.cli import main; sys.exit(main())"
"""The `imagerag` command, wherever scripts are installed."""


def prompts() -> dict[str, str]:
    """A prompt for each of `KINDS`, against the built-in catalogue."""
    plain = "a red solid circle"
    unknown = next(product.thing for product in products() if not generator_knows(product.thing))
    return dict(zip(KINDS, (plain, f"{plain} and {describe(unknown)}", "a black checkered hexagon"), strict=True))


async def sketch_runs(repeats: int) -> list[TimingRow]:
    """Runs of the built-in preset as `imagerag generate` makes them: every step is saved, models are loaded once."""
    with TemporaryDirectory(prefix="imagerag-bench-") as folder:
        runner = Runner(dependencies=Dependencies(DataDir(Path(folder))))
        prompt_texts = prompts()
        records: dict[str, RunRecord] = {}

        def work(name: str) -> Work:
            async def one() -> None:
                records[name] = await _run(runner, prompt_texts[name])

            return one

        times = await interleaved({name: work(name) for name in prompt_texts}, repeats)
    return [
        row("sketch", name, spent, note=f"{records[name].outcome}, {len(records[name].attempts)} drawn")
        for name, spent in times.items()
    ]


async def _run(runner: Runner, prompt: str) -> RunRecord:
    record = None
    async for event in runner.start(prompt, RunSpec(generator="sketch", judge="sketch", library=BUILT_IN_LIBRARY)):
        record = event.record or record
    assert record is not None, "a run's last event carries its record"
    return record


async def start(repeats: int) -> list[TimingRow]:
    """Start of the program: `--help`, beside Python itself."""
    bare, command = [sys.executable, "-c", "pass"], [sys.executable, "-c", COMMAND, "--help"]
    if problem := await _problem(command):
        return [TimingRow(section="start", name="imagerag --help", value=None, unit="ms", note=problem)]
    times = await interleaved({"python": _process(bare), "imagerag --help": _process(command)}, repeats)
    return [
        row("start", "python -c pass", times["python"]),
        row("start", "imagerag --help", times["imagerag --help"], against=("python", times["python"])),
    ]


async def search(repeats: int) -> list[TimingRow]:
    """A search as a command in a new process, beside the import of torch. Two measurements of the import are enough."""
    command = [sys.executable, "-c", COMMAND, "search", prompts()[KINDS[0]], "--library", BUILT_IN_LIBRARY]
    with TemporaryDirectory(prefix="imagerag-bench-") as folder:
        environment = {**os.environ, "IMAGERAG_HOME": folder}
        if problem := await _problem(command, environment):  # warm-up: builds the library
            return [TimingRow(section="search", name="imagerag search", value=None, unit="ms", note=problem)]
        torch = _process([sys.executable, "-c", "import torch"])
        times = await interleaved({"torch": torch, "search": _process(command, environment)}, repeats)
    return [
        row("search", "import torch", times["torch"]),
        row("search", "imagerag search", times["search"], against=("import torch", times["torch"])),
    ]


async def first_run(repeats: int) -> list[TimingRow]:
    """The demo in a new home, as `make demo` runs it: models are loaded and the library is built."""
    spent: list[float] = []
    for _ in range(min(repeats, 3)):
        with TemporaryDirectory(prefix="imagerag-bench-") as folder:
            command = [sys.executable, "-c", COMMAND, "demo", "--out", str(Path(folder) / "demo")]
            environment = {**os.environ, "IMAGERAG_HOME": str(Path(folder) / "home")}
            if not spent and (problem := await _problem([*command[:3], "demo", "--help"])):
                return [TimingRow(section="first", name="imagerag demo", value=None, unit="ms", note=problem)]
            once = await interleaved({"demo": _process(command, environment)}, 1, warm=0)
            spent += once["demo"]
    return [row("first", "imagerag demo", spent, note="its own process, an empty home")]


def _process(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Work:
    async def once() -> None:
        if problem := await _problem(command, environment):
            raise RuntimeError(problem)

    return once


async def _problem(command: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
    """Run a command to its end; returns why it failed, or an empty string."""
    process = await asyncio.create_subprocess_exec(
        *command, env=environment, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    _, stderr = await process.communicate()
    if not process.returncode:
        return ""
    lines = stderr.decode(errors="replace").strip().splitlines() or ["nothing on stderr"]
    return f"exit {process.returncode}: {json.dumps(lines[-1][:200])}"
