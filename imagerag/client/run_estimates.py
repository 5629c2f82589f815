"""The part of `ImageRAG.runs` that says what continuing or forking a run can cost."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from imagerag.agent.errors import UsageError
from imagerag.client.context import ClientContext, whole_id
from imagerag.client.synchronous import synchronous
from imagerag.files.inputs import make_size

if TYPE_CHECKING:
    from imagerag.graphs.cost_estimate import Estimate
    from imagerag.graphs.runs.fork import ForkOptions


class RunEstimatesAPI:
    """Upper bounds of calls and cost. No model is called, and nothing is spent."""

    _context: ClientContext

    async def estimate_continue(self, run_id: str, **options: Any) -> "Estimate":
        """Estimate the run that `continue_` would make.

        Args:
            run_id: the run's id, or the start of it.
            options: as `stream_continue` takes them.

        Raises:
            UnknownRunError: no such run.
            RunStateError: it has not ended.
            UsageError: an option that cannot be.
        """
        from imagerag.graphs.runs.continuation import ContinueOptions
        from imagerag.graphs.runs.estimates import estimate_continuation

        run = await whole_id(self._context, run_id)
        return await estimate_continuation(self._context.dependencies, run, ContinueOptions(**options))

    async def estimate_replay(self, run_id: str, step: int, **changes: Any) -> "Estimate":
        """Estimate the run that `replay` would make, without the calls before the step. Answers that are reused make it
        less.

        Args:
            run_id: the run's id, or the start of it.
            step: the first step that is done again.
            changes: as `stream_replay` takes them.

        Raises:
            UnknownRunError: no such run.
            UsageError: no such step, or a change that cannot be.
        """
        from imagerag.graphs.runs.estimates import estimate_fork

        run = await whole_id(self._context, run_id)
        return await estimate_fork(self._context.dependencies, run, fork_options(step, **changes))

    async def estimate_resume(self, run_id: str) -> "Estimate":
        """Estimate what `resume` of a run still calls: what it made is not made again.

        Args:
            run_id: the id, or the start of it, of a run that waits for a selection, or was stopped.

        Raises:
            UnknownRunError: no such run.
            RunStateError: it has ended, or was stopped before its first step.
        """
        from imagerag.graphs.runs.estimates import estimate_resume

        run = await whole_id(self._context, run_id)
        return await estimate_resume(self._context.dependencies, run)

    estimate_continue_sync = synchronous(estimate_continue)
    estimate_replay_sync = synchronous(estimate_replay)
    estimate_resume_sync = synchronous(estimate_resume)


def fork_options(
    step: int,
    *,
    prompt: str | None = None,
    references: Sequence[str] | None = None,
    no_cache: bool = False,
    **changes: Any,
) -> "ForkOptions":
    """The options of a fork as `stream_replay` takes them.

    Raises:
        UsageError: a step or a size that cannot be.
    """
    from imagerag.graphs.runs.fork import ForkOptions

    if not isinstance(step, int):
        raise UsageError(f"a step is a number, as imagerag show gives them, not {step!r:.40}")
    if "size" in changes:
        changes["size"] = make_size(changes["size"])
    return ForkOptions(step=step, prompt=prompt, references=references, no_cache=no_cache, changes=changes)
