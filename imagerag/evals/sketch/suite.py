"""The suite behind `imagerag eval sketch`: how good the embedded defaults are, on cases none of which was trained on.

Four parts, each measuring the product's own parts as a run uses them: `retrieval` (the encoder), `judge` (the `clip`
judge), `loop` (the whole graph), `threshold` (calibration). About six minutes on two idle cores with the defaults.
"""

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from imagerag.agent.errors import UsageError
from imagerag.agent.types import RunConfig, RunSpec
from imagerag.evals.sketch.context import Progress, SketchContext, silent
from imagerag.evals.sketch.judge import evaluate_judge
from imagerag.evals.sketch.loop import evaluate_loop
from imagerag.evals.sketch.report_document import Case, Evaluation, Target, count, failures
from imagerag.evals.sketch.retrieval import retrieval
from imagerag.evals.sketch.threshold import thresholds
from imagerag.formatting.messages import unknown as unknown_name
from imagerag.graphs.dependencies import Dependencies
from imagerag.store.data_dir import DataDir

PARTS: Final[Mapping[str, Callable[[SketchContext], Awaitable[list[Case]]]]] = {
    "retrieval": retrieval,
    "judge": evaluate_judge,
    "loop": evaluate_loop,
    "threshold": thresholds,
}

SIZES: Final = (50, 500, 5000)
"""Pictures in the libraries of the threshold part."""

TARGETS: Final[Mapping[str, Target]] = {
    "retrieval.r@1": Target(value=0.97),
    "retrieval.r@5": Target(value=0.995),
    "retrieval.swapped": Target(value=0.98),
    "judge.type_1": Target(value=0.97),
    "judge.type_2": Target(value=0.97),
    "judge.type_3": Target(value=0.97),
    "judge.type_2.named": Target(value=0.95),
    "loop.held.aligned": Target(value=0.95),
    "loop.absent.aligned": Target(bound="at_most", value=0.02),
    "loop.false_success": Target(bound="at_most", value=0.02),
    "loop.known.no_search": Target(value=0.95),
    **{f"threshold.{size}.accepts": Target(value=0.90) for size in SIZES},
    **{f"threshold.{size}.rejects": Target(value=0.95) for size in SIZES},
}


async def evaluate_sketch(
    *,
    cases: int = 200,
    seed: int = 0,
    parts: Iterable[str] = tuple(PARTS),
    sizes: Iterable[int] = SIZES,
    home: str | Path | None = None,
    generator: str = "sketch",
    judge: str = "sketch",
    embedder: str = "sketch",
    progress: Progress = silent,
) -> Evaluation:
    """Measure the sketch world's parts, or others in their place.

    Args:
        cases: generated cases of each kind; the grid of all things is complete from 192 on.
        seed: decides every case. The same seed gives the same cases, and with the same weights the same results.
        parts: which of `PARTS`.
        sizes: how many pictures the libraries of the threshold part hold.
        home: an empty folder to work in; by default a temporary one.
        generator, judge, embedder: backend specs.
        progress: told after every step.

    Raises:
        UsageError: no such part, or a count below 1.
    """
    chosen = tuple(dict.fromkeys(parts))
    _check(chosen, cases, tuple(sizes))
    with ExitStack() as stack:
        folder = Path(home or stack.enter_context(TemporaryDirectory(prefix="imagerag-eval-")))
        setup = RunSpec(generator=generator, judge=judge, knobs=RunConfig())
        lab = SketchContext(Dependencies(DataDir(folder)), cases, seed, tuple(sizes), setup, embedder, progress)
        found, elapsed = await _measure(lab, chosen)
    return Evaluation(
        suite="sketch",
        settings=_settings(lab, chosen),
        metrics=count(found, TARGETS),
        failures=failures(found),
        elapsed_s=elapsed,
        cases=tuple(found),
    )


async def _measure(lab: SketchContext, parts: tuple[str, ...]) -> tuple[list[Case], dict[str, float]]:
    found: list[Case] = []
    elapsed: dict[str, float] = {}
    for part in parts:
        began = time.monotonic()
        found += await PARTS[part](lab)
        elapsed[part] = round(time.monotonic() - began, 3)
    elapsed["total"] = round(sum(elapsed.values()), 3)
    return found, elapsed


def _check(parts: tuple[str, ...], cases: int, sizes: tuple[int, ...]) -> None:
    if unknown := [part for part in parts if part not in PARTS]:
        raise UsageError(unknown_name("part", unknown[0], PARTS))
    if cases < 1 or min(sizes, default=1) < 1:
        raise UsageError(f"at least one case and one picture are needed, not {cases} and {min(sizes, default=0)}")


def _settings(lab: SketchContext, parts: tuple[str, ...]) -> dict[str, Any]:
    return {
        "seed": lab.seed,
        "cases": lab.cases,
        "parts": list(parts),
        "sizes": list(lab.sizes),
        "generator": lab.setup.generator,
        "judge": lab.setup.judge,
        "embedder": str(lab.embedder.identity),
        "knobs": lab.setup.knobs.model_dump(mode="json"),
    }
