"""Procedures of the arms: keep the image, rephrase the prompt, run the graph, or custom code."""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from importlib import import_module

from imagerag.agent.errors import UsageError
from imagerag.agent.run_record import RunRecord
from imagerag.agent.types import Attempt, Outcome, RunResult
from imagerag.evals.harness.arm_context import ArmContext, initial_attempt
from imagerag.evals.harness.arms import Arm
from imagerag.evals.harness.paper_arm import run_as_published
from imagerag.evals.harness.rephrase_arm import rephrase


async def keep(job: ArmContext) -> RunRecord:
    """Keep the initial image: no search, no redrawing, no model call."""
    assert job.initial is not None, "the harness has drawn it"
    return job.record(
        [initial_attempt(job)], RunResult(outcome=Outcome.BEST_EFFORT, reason="the initial image was kept")
    )


async def graph(job: ArmContext) -> RunRecord:
    """Run the generation graph."""
    return await job.run()


Procedure = Callable[[ArmContext], Awaitable[RunRecord]]


def built_in() -> Mapping[str, Procedure]:
    """The procedures that come with the package, by name."""
    return {"keep": keep, "rephrase": rephrase, "graph": graph, "paper": run_as_published}


def procedure_of(arm: Arm) -> Procedure:
    """Find the procedure of an arm.

    A custom procedure is `async def arm(job: ArmContext)`; it returns a run's record, or the bytes of an image.

    Raises:
        UsageError: it cannot be imported, or is not async.
    """
    if (ours := built_in().get(arm.procedure)) is not None:
        return ours
    module, _, name = arm.procedure.partition(":")
    try:
        own = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"arm {arm.name!r}: cannot import {arm.procedure}: {error}") from error
    if not inspect.iscoroutinefunction(own):
        raise UsageError(f"arm {arm.name!r}: {arm.procedure} has to be `async def {name}(job)`")

    async def answer(job: ArmContext) -> RunRecord:
        result = await own(job)
        if isinstance(result, RunRecord):
            return result
        if not isinstance(result, bytes):
            raise UsageError(f"arm {arm.name!r} gave {type(result).__name__}; a RunRecord or the bytes of an image")
        image = await job.dependencies.blobs.put(result)
        attempt = Attempt(index=0, round=0, prompt=job.case.prompt, image=image, generator=arm.procedure)
        return job.record([attempt], RunResult(outcome=Outcome.BEST_EFFORT, reason=f"drawn by {arm.procedure}"))

    return answer
