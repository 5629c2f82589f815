"""The user's own runs as a suite: their prompts, each from the very image its run drew first."""

from imagerag.agent.errors import ImageRAGError, UsageError
from imagerag.evals.suites.case import Case, CaseImage, Suite
from imagerag.graphs.dependencies import Dependencies
from imagerag.graphs.runs.runner import Runner


async def run_suite(dependencies: Dependencies, limit: int = 100) -> Suite:
    """The newest runs that have a first image, oldest of them first.

    Raises:
        UsageError: there is none.
    """
    runner, cases = Runner(dependencies=dependencies), []
    for entry in await dependencies.runs.list(limit):
        try:
            record = await runner.record(entry.run_id)
        except ImageRAGError:  # a run that made no step, or whose checkpoint is gone
            continue
        if not record.attempts:
            continue
        first = record.attempts[0]
        path = dependencies.blobs.path(first.image.sha256)
        if first.references or not path.is_file():
            continue  # it began with references: that is no image to start from
        seed = record.setup.config.seed if record.setup else 0
        initial = CaseImage(path=str(path), sha256=first.image.sha256)
        cases.append(Case(id=record.run_id, prompt=record.prompt, initial=initial, seeds=(seed,)))
    if not cases:
        raise UsageError("there is no run with a first image yet: imagerag generate PROMPT makes one")
    return Suite(name="runs", cases=tuple(reversed(cases)))
