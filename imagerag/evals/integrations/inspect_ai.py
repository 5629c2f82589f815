"""An Inspect AI task for a suite: `inspect eval` runs the arm on every case and reports imagerag's scores.

```python
from inspect_ai import eval
from imagerag.evals.integrations.inspect_ai import inspect_task

eval(inspect_task("sketch", arm="full", limit=20), model="none/none")
```

imagerag's backends generate the images, so Inspect's model is not called. A failed case is an error of its sample:
Inspect counts it separately and not as 0.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagerag.agent.extras import import_extra
from imagerag.evals.integrations.cases import run_case
from imagerag.evals.result_record import Result
from imagerag.evals.suites.case import Case, Suite
from imagerag.graphs.configuration.settings import resolve
from imagerag.graphs.dependencies import Dependencies
from imagerag.store.data_dir import DataDir

if TYPE_CHECKING:
    from inspect_ai import Task
    from inspect_ai.dataset import Sample
    from inspect_ai.scorer import Scorer
    from inspect_ai.solver import Solver

    from imagerag.evals.metrics.base import Metric

RESULT = "imagerag"
"""Key of the whole result in a sample's store."""


class CaseFailedError(RuntimeError):
    """A case failed: there is no result to score."""


def inspect_task(
    suite: Suite | str,
    *,
    arm: str = "full",
    metrics: "Sequence[str | Metric]" = ("work",),
    limit: int | None = None,
    **options: Any,
) -> "Task":
    """Make the task, with a sample for each case and seed.

    Args:
        suite: a suite, or its name as in `imagerag eval run`.
        arm: one arm, as in `imagerag eval run --arms`.
        metrics: specs of metrics, or metric objects. Assertions and numbers become scores; `aligned` is always
            included.
        limit: maximum number of cases.
        options: options of `run_case`: generator, judge, library, home, cache and so on.

    Raises:
        MissingExtraError: Inspect AI is not installed.
        UsageError: the suite is unknown.
    """
    import_extra("inspect_ai", "a task of Inspect AI", "inspect")
    from inspect_ai import Task

    subset = (found_suite(suite, options.get("home")) if isinstance(suite, str) else suite).only(limit=limit)
    name = f"imagerag-{subset.name}-{arm}".replace("+", "-").replace("=", "-")
    return Task(
        dataset=samples(subset),
        solver=_solver(subset, arm, metrics, options),
        scorer=_scorer(),
        name=name,
        version=subset.version,
        metadata={"suite": subset.identity, "arm": arm},
    )


def found_suite(spec: str, home: str | Path | None = None) -> Suite:
    """Find a suite by its name."""
    import asyncio

    from imagerag.evals.suites.registry import find_suite

    dependencies = Dependencies(DataDir.find(resolve(home=str(home) if home else None).home))
    return asyncio.run(find_suite(spec, dependencies))


def samples(suite: Suite) -> "list[Sample]":
    """Make a sample for each case and seed: its input is the prompt, its target the required content of the image."""
    from inspect_ai.dataset import Sample

    return [
        Sample(
            id=f"{case.id}#{seed}",
            input=case.prompt,
            target=list(case.truth.labels) or case.prompt,
            metadata={"case": case.id, "seed": seed, "tags": list(case.tags)},
        )
        for case in suite.cases
        for seed in case.seeds
    ]


def _solver(suite: Suite, arm: str, metrics: "Sequence[str | Metric]", options: Mapping[str, Any]) -> "Solver":
    from inspect_ai.model import ChatMessageAssistant, Content, ContentImage, ContentText, ModelOutput
    from inspect_ai.solver import Generate, Solver, TaskState, solver

    cases = {case.id: case for case in suite.cases}

    @solver(name="imagerag")
    def make() -> Solver:
        async def solve(state: TaskState, generate: Generate) -> TaskState:
            case: Case = cases[state.metadata["case"]]
            one = case.model_copy(update={"seeds": (state.metadata["seed"],)})
            result = await run_case(one, arm=arm, metrics=metrics, suite=suite, **options)
            if result.status == "technical":
                raise CaseFailedError(f"{case.id}: {result.reason}")
            summary = ContentText(text=f"{result.outcome or result.status}: {result.reason}")
            file = image_file(result, options)
            content: list[Content] = [summary, *([ContentImage(image=str(file))] if file else [])]
            state.messages.append(ChatMessageAssistant(content=content, model="imagerag"))
            state.output = ModelOutput.from_content("imagerag", content)
            state.store.set(RESULT, result.model_dump(mode="json", by_alias=True))
            return state

        return solve

    return make()


def image_file(result: Result, options: Mapping[str, Any]) -> Path | None:
    """The file of a result's image."""
    from imagerag.evals.harness.evaluation import HOME
    from imagerag.evals.integrations.cases import folder_of

    if result.image is None:
        return None
    sha256 = result.image.sha256
    return DataDir(folder_of(options.get("folder"), options.get("home")) / HOME).blobs / sha256[:2] / sha256[2:]


def _scorer() -> "Scorer":
    from inspect_ai.scorer import Score, Scorer, Target, mean, scorer, stderr
    from inspect_ai.solver import TaskState

    @scorer(metrics={"*": [mean(), stderr()]}, name="imagerag")
    def make() -> Scorer:
        async def score(state: TaskState, target: Target) -> Score:
            result = Result.model_validate(state.store.get(RESULT))
            values: dict[str, str | int | float | bool | None] = {"aligned": float(result.outcome == "aligned")}
            values |= {name: float(v) for name, v in result.scores.items() if isinstance(v, bool | int | float)}
            lacking = f"; missing: {'; '.join(result.unresolved)}" if result.unresolved else ""
            return Score(
                value=values,
                answer=result.image.sha256 if result.image else "",
                explanation=f"{result.outcome or result.status}: {result.reason}{lacking}",
                metadata={
                    "run_id": result.run_id,
                    "status": result.status,
                    "unscored_reasons": dict(result.unscored_reasons),
                },
            )

        return score

    return make()
