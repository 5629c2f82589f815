"""The Python front door to runs that were made: resuming one, going on from where it ended, doing it again."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from imagerag.agent.errors import UsageError
from imagerag.client.runs import Runs
from imagerag.files.inputs import parse_size, run_sync

if TYPE_CHECKING:
    from imagerag.agent.nodes import Nodes
    from imagerag.agent.run_record import RunRecord
    from imagerag.graphs.generation import Workflow
    from imagerag.graphs.runs.events import RunEvent


class GoingOn(Runs):
    """What can be done with runs that were made."""

    def extend(
        self, *, nodes: "type[Nodes] | None" = None, workflow: "Callable[[Nodes], Workflow] | None" = None
    ) -> None:
        """Have one's own nodes in the graph, for the runs of this object from now on (`docs/extending.md`).

        Args:
            nodes: a subclass of `imagerag.agent.nodes.Nodes` that does some steps in its own way.
            workflow: a function that calls `imagerag.graphs.generation.build_workflow` with the nodes it is given,
                adds to the graph, and returns it, not compiled.
        """
        now = self.wiring.extension
        self.wiring.extend(replace(now, nodes=nodes or now.nodes, workflow=workflow or now.workflow))

    async def workflow(self) -> "Workflow":
        """The generation graph, not compiled, bound to this object's backends and library.

        For a graph of one's own that has this one in it. Runs made so are the caller's: they are in no list of runs.
        """
        from imagerag.agent.types import RunSpec
        from imagerag.graphs.mismatch_warnings import run_warnings

        named = self.settings
        setup = RunSpec(
            generator=named.generator, judge=named.judge, library=named.library, reranker=named.reranker or None
        )
        graph = self.wiring.workflow(await self.wiring.parts(setup), self.wiring.answers)
        return graph.warn_with(partial(run_warnings, self.wiring, setup))

    async def resume(
        self, run_id: str, *, choose: Sequence[str | int] | None = None, edit: str | int | None = None
    ) -> "RunRecord":
        """Continue a run that was killed, or answer one that waits for a choice.

        Args:
            run_id: the run's id, or the start of it.
            choose: the references to use, by number or id; an empty list takes none.
            edit: the offered picture that is to be edited, by number or id; what is chosen informs that.

        Raises:
            UnknownRunError: no such run.
            RunStateError: it has ended, or waits for a choice and got none.
        """
        return await last_record(self.stream_resume(run_id, choose=choose, edit=edit))

    def resume_sync(
        self, run_id: str, *, choose: Sequence[str | int] | None = None, edit: str | int | None = None
    ) -> "RunRecord":
        """`resume`, for programs without an event loop."""
        return run_sync(self.resume(run_id, choose=choose, edit=edit))

    async def stream_resume(
        self, run_id: str, *, choose: Sequence[str | int] | None = None, edit: str | int | None = None
    ) -> AsyncGenerator["RunEvent"]:
        """`resume`, event by event."""
        entry = await self.wiring.runs.get(run_id)
        async with aclosing(self.runner.resume(entry.run_id, choose=choose, edit=edit)) as events:
            async for event in events:
                yield event

    async def continue_run(self, run_id: str, **steering: Any) -> "RunRecord":
        """Go on from where a run ended: more rounds, other references, another prompt.

        Args:
            run_id: the run's id, or the start of it. It stays as it was.
            steering: as `stream_continue` takes it.

        Returns:
            The record of the new run; its `continues` names the old one.

        Raises:
            UnknownRunError: no such run.
            RunStateError: it has not ended (`resume` it first), or there is nothing to do that was not done.
            UsageError: an image that is not known, or more references than may be sent.
        """
        return await last_record(self.stream_continue(run_id, **steering))

    def continue_run_sync(self, run_id: str, **steering: Any) -> "RunRecord":
        """`continue_run`, for programs without an event loop."""
        return run_sync(self.continue_run(run_id, **steering))

    async def stream_continue(
        self,
        run_id: str,
        *,
        more_rounds: int = 2,
        without: Sequence[str | int] = (),
        keep: Sequence[str | int] = (),
        use: Sequence[str | int] = (),
        prompt: str | None = None,
        max_calls: int | None = None,
        max_cost_usd: float | None = None,
        assume_cost_usd_per_call: float | None = None,
        deadline_s: float | None = None,
        patience_s: float | None = None,
        new_id: str | None = None,
    ) -> AsyncGenerator["RunEvent"]:
        """`continue_run`, event by event.

        Images are named by SHA-256, or by its first six characters or more where the run has seen them.

        Args:
            run_id: the run's id, or the start of it.
            more_rounds: redrawings at most, 0 to 20.
            without: references never to be used again; also by number, as the record lists its `references`.
            keep: references that go with every drawing from now on; also by number.
            use: library images to draw with next, whatever the judge says is missing.
            prompt: what to draw from now on, when it is not the same. It is drawn at once, with the references of the
                picture it goes on from.
            max_calls: what the new run may ask of models, when not as before.
            max_cost_usd: what it may spend.
            assume_cost_usd_per_call: what a call counts as whose price is not known.
            deadline_s: how long it may take.
            patience_s: how long a call waits at most for a service that says when to ask again.
            new_id: an id of one's own for the new run.
        """
        from imagerag.graphs.runs.continuation import ContinueOptions

        entry = await self.wiring.runs.get(run_id)
        steering = ContinueOptions(
            more_rounds=more_rounds,
            without=without,
            keep=keep,
            use=use,
            prompt=prompt,
            max_calls=max_calls,
            max_cost_usd=max_cost_usd,
            assume_cost_usd_per_call=assume_cost_usd_per_call,
            deadline_s=deadline_s,
            patience_s=patience_s,
        )
        async with aclosing(self.runner.go_on(entry.run_id, steering, new_id=new_id)) as events:
            async for event in events:
                yield event

    async def replay(self, run_id: str, step: int, **changes: Any) -> "RunRecord":
        """Do a run again from one of its steps, with something changed or nothing. What is unchanged costs nothing.

        Args:
            run_id: the run's id, or the start of it. It stays as it was.
            step: the first step that is done again, as `imagerag show` numbers them.
            changes: as `stream_replay` takes them.

        Returns:
            The record of the new run; its `continues` names the old one and the step.

        Raises:
            UnknownRunError: no such run.
            UsageError: no such step, or a change that cannot be.
        """
        return await last_record(self.stream_replay(run_id, step, **changes))

    def replay_sync(self, run_id: str, step: int, **changes: Any) -> "RunRecord":
        """`replay`, for programs without an event loop."""
        return run_sync(self.replay(run_id, step, **changes))

    async def stream_replay(
        self,
        run_id: str,
        step: int,
        *,
        prompt: str | None = None,
        references: Sequence[str] | None = None,
        fresh: bool = False,
        new_id: str | None = None,
        **changes: Any,
    ) -> AsyncGenerator["RunEvent"]:
        """`replay`, event by event.

        Args:
            run_id: the run's id, or the start of it.
            step: the first step that is done again.
            prompt: another prompt; the judge then makes a new checklist of it.
            references: what to draw with, by id; the step is then a `regenerate`.
            fresh: ask the models anew, instead of using what they answered before.
            new_id: an id of one's own for the new run.
            changes: what else is to be different: `generator`, `judge`, `library`, and what `generate` takes as
                `threshold`, `seed`, `max_rounds`, `judge_mode`, …
        """
        from imagerag.graphs.runs.fork import ForkOptions

        if not isinstance(step, int):
            raise UsageError(f"a step is a number, as imagerag show gives them, not {step!r:.40}")
        entry = await self.wiring.runs.get(run_id)
        if "size" in changes:
            changes["size"] = parse_size(changes["size"])
        replay = ForkOptions(step=step, prompt=prompt, references=references, fresh=fresh, changes=changes)
        async with aclosing(self.runner.replay(entry.run_id, replay, new_id=new_id)) as events:
            async for event in events:
                yield event


async def last_record(events: AsyncIterator["RunEvent"]) -> "RunRecord":
    """The record that a run's last event carries."""
    record = None
    async for event in events:
        record = event.record or record
    assert record is not None, "a run's last event carries its record"
    return record
