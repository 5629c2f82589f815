"""Run one case for another evaluation framework. The adapters for known frameworks are in this package."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from imagerag.agent.errors import UsageError
from imagerag.agent.types import RunConfig, RunSpec
from imagerag.evals.dependencies import EvalDependencies, dependencies_for
from imagerag.evals.harness.arms import RESERVED, Arm, parse_arms
from imagerag.evals.harness.encoder_independence import checked
from imagerag.evals.harness.evaluation import HOME
from imagerag.evals.harness.plan import Plan
from imagerag.evals.harness.plan_pins import pinned
from imagerag.evals.harness.results_store import ResultsStore
from imagerag.evals.harness.runner import EvalRunner
from imagerag.evals.metrics.registry import MetricMaker, check_metric
from imagerag.evals.result_record import Result
from imagerag.evals.suites.case import Case, Suite
from imagerag.formatting.messages import invalid
from imagerag.graphs.configuration.settings import resolve
from imagerag.store.data_dir import DataDir
from imagerag.store.output_dir_lock import shared_writer

if TYPE_CHECKING:
    from imagerag.evals.metrics.base import Metric


async def run_case(
    case: Case | str,
    *,
    arm: Arm | str = "full",
    metrics: "Sequence[str | Metric]" = ("work",),
    folder: str | Path | None = None,
    generator: str | None = None,
    judge: str | None = None,
    library: str | None = None,
    preset: str | None = None,
    home: str | Path | None = None,
    cache: Any = "record",
    suite: Suite | None = None,
    seed: int | None = None,
    allow_same_encoder: bool = False,
    **config: Any,
) -> Result:
    """Run one case with one arm, and score the result. A failure is a result with its status, never an exception.

    The same case in the same folder gives the same result from its journal, at no cost.

    Args:
        case: a case, or just a prompt.
        arm: as `imagerag eval run --arms` takes them.
        metrics: specs, as `imagerag eval list` names them, or metric objects.
        folder: the folder for images and the journal; by default `evals` in the home.
        generator, judge, library, preset, home: as in `ImageRAG`.
        cache: "replay" makes no call at all.
        suite: the suite of the case: its name, and the libraries that it builds, the first of which is the default.
        seed: seed of the run; by default the first one of the case.
        allow_same_encoder: allow metrics whose encoder also retrieves or judges, and mark their scores.
        config: further options of a run (`max_rounds`, `max_calls`, `threshold`, …, see `RunConfig`); the arm's own
            options take precedence.

    Raises:
        UsageError: an arm, a metric or a backend cannot be set up.
    """
    own_library = None if suite and library in suite.libraries else library
    settings = resolve(
        generator=generator, judge=judge, library=own_library, preset=preset, home=str(home) if home else None
    )
    one_case = case if isinstance(case, Case) else Case(id="case", prompt=case)
    one_case = one_case.model_copy(update={"seeds": one_case.seeds[:1] if seed is None else (_seed(seed),)})
    users = DataDir.find(settings.home)
    recipes = suite.libraries if suite else {}
    library_name = library or next(iter(recipes), None) or settings.library
    own_options = {"references_per_concept": settings.references_per_concept, "size": settings.size}
    run_config = _run_config({**own_options, **config})
    setup = RunSpec(
        generator=settings.generator, judge=settings.with_backends.judge, library=library_name, config=run_config
    )
    one_arm = parse_arms([arm])[0] if isinstance(arm, str) else arm
    whole = suite or Suite(name="case", cases=(one_case,))
    specs = tuple(one if isinstance(one, str) else check_metric("metric", one).spec for one in metrics)
    where = folder_of(folder, settings.home)
    dependencies = dependencies_for(DataDir(where / HOME), users, recipes)
    plan = await pinned(Plan(suite=whole, arms=(one_arm,), setup=setup, metrics=specs), dependencies)
    judges = frozenset({one_arm.of(setup, seed=0, cache="record").judge})
    with shared_writer(where, instead="another folder"):
        measures = MetricMaker(dependencies, judges, RunConfig(cache=cache)).all(metrics)
        measures = await checked(measures, plan, dependencies, allow=allow_same_encoder)
        return await _answer_case(one_case, plan, dependencies, measures, where, cache)


async def _answer_case(
    case: Case, plan: Plan, dependencies: EvalDependencies, metrics: "Sequence[Metric]", where: Path, cache: Any
) -> Result:
    harness, (one_arm,), setup = (
        EvalRunner(plan, dependencies, metrics, ResultsStore(where, plan.keys), cache=cache),
        plan.arms,
        plan.setup,
    )
    async with dependencies.working():
        await dependencies.parts(one_arm.of(setup, seed=0, cache=cache))
        results, _ = await harness.case(case)
    return results[0]


def _seed(seed: int) -> int:
    return _run_config({"seed": seed}, reserved=()).seed


def _run_config(values: Mapping[str, Any], reserved: Sequence[str] = RESERVED) -> RunConfig:
    """Make the config of a run.

    Raises:
        UsageError: an unknown option, or an invalid value.
    """
    there = [name for name in RunConfig.model_fields if name not in reserved]
    if unknown := [name for name in values if name not in there]:
        raise UsageError(
            f"there is no option {', '.join(unknown)}; beside the named ones there are: {', '.join(there)}"
        )
    try:
        return RunConfig(**values)
    except ValidationError as error:
        raise UsageError(invalid(error, most=1)) from error


def folder_of(folder: str | Path | None, home: str | Path | None) -> Path:
    """The folder of images and journal of `run_case`."""
    return Path(folder) if folder else DataDir.find(str(home) if home else None).root / "evals"


def run_case_sync(case: Case | str, **options: Any) -> Result:
    """`run_case`, for programs without an event loop."""
    return asyncio.run(run_case(case, **options))
