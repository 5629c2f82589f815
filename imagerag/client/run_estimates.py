"""The part of `ImageRAG.runs` that says what continuing or forking a run can cost."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Unpack

from imagerag.client.argument_checks import check_arguments, checked
from imagerag.client.context import ClientContext, whole_id
from imagerag.client.synchronous import synchronous
from imagerag.files.inputs import make_size
from imagerag.files.run_request import RunOptions

if TYPE_CHECKING:
    from imagerag.graphs.cost_estimate import Estimate
    from imagerag.graphs.runs.fork import ForkOptions


class ReplayOptions(RunOptions, total=False):
    """Changes of the backends and the options of a run; see `RunSteeringAPI.stream_replay`."""

    generator: str | None
    judge: str | None
    reranker: str | None


@check_arguments
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

        steering = checked(ContinueOptions)(**options)
        run = await whole_id(self._context, run_id)
        return await estimate_continuation(self._context.dependencies, run, steering)

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

        replay = fork_options(step, **changes)
        run = await whole_id(self._context, run_id)
        return await estimate_fork(self._context.dependencies, run, replay)

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


@checked
def fork_options(
    step: int,
    *,
    prompt: str | None = None,
    references: Sequence[str] | None = None,
    no_cache: bool = False,
    **changes: Unpack[ReplayOptions],
) -> "ForkOptions":
    """The options of a fork as `stream_replay` takes them.

    Raises:
        UsageError: a step or a size that cannot be.
    """
    from imagerag.graphs.runs.fork import ForkOptions

    sized = {"size": make_size(changes["size"])} if "size" in changes else {}
    return ForkOptions(step=step, prompt=prompt, references=references, no_cache=no_cache, changes={**changes, **sized})
