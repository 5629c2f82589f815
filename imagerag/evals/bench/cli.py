"""Benchmarks: `python -m imagerag.evals.bench [--json] [--sections graph,start] [--repeats N] [--rows N]`.

Timings that are compared are taken in one process, interleaved, and shown as medians and ratios. Nothing is asserted:
times depend on the machine.
"""

import argparse
import asyncio
import json
import os
import platform
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Any, Final

from imagerag.agent.errors import UsageError
from imagerag.evals.bench.checkpoint_sizes import storage
from imagerag.evals.bench.command_latency import first_run, search, sketch_runs, start
from imagerag.evals.bench.embedder_precision import embedder
from imagerag.evals.bench.encoder_runtimes import encoder_runtimes
from imagerag.evals.bench.file_crossings import calls
from imagerag.evals.bench.graph_overhead import graph
from imagerag.evals.bench.library_speed import FEWEST, PARTS, ROWS, library
from imagerag.evals.bench.other_indexes import GRAPHS_TO
from imagerag.evals.bench.provider_concurrency import provider
from imagerag.evals.bench.report_latency import reports
from imagerag.evals.bench.timing import BenchReport, TimingRow
from imagerag.formatting.messages import unknown as unknown_name

SECTIONS: Final[Mapping[str, tuple[Callable[[int], Awaitable[list[TimingRow]]], int]]] = {
    "graph": (graph, 30),
    "storage": (storage, 10),
    "sketch": (sketch_runs, 15),
    "first": (first_run, 3),
    "start": (start, 10),
    "search": (search, 5),
    "library": (library, 10),
    "report": (reports, 5),
    "calls": (calls, 3),
    "embedder": (embedder, 5),
    "runtimes": (encoder_runtimes, 5),
    "provider": (provider, 2),
}
"""What there is to measure, and how often by default."""


async def bench(
    sections: Iterable[str] = tuple(SECTIONS),
    *,
    repeats: int | None = None,
    rows: int = ROWS,
    graphs_to: int = GRAPHS_TO,
    parts: Sequence[str] = PARTS,
    progress: Callable[[str], None] = lambda section: None,
) -> BenchReport:
    """Run the sections and return their figures.

    Args:
        sections: names from `SECTIONS`.
        repeats: measurements of each figure; by default the section's own number.
        rows: number of images in the library of the section `library`.
        graphs_to: rows up to which graph indexes are built beside that library.
        parts: what is measured of that library, of `PARTS`.
        progress: called with what is measured: the name of each section as it begins, and each command of a library.

    Raises:
        UsageError: an unknown section, or fewer than one measurement.
    """
    names = tuple(dict.fromkeys(sections))
    if unknown := [section for section in names if section not in SECTIONS]:
        raise UsageError(unknown_name("section", unknown[0], SECTIONS))
    if unknown := [part for part in parts if part not in PARTS]:
        raise UsageError(unknown_name("part", unknown[0], PARTS, where="the section library"))
    if repeats is not None and repeats < 1:
        raise UsageError(f"each thing has to be measured at least once, not {repeats} times")
    if rows < FEWEST:
        raise UsageError(f"a library to be measured has at least {FEWEST} rows, not {rows}")
    began, results = time.monotonic(), list[TimingRow]()
    for section in names:
        progress(f"measuring {section} …")
        measure, usual = SECTIONS[section]
        try:
            if measure is library:
                results += await library(
                    repeats or usual, rows=rows, graphs_to=graphs_to, parts=parts, progress=progress
                )
            else:
                results += await measure(repeats or usual)
        except Exception as error:
            # A section that cannot run here must not hide the figures of the others.
            results.append(
                TimingRow(section=section, name=section, value=None, unit="", note=f"{type(error).__name__}: {error}")
            )
    return BenchReport(machine=machine(), rows=tuple(results), elapsed_s=round(time.monotonic() - began, 3))


def machine() -> dict[str, Any]:
    """Describe the machine: cores, threads, versions."""
    import torch

    return {
        "cores": os.cpu_count(),
        "torch threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "python": platform.python_version(),
        "torch": version("torch"),
        "langgraph": version("langgraph"),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line: table or JSON document on stdout, progress on stderr."""
    parser = argparse.ArgumentParser(prog="python -m imagerag.evals.bench", description="How fast imagerag is here.")
    parser.add_argument("--json", action="store_true", help="print one imagerag.bench/1 document")
    parser.add_argument("--sections", default=",".join(SECTIONS), help="comma-separated; by default all: %(default)s")
    parser.add_argument("--repeats", type=int, help="measurements of each thing")
    parser.add_argument(
        "--rows", type=int, default=ROWS, help="of the library that is searched; by default %(default)s"
    )
    parser.add_argument(
        "--graphs-to", type=int, default=GRAPHS_TO, metavar="ROWS",
        help="build the graphs of faiss and usearch for a library of up to so many rows; by default %(default)s",
    )  # fmt: skip
    parser.add_argument("--parts", default=",".join(PARTS), help="of the section library; by default all: %(default)s")
    options = parser.parse_args(arguments)
    sections, parts = ([name for name in names.split(",") if name] for names in (options.sections, options.parts))
    work = bench(
        sections, repeats=options.repeats, rows=options.rows, graphs_to=options.graphs_to, parts=parts, progress=_tell
    )
    try:
        measured = asyncio.run(work)
    except UsageError as error:
        parser.error(str(error))
    print(json.dumps(measured.model_dump(mode="json", by_alias=True), indent=2) if options.json else measured.table())
    return 0


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
