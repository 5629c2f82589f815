"""For other harnesses: one case in, one result out; LangSmith's target; results as flat rows or a Hugging Face dataset.

For pytest there is `pytest_plugin` in this package, for Inspect AI `inspect_ai`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from pydantic import ValidationError

from imagerag.agent.errors import UsageError
from imagerag.agent.regular_files import read_regular
from imagerag.agent.types import RunConfig, RunSpec
from imagerag.evals.dependencies import EvalDependencies, dependencies_for
from imagerag.evals.harness.arms import RESERVED, Arm, parse_arms
from imagerag.evals.harness.evaluation import HOME
from imagerag.evals.harness.plan import Plan
from imagerag.evals.harness.results_store import RESULTS, ResultsStore
from imagerag.evals.harness.runner import EvalRunner
from imagerag.evals.metrics.encoder_independence import checked
from imagerag.evals.metrics.registry import MetricMaker, check_metric
from imagerag.evals.result_record import Result, read_results
from imagerag.evals.suites.case import Case, Suite
from imagerag.formatting.messages import invalid
from imagerag.graphs.settings import resolve
from imagerag.store.data_dir import DataDir
from imagerag.store.output_dir_lock import shared_writer

if TYPE_CHECKING:
    from datasets import Dataset

    from imagerag.evals.metrics.base import Metric

_EXPORTED: Final = 16
"""Pictures that are in memory at once while a dataset is made."""


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
    journal: Any = "record",
    suite: Suite | None = None,
    seed: int | None = None,
    allow_same_encoder: bool = False,
    **knobs: Any,
) -> Result:
    """Answer one case with one arm, and measure it. A failure is a result with its status, never an exception.

    The same case asked again in the same folder gives the same result from its journal, and pays nothing.

    Args:
        case: a case, or just a prompt.
        arm: as `imagerag eval run --arms` takes them.
        metrics: specs, as `imagerag eval list` names them, or metrics themselves.
        folder: where pictures and the journal are kept; by default `evals` in the home.
        generator, judge, library, preset, home: as everywhere.
        journal: "replay" makes no call at all.
        suite: the suite that the case is of: its name, and the libraries it makes, the first of which is the default.
        seed: another seed gives another picture; by default the case's first.
        allow_same_encoder: measure by an encoder that also retrieves or judges, and mark what it says.
        knobs: what else a run may set (`max_rounds`, `max_calls`, `threshold`, …, see `imagerag.agent.types.RunConfig`);
            what the arm sets stands above it.

    Raises:
        UsageError: an arm, a metric or a backend that cannot be made.
    """
    given = None if suite and library in suite.libraries else library
    settings = resolve(generator=generator, judge=judge, library=given, preset=preset, home=str(home) if home else None)
    asked = case if isinstance(case, Case) else Case(id="case", prompt=case)
    asked = asked.model_copy(update={"seeds": asked.seeds[:1] if seed is None else (_seed(seed),)})
    users = DataDir.find(settings.home)
    recipes = suite.libraries if suite else {}
    named = library or next(iter(recipes), None) or settings.library
    wanted = _knobs({"references_per_concept": settings.references_per_concept, **knobs})
    setup = RunSpec(generator=settings.generator, judge=settings.judge, library=named, knobs=wanted)
    chosen = parse_arms([arm])[0] if isinstance(arm, str) else arm
    whole = suite or Suite(name="case", cases=(asked,))
    specs = tuple(one if isinstance(one, str) else check_metric("metric", one).spec for one in metrics)
    plan = Plan(suite=whole, arms=(chosen,), setup=setup, metrics=specs)
    where = folder_of(folder, settings.home)
    wiring = dependencies_for(DataDir(where / HOME), users, recipes)
    judges = frozenset({chosen.of(setup, seed=0, journal="record").judge})
    with shared_writer(where, instead="another folder"):
        made = MetricMaker(wiring, judges, RunConfig(journal=journal)).all(metrics)
        made = await checked(made, plan, wiring, allow=allow_same_encoder)
        return await _answered(asked, plan, wiring, made, where, journal)


async def _answered(
    case: Case, plan: Plan, wiring: EvalDependencies, metrics: "Sequence[Metric]", where: Path, journal: Any
) -> Result:
    harness, (chosen,), setup = (
        EvalRunner(plan, wiring, metrics, ResultsStore(where, plan.keys), journal=journal),
        plan.arms,
        plan.setup,
    )
    async with wiring.working():
        await wiring.parts(chosen.of(setup, seed=0, journal=journal))
        results, _ = await harness.case(case)
    return results[0]


def _seed(seed: int) -> int:
    return _knobs({"seed": seed}, reserved=()).seed


def _knobs(given: Mapping[str, Any], reserved: Sequence[str] = RESERVED) -> RunConfig:
    """What a run is set to.

    Raises:
        UsageError: nothing of that name, or a value it cannot have.
    """
    there = [name for name in RunConfig.model_fields if name not in reserved]
    if unknown := [name for name in given if name not in there]:
        raise UsageError(
            f"there is no option {', '.join(unknown)}; beside the named ones there are: {', '.join(there)}"
        )
    try:
        return RunConfig(**given)
    except ValidationError as error:
        raise UsageError(invalid(error, most=1)) from error


def folder_of(folder: str | Path | None, home: str | Path | None) -> Path:
    """Where `run_case` keeps pictures and its journal."""
    return Path(folder) if folder else DataDir.find(str(home) if home else None).root / "evals"


def run_case_sync(case: Case | str, **options: Any) -> Result:
    """`run_case`, for programs without an event loop."""
    return asyncio.run(run_case(case, **options))


def rows(folder: str | Path) -> Iterator[Mapping[str, Any]]:
    """The results of an evaluation as flat rows: what was asked, what became of it, each score, the picture's file."""
    path = Path(folder)
    for result in read_results(path / RESULTS):
        yield flat(result, path / HOME / "blobs")


