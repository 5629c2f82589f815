"""Latency of reports: the report of a long run, and the list of ten thousand runs.

Both are measured as commands in a new process, in processor time: on a busy machine wall time depends on other
programs. The report's images are as large and as detailed as photographs.
"""

import asyncio
import json
import os
import resource
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from imagerag.agent.types import RunConfig, RunSpec
from imagerag.evals.bench.command_latency import COMMAND
from imagerag.evals.bench.graph_overhead import PROMPT, InstantDependencies, instant
from imagerag.evals.bench.timing import TimingRow, row
from imagerag.graphs.dependencies import Backends
from imagerag.graphs.runs.runner import Runner
from imagerag.store.data_dir import DataDir
from imagerag.store.run_index import RunIndex
from imagerag.tools.testing.fakes import ScriptedGenerator

ATTEMPTS: Final = 8
LISTED: Final = 10_000
SIDE: Final = 1024
"""Pixels of an image's side."""

RUN: Final = "bench"

MADE: Final = """
import asyncio, json, sys, time
from imagerag import ImageRAG

async def made():
    rag = ImageRAG(preset="sketch", home=sys.argv[1])
    await rag.runs.report(sys.argv[2])
    began = time.process_time()
    page = await rag.runs.report(sys.argv[2])
    print(json.dumps({"s": time.process_time() - began, "bytes": len(page.encode())}))

asyncio.run(made())
"""
"""Makes a report twice, in a process of its own: the client is above this layer. The second finds all loaded."""


@dataclass(frozen=True)
class PhotoDependencies(InstantDependencies):
    """Backends that respond at once, with a new image as detailed as a photograph every time."""

    async def parts(self, setup: RunSpec) -> Backends:
        """The instant backends, with another generator."""
        return replace(instant(), generator=ScriptedGenerator(*map(photo, range(ATTEMPTS))))


def photo(number: int) -> bytes:
    """An image as detailed as a photograph."""
    from PIL import Image

    noise = Image.effect_noise((SIDE // 8, SIDE // 8), 60 + number).resize((SIDE, SIDE))
    out = BytesIO()
    Image.merge("RGB", [noise, noise.rotate(90), noise.rotate(180)]).save(out, "PNG", compress_level=1)
    return out.getvalue()


async def reports(repeats: int) -> list[TimingRow]:
    """The report of a run of eight attempts, and the list of ten thousand runs."""
    with TemporaryDirectory(prefix="imagerag-bench-") as folder:
        home = DataDir(Path(folder))
        await _long_run(home)
        out = Path(folder) / "report.html"
        timings = [await asyncio.to_thread(_json_of, [sys.executable, "-c", MADE, folder, RUN]) for _ in range(repeats)]
        report = _command(folder, "report", RUN, "--out", str(out))
        started = [await asyncio.to_thread(_cpu_seconds, report) for _ in range(repeats)]
        await asyncio.to_thread(_fill, home.run_list)
        runs = [await _time_listing(home) for _ in range(repeats)]
        listing = _command(folder, "runs", "-n", str(LISTED))
        listed = [await asyncio.to_thread(_cpu_seconds, listing) for _ in range(repeats)]
    size = f"{timings[0]['bytes'] / 1e6:.2f} MB; target: under 1 s and 5 MB"
    return [
        row("report", f"report of {ATTEMPTS} attempts", [each["s"] for each in timings], note=f"processor; {size}"),
        row("report", "imagerag report", started, note="processor, its own process, all that is loaded included"),
        row("report", f"{LISTED:,} runs read", runs, note="processor"),
        row("report", f"imagerag runs -n {LISTED}", listed, note="processor, its own process; target: under 1 s"),
    ]


async def _long_run(home: DataDir) -> None:
    config = RunConfig(max_rounds=ATTEMPTS - 1)
    setup = RunSpec(generator="instant", judge="instant", config=config)
    _ = [event async for event in Runner(dependencies=PhotoDependencies(home)).start(PROMPT, setup, run_id=RUN)]


def _fill(path: Path) -> None:
    """Copy the only run until there are enough."""
    with closing(sqlite3.connect(path)) as connection, connection:
        names = [column[1] for column in connection.execute("PRAGMA table_info(runs)")]
        rest = ", ".join(name for name in names if name != "run_id")
        connection.execute(
            f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {LISTED - 1}) "
            f"INSERT INTO runs (run_id, {rest}) SELECT run_id || '-' || i, {rest} FROM runs, n"
        )


async def _time_listing(home: DataDir) -> float:
    began = time.process_time()
    entries = await RunIndex(home.run_list).list(None)
    assert len(entries) == LISTED, "as many as were put there"
    return time.process_time() - began


def _command(home: str, *arguments: str) -> Sequence[str]:
    return [sys.executable, "-c", COMMAND, "--home", home, *arguments]


def _cpu_seconds(command: Sequence[str]) -> float:
    """Processor seconds of a process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    _run(command)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _json_of(command: Sequence[str]) -> dict[str, Any]:
    """The JSON that a process prints."""
    document: dict[str, Any] = json.loads(_run(command))
    return document


def _run(command: Sequence[str]) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if process.returncode:
        raise RuntimeError(f"exit {process.returncode}: {process.stderr.strip()[-300:]}")
    return process.stdout
