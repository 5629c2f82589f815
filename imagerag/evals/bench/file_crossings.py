"""Crossings of `imagerag generate` between files: a run of two attempts on the sketch world, in one process.

The process is new, so no cache of an earlier run counts; the library is built before.
"""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Final

from imagerag.evals.bench.command_latency import KINDS, prompts
from imagerag.evals.bench.timing import TimingRow

PAIRS: Final = 20
"""Pairs of files that are shown, the most crossings first."""

TRACED: Final = """
import json, sys
from imagerag.cli import main
from imagerag.evals.bench.call_tracer import CallTracer

with CallTracer() as tracer:
    try:
        code = main(sys.argv[1:])
    except SystemExit as ended:
        code = ended.code
if code:
    sys.exit(code)
pairs = [[*pair, count] for pair, count in tracer.crossings.most_common()]
print(json.dumps({"files": len(tracer.files), "crossings": tracer.total, "pairs": pairs}))
"""
"""Runs the command under the tracer: the command line is above this layer, so that it cannot be imported here."""


async def calls(repeats: int) -> list[TimingRow]:
    """Files entered and crossings of a run of two attempts, and the pairs of files with the most of them."""
    with TemporaryDirectory(prefix="imagerag-bench-") as folder:
        await asyncio.to_thread(traced_run, Path(folder))  # warm-up: builds the library
        runs = [await asyncio.to_thread(traced_run, Path(folder)) for _ in range(repeats)]
    last = runs[-1]
    measures = {"files entered": [run["files"] for run in runs], "crossings": [run["crossings"] for run in runs]}
    rows = [
        TimingRow(
            section="calls", name=name, value=median(counts), unit="", spread=(min(counts), max(counts)), n=repeats
        )
        for name, counts in measures.items()
    ]
    return rows + [
        TimingRow(section="calls", name=f"{caller} > {entered}", value=count, unit="", n=1)
        for caller, entered, count in last["pairs"][:PAIRS]
    ]


def traced_run(home: Path) -> dict[str, Any]:
    """Run `imagerag generate` once under the tracer; returns the numbers of files and crossings, and the pairs."""
    command = [sys.executable, "-c", TRACED, "--home", str(home), "generate", prompts()[KINDS[1]]]
    process = subprocess.run(command, capture_output=True, text=True, env=_environment(), check=False)
    if process.returncode:
        raise RuntimeError(f"exit {process.returncode}: {process.stderr.strip()[-300:]}")
    counted: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    return counted


def _environment() -> dict[str, str]:
    """The environment without variables that name other models."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("IMAGERAG_", "OPENAI_"))}
