"""Overhead of the harness beside the loop: `python -m imagerag.evals.bench.harness_overhead [CASES]`.

The same cases with the same arm on the sketch world, interleaved: through the harness (initial images, journal,
results, sorting, only counting metrics) and through the product's own `Runner` in a plain loop. The processor time of
the whole process (user and system) is compared, as other programs hardly change it; wall time is shown beside it. Set
`OMP_NUM_THREADS=1`: idle threads of the models spin. Memory is the resident memory after each round.
"""

import asyncio
import resource
import sys
import time
from collections.abc import Awaitable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from imagerag.agent.types import RunSpec
from imagerag.evals.dependencies import EvalDependencies, dependencies_for
from imagerag.evals.harness.arms import parse_arms
from imagerag.evals.harness.plan import Plan
from imagerag.evals.harness.results_store import ResultsStore
from imagerag.evals.harness.runner import EvalRunner
from imagerag.evals.metrics.cost import CostScore
from imagerag.evals.suites.sketch import sketch_suite
from imagerag.graphs.dependencies import Dependencies
from imagerag.graphs.runs.runner import Runner
from imagerag.store.data_dir import DataDir

TURNS: Final = 3


async def overhead(folder: Path, cases: int) -> dict[str, Any]:
    """Processor and wall seconds of both, summed over all rounds, and the harness's overhead relative to the loop.

    Args:
        folder: an empty folder.
        cases: number of cases.
    """
    suite = sketch_suite(max(cases, 6))
    setup = RunSpec(generator="sketch", judge="sketch", library="sketch-rare-200")
    plan = Plan(suite=suite, arms=parse_arms("full"), setup=setup)
    dependencies = dependencies_for(DataDir(folder / "home"), DataDir(folder / "users"), suite.libraries)
    await dependencies.library("sketch-rare-200")
    # Encode the texts and import the modules before, so that neither side pays for it.
    await _plain(dependencies, plan, folder / "first")
    await _harnessed(dependencies, plan, folder / "first-harness")
    spent: dict[str, list[tuple[float, float]]] = {"harness": [], "runner": []}
    resident: list[int] = []
    for turn in range(TURNS):
        spent["harness"].append(await _measure(_harnessed(dependencies, plan, folder / f"harness-{turn}")))
        spent["runner"].append(await _measure(_plain(dependencies, plan, folder / f"runner-{turn}")))
        resident.append(await asyncio.to_thread(_resident))
    cpu = {name: sum(cpu for cpu, _ in times) for name, times in spent.items()}
    each = [round(h / r - 1, 3) for (h, _), (r, _) in zip(spent["harness"], spent["runner"], strict=True)]
    return {
        "cases": TURNS * len(plan.keys),
        **{f"{name}_cpu_s": round(total, 2) for name, total in cpu.items()},
        **{f"{name}_wall_s": round(sum(wall for _, wall in times), 2) for name, times in spent.items()},
        "overhead": round(cpu["harness"] / cpu["runner"] - 1, 3),
        "overhead_by_turn": each,
        "resident_mib": resident,
    }


async def _measure(work: Awaitable[None]) -> tuple[float, float]:
    """Measure processor and wall seconds."""
    cpu, wall = time.process_time(), time.perf_counter()
    await work
    return time.process_time() - cpu, time.perf_counter() - wall


async def _harnessed(dependencies: EvalDependencies, plan: Plan, folder: Path) -> None:
    own = dependencies_for(DataDir(folder / "home"), DataDir(folder / "users"), plan.suite.libraries)
    own._made.update(dependencies._made)
    harness = EvalRunner(plan, own, [CostScore()], ResultsStore(folder, plan.keys), concurrency=1)
    await harness.run()
    harness.store.finish()


async def _plain(dependencies: EvalDependencies, plan: Plan, folder: Path) -> None:
    """Run the same cases with the product's own runner, with its checkpoints and its journal."""
    own = Dependencies(DataDir(folder))
    own._made.update(dependencies._made)
    runner = Runner(dependencies=own, durability="exit")
    for case in plan.suite.cases:
        async for _ in runner.start(case.prompt, plan.arms[0].of(plan.setup, seed=case.seeds[0], cache="record")):
            pass


def _resident() -> int:
    """Resident memory of the process in MiB; its peak where the system does not report the current value."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return pages * resource.getpagesize() // 2**20


def main() -> None:
    """Print the figures."""
    cases = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    with TemporaryDirectory(prefix="imagerag-overhead-") as folder:
        print(asyncio.run(overhead(Path(folder), cases)))


if __name__ == "__main__":
    main()
