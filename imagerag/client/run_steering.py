"""The part of `ImageRAG.runs` that makes new runs of those that were made: resume, continue, replay."""

from collections.abc import AsyncGenerator, Callable, Sequence
from typing import TYPE_CHECKING, Any, Unpack

from imagerag.client.argument_checks import check_arguments
from imagerag.client.argument_types import Dollars, Patience, PositiveNumber, Rounds, Seconds, Seed
from imagerag.client.context import ClientContext, whole_id
from imagerag.client.run_estimates import ReplayOptions, fork_options
from imagerag.client.synchronous import synchronous

if TYPE_CHECKING:
    from imagerag.agent.run_record import RunRecord
    from imagerag.graphs.runs.events import RunEvent


@check_arguments
class RunSteeringAPI:
    """Resuming, continuing and replaying runs."""

    _context: ClientContext

    async def resume(
        self, run_id: str, *, choose: Sequence[str | int] | None = None, edit: str | int | None = None
    ) -> "RunRecord":
        """Finish a run that was killed, or answer one that waits for a selection.

        Args:
            run_id: the run.
            choose: the references to use, by number or id; an empty list takes none.
            edit: the offered image that is to be edited, by number or id; what is chosen informs that.

        Raises:
            UnknownRunError: no such run.
            RunStateError: it has ended, or waits for a selection and got none.
        """
        from imagerag.graphs.runs.events import last_record

        return await last_record(self.stream_resume(run_id, choose=choose, edit=edit))

    def stream_resume(
        self, run_id: str, *, choose: Sequence[str | int] | None = None, edit: str | int | None = None
    ) -> AsyncGenerator["RunEvent"]:
        """`resume`, event by event."""
        return self._events(run_id, lambda run: self._context.runner.resume(run, choose=choose, edit=edit))

    async def continue_(self, run_id: str, **options: Any) -> "RunRecord":
        """Start a new run from a finished run's result: more rounds, feedback, other references, prompt or seed.

        Args:
            run_id: the run. It stays as it was.
            options: as `stream_continue` takes them.

        Returns:
            The record of the new run; its `parent_run` names the old one.

        Raises:
            UnknownRunError: no such run.
            RunStateError: it has not ended (`resume` it first), or there is nothing to do that was not done.
            UsageError: an image that is not known, or more references than may be sent.
        """
        from imagerag.graphs.runs.events import last_record

        return await last_record(self.stream_continue(run_id, **options))

    def stream_continue(
        self,
        run_id: str,
        *,
        more_rounds: Rounds = 2,
        exclude_images: Sequence[str | int] = (),
        keep_images: Sequence[str | int] = (),
        add_images: Sequence[str | int] = (),
        prompt: str | None = None,
        feedback: str | Sequence[str] | None = None,
        seed: Seed | None = None,
        library: str | None = None,
        max_calls: PositiveNumber | None = None,
        max_cost_usd: Dollars | None = None,
        assume_cost_usd_per_call: Dollars | None = None,
        deadline_s: Seconds | None = None,
        patience_s: Patience | None = None,
        new_id: str | None = None,
    ) -> AsyncGenerator["RunEvent"]:
        """`continue_`, event by event.

        Images are named by SHA-256, or by its first six characters or more where the run has seen them.

        Args:
            run_id: the run's id, or the start of it.
            more_rounds: redrawings at most, 0 to 20.
            exclude_images: references never to be used again; also by number, as the record lists its `references`.
            keep_images: references that go with every drawing from now on; also by number.
            add_images: library images to draw with next, whatever the judge says is missing.
            prompt: what to draw from now on, when it is not the same. It is drawn at once, with the references of the
                image it goes on from.
            feedback: what is to be different, in the person's words ("make the boots red"), 1,000 characters at most.
                It stays a requirement of this and every later run. The image it goes on from is changed where the
                generator can edit; otherwise it is drawn anew.
            seed: another seed, with which it is drawn anew.
            library: where references come from from now on, when not as before; several with commas between them.
            max_calls: what the new run may ask of models, when not as before.
            max_cost_usd: what it may spend.
            assume_cost_usd_per_call: what a call counts as whose price is not known.
            deadline_s: how long it may take.
            patience_s: how long a call waits at most for a service that says when to ask again.
            new_id: an id of one's own for the new run.
        """
        from imagerag.graphs.runs.continuation import ContinueOptions

        steering = ContinueOptions(
            more_rounds=more_rounds,
            exclude_images=exclude_images,
            keep_images=keep_images,
            add_images=add_images,
            prompt=prompt,
            feedback=feedback,
            seed=seed,
            library=library,
            max_calls=max_calls,
            max_cost_usd=max_cost_usd,
            assume_cost_usd_per_call=assume_cost_usd_per_call,
            deadline_s=deadline_s,
            patience_s=patience_s,
        )
        return self._events(run_id, lambda run: self._context.runner.continue_run(run, steering, new_id=new_id))

    async def replay(self, run_id: str, step: int, **changes: Any) -> "RunRecord":
        """Fork a run at one of its steps, optionally with changes. What is unchanged costs nothing.

        Args:
            run_id: the run. It stays as it was.
            step: the first step that is done again, as `imagerag show` numbers them.
            changes: as `stream_replay` takes them.

        Returns:
            The record of the new run; its `parent_run` names the old one and the step.

        Raises:
            UnknownRunError: no such run.
            UsageError: no such step, or a change that cannot be.
        """
        from imagerag.graphs.runs.events import last_record

        return await last_record(self.stream_replay(run_id, step, **changes))

    def stream_replay(
        self,
        run_id: str,
        step: int,
        *,
        prompt: str | None = None,
        references: Sequence[str] | None = None,
        no_cache: bool = False,
        new_id: str | None = None,
        **changes: Unpack[ReplayOptions],
    ) -> AsyncGenerator["RunEvent"]:
        """`replay`, event by event.

        Args:
            run_id: the run's id, or the start of it.
            step: the first step that is done again.
            prompt: another prompt; the judge then makes a new checklist of it.
            references: what to draw with, by id; the step is then a `regenerate`.
            no_cache: ask the models anew, instead of using what they answered before.
            new_id: an id of one's own for the new run.
            changes: what else is to be different: `generator`, `judge`, `library`, and what `generate` takes as
                `threshold`, `seed`, `max_rounds`, `judge_mode`, …
        """
        replay = fork_options(step, prompt=prompt, references=references, no_cache=no_cache, **changes)
        return self._events(run_id, lambda run: self._context.runner.replay(run, replay, new_id=new_id))

    def _events(self, run_id: str, follow: Callable[[str], AsyncGenerator["RunEvent"]]) -> AsyncGenerator["RunEvent"]:
        """The events of what is done with a run, which is looked up when the first one is asked for."""
        from imagerag.graphs.runs.event_stream import EventStream

        async def run_events() -> AsyncGenerator["RunEvent"]:
            return follow(await whole_id(self._context, run_id))

        return EventStream(run_events)

    resume_sync = synchronous(resume)
    continue_sync = synchronous(continue_)
    replay_sync = synchronous(replay)
