"""What the harness costs beside the loop: `python -m imagerag.evals.overhead [CASES]`.

The same cases with the same arm, on the sketch world: once through the harness (drafts, journal, results, sorting, no
metrics but counts), once through the product's own `Runner` in a plain loop, in turns. Memory is the peak of the process
after a quarter of the cases and after all of them.
"""

import asyncio
import resource
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from imagerag.agent.types import Setup
from imagerag.evals.arms import parse_arms
from imagerag.evals.harness import Harness
from imagerag.evals.ledger import Ledger
from imagerag.evals.metrics.work import WorkScore
from imagerag.evals.parts import EvalWiring, wiring_for
from imagerag.evals.plan import Plan
from imagerag.evals.suites.sketch import sketch_suite
from imagerag.graphs.runner import Runner
from imagerag.store.home import Home


async def overhead(folder: Path, cases: int) -> dict[str, Any]:
    """Seconds of both, and the harness's share beyond the loop.

    Args:
        folder: an empty one.
        cases: how many.
    """
    suite = sketch_suite(max(cases, 6))
    plan = Plan(
        suite=suite,
        arms=parse_arms("full"),
        setup=Setup(generator="sketch", judge="sketch", library="sketch-rare-200"),
    )
    wiring = wiring_for(Home(folder / "home"), Home(folder / "users"), suite.libraries)
    await wiring.library("sketch-rare-200")
    await _plain(wiring, plan, folder)  # texts are encoded once, for both alike
    peaks: list[int] = []

    def tell(done: int, total: int, what: str) -> None:
        if done in (max(1, total // 4), total):
            peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)

    ledger = Ledger(folder / "out", plan.keys)
    harness = Harness(plan, wiring, [WorkScore()], ledger, concurrency=1, tell=tell)
    began = time.perf_counter()
    await harness.run()
    ledger.finish()
    whole = time.perf_counter() - began
    plain = await _plain(wiring, plan, folder)
    return {
        "cases": len(plan.keys),
        "harness_s": round(whole, 2),
        "runner_s": round(plain, 2),
        "inside_runs_s": round(harness.report.seconds, 2),
        "overhead": round(whole / plain - 1, 3),
        "peak_kib": peaks,
    }


async def _plain(wiring: EvalWiring, plan: Plan, folder: Path) -> float:
    """The product's own loop over the same cases, its checkpoints and its journal kept as it keeps them."""
    from imagerag.graphs.wiring import Wiring

    own = Wiring(Home(folder / f"plain-{time.monotonic_ns()}"))
    own._made.update(wiring._made)
    runner = Runner(wiring=own, durability="exit")
    began = time.perf_counter()
    for case in plan.suite.cases:
        async for _ in runner.start(case.prompt, plan.arms[0].of(plan.setup, seed=case.seeds[0], journal="record")):
            pass
    return time.perf_counter() - began


def main() -> None:
    """Print the figures."""
    cases = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    with TemporaryDirectory(prefix="imagerag-overhead-") as folder:
        print(asyncio.run(overhead(Path(folder), cases)))


if __name__ == "__main__":
    main()