def flat(result: Result, blobs: Path) -> dict[str, Any]:
    """One result as a flat row."""
    sha256 = result.image.sha256 if result.image else None
    return {
        "suite": result.suite["name"],
        "case": result.case,
        "arm": result.arm,
        "seed": result.seed,
        "prompt": result.prompt,
        "status": result.status,
        "outcome": str(result.outcome) if result.outcome else None,
        "retrievals": result.retrievals,
        "regenerations": result.regenerations,
        "image": str(blobs / sha256[:2] / sha256[2:]) if sha256 else None,
        **{f"score.{name}": value for name, value in result.scores.items()},
    }


def export_dataset(folder: str | Path) -> "Dataset":
    """The results of an evaluation as a Hugging Face dataset: a row per answer, the picture itself among the columns.

    Save it with `save_to_disk`, `to_parquet` or `push_to_hub`: it holds the pictures' bytes, and no path of this
    machine. An answer whose picture is gone has none.

    Raises:
        UsageError: `datasets` is not installed, or the folder holds no finished evaluation.
    """
    try:
        from datasets import Dataset, Features, Image
    except ImportError as error:
        raise UsageError("datasets is not installed: pip install 'imagerag[datasets]'") from error
    found = [dict(row) for row in rows(folder)]
    if not found:
        raise UsageError(f"{folder} holds no results to export")
    names = list(dict.fromkeys(name for row in found for name in row))
    plain = Dataset.from_dict({name: [row.get(name) for row in found] for name in names})
    features = Features({**plain.features, "image": Image()})

    def embedded(batch: dict[str, list[str | None]]) -> dict[str, list[dict[str, Any] | None]]:
        return {"image": [_pixels(path) for path in batch["image"]]}

    # A picture file keeps its name when an evaluation is done again: what was exported before must not be taken.
    made = plain.map(embedded, batched=True, batch_size=_EXPORTED, features=features, load_from_cache_file=False)
    return cast("Dataset", made)


def _pixels(path: str | None) -> dict[str, Any] | None:
    """A picture as `datasets` keeps it, bytes and all; None where there is no such file."""
    try:
        data = read_regular(path) if path else b""
    except OSError:
        return None
    return {"bytes": data, "path": Path(path).name} if path and data else None


def langsmith_target(**options: Any) -> Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]:
    """A target for LangSmith's `aevaluate`: inputs with a `prompt` (and perhaps an `id`) to outputs with the answer.

    Args:
        options: as `run_case` takes them.
    """

    async def target(inputs: dict[str, Any]) -> dict[str, Any]:
        case = Case(id=str(inputs.get("id") or "case"), prompt=str(inputs["prompt"]))
        result = await run_case(case, **options)
        told = result.model_dump(mode="json", include={"status", "outcome", "reason", "unresolved", "image", "scores"})
        return {**told, "aligned": result.outcome == "aligned", "run_id": result.run_id}

    return target
