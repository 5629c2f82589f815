"""The user's own runs as a suite: each case has the prompt and the first image of a run."""

from imagerag.agent.errors import ImageRAGError, UsageError
from imagerag.evals.suites.case import Case, CaseImage, Suite
from imagerag.formatting.interface_terms import PROMPT, python_call
from imagerag.graphs.dependencies import Dependencies
from imagerag.graphs.runs.runner import Runner


async def run_suite(dependencies: Dependencies, limit: int = 100) -> Suite:
    """Make a suite of the newest runs that have a first image, the oldest of them first.

    Raises:
        UsageError: there is no such run.
    """
    runner, cases = Runner(dependencies=dependencies), []
    for entry in await dependencies.runs.list(limit):
        try:
            record = await runner.record(entry.run_id)
        except ImageRAGError:  # a run without a step, or whose checkpoint is missing
            continue
        if not record.attempts:
            continue
        first = record.attempts[0]
        path = dependencies.blobs.path(first.image.sha256)
        if first.references or not path.is_file():
            continue  # its first image was made with references, so it cannot be an initial image
        seed = record.setup.config.seed if record.setup else 0
        initial = CaseImage(path=str(path), sha256=first.image.sha256)
        cases.append(Case(id=record.run_id, prompt=record.prompt, initial=initial, seeds=(seed,)))
    if not cases:
        raise UsageError(f"there is no run with a first image yet: {python_call('generate', PROMPT)} makes one")
    return Suite(name="runs", cases=tuple(reversed(cases)))
