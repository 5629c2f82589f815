"""Overhead of the harness beside the loop: `python -m imagerag.evals.bench.harness_overhead [CASES]`.

The same cases with the same arm, on the sketch world: through the harness (drafts, journal, results, sorting, no
metrics but counts) and through the product's own `Runner` in a plain loop, in turns. What is compared is the processor
time of the whole process (user and system), which other programs on the machine change little; wall time is beside it.
Set `OMP_NUM_THREADS=1`: idle threads of the models spin. Memory is what the process holds after each turn.
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
    """Processor and wall seconds of both, the sum of all turns, and the harness's share beyond the loop.

    Args:
        folder: an empty one.
        cases: how many.
    """
    suite = sketch_suite(max(cases, 6))
    setup = RunSpec(generator="sketch", judge="sketch", library="sketch-rare-200")
    plan = Plan(suite=suite, arms=parse_arms("full"), setup=setup)
    made = dependencies_for(DataDir(folder / "home"), DataDir(folder / "users"), suite.libraries)
    await made.library("sketch-rare-200")
    # Texts are encoded once and modules imported once, for both alike.
    await _plain(made, plan, folder / "first")
    await _harnessed(made, plan, folder / "first-harness")
    spent: dict[str, list[tuple[float, float]]] = {"harness": [], "runner": []}
    resident: list[int] = []
    for turn in range(TURNS):
        spent["harness"].append(await _timed(_harnessed(made, plan, folder / f"harness-{turn}")))
        spent["runner"].append(await _timed(_plain(made, plan, folder / f"runner-{turn}")))
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


async def _timed(work: Awaitable[None]) -> tuple[float, float]:
    """Processor and wall seconds."""
    cpu, wall = time.process_time(), time.perf_counter()
    await work
    return time.process_time() - cpu, time.perf_counter() - wall


async def _harnessed(made: EvalDependencies, plan: Plan, folder: Path) -> None:
    own = dependencies_for(DataDir(folder / "home"), DataDir(folder / "users"), plan.suite.libraries)
    own._made.update(made._made)
    harness = EvalRunner(plan, own, [CostScore()], ResultsStore(folder, plan.keys), concurrency=1)
    await harness.run()
    harness.store.finish()


async def _plain(made: EvalDependencies, plan: Plan, folder: Path) -> None:
    """The product's own loop over the same cases, its checkpoints and its journal kept as it keeps them."""
    own = Dependencies(DataDir(folder))
    own._made.update(made._made)
    runner = Runner(dependencies=own, durability="exit")
    for case in plan.suite.cases:
        async for _ in runner.start(case.prompt, plan.arms[0].of(plan.setup, seed=case.seeds[0], cache="record")):
            pass


def _resident() -> int:
    """MiB that the process holds now; its peak where the system does not tell."""
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
