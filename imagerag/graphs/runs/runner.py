"""Starting a run, following it, resuming it, reading its record."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.graph import START
from langgraph.types import Command, Durability

from imagerag.agent import clock
from imagerag.agent.completion import to_completion
from imagerag.agent.errors import RunStateError, UnknownRunError
from imagerag.agent.extraction_schedule import recursion_limit
from imagerag.agent.observability.spans import RunSpan
from imagerag.agent.ports import ReferenceLibrary, can_edit, web_libraries_of
from imagerag.agent.run_record import RunRecord, run_record
from imagerag.agent.state import RunInput
from imagerag.agent.types import ImageRef, RunConfig, RunSpec, Subject
from imagerag.formatting.interface_terms import python_call
from imagerag.graphs.configuration.trust_policy import check_recorded, note_setup
from imagerag.graphs.dependencies import Backends, Dependencies
from imagerag.graphs.graph_cache import Graph, GraphCache
from imagerag.graphs.mask_validation import check_kept_masks, check_masks
from imagerag.graphs.mismatch_warnings import warnings_with
from imagerag.graphs.runs.cancellation import cancel
from imagerag.graphs.runs.continuation import ContinueOptions, InitialState, apply_options, continuation
from imagerag.graphs.runs.events import RunEvent
from imagerag.graphs.runs.fork import Fork, ForkOptions, fork
from imagerag.graphs.runs.records import (
    check_left,
    list_record,
    new_run_id,
    read_record,
    read_standing,
    record_of,
    relist_left,
)
from imagerag.graphs.runs.reindexing import ensure_indexed
from imagerag.graphs.runs.resume_command import resume_value
from imagerag.graphs.runs.run_snapshot import RunSnapshot, has_begun
from imagerag.graphs.runs.streaming import steps
from imagerag.graphs.snapshot_pins import pin_snapshots
from imagerag.graphs.start_node import check_search
from imagerag.graphs.validation import validate_feedback, validate_id, validate_prompt
from imagerag.store.disk_space import check_writable
from imagerag.store.file_lock import run_lock_off_loop
from imagerag.store.images.blob_store import sha256s_in
from imagerag.store.room_reserve import keep_reserve
from imagerag.store.run_index import RunEntry

if TYPE_CHECKING:
    from imagerag.store.sqlite.checkpointer import BatchedSqliteSaver


@dataclass(frozen=True, kw_only=True)
class Runner:
    """Runs generation graphs against one home directory.

    Attributes:
        dependencies: how a setup becomes ports, and where runs are kept.
        durability: "sync" keeps every step before the next begins; "exit" keeps one checkpoint, for evaluations.
        left_open: a run that is left early can be resumed, as after a crash, instead of ending cancelled.
    """

    dependencies: Dependencies
    durability: Durability = "sync"
    left_open: bool = False

    async def start(
        self,
        prompt: str,
        setup: RunSpec,
        *,
        subjects: Sequence[Subject] = (),
        initial_image: ImageRef | None = None,
        run_id: str | None = None,
    ) -> AsyncGenerator[RunEvent]:
        """Start a run and follow it to its end, or to where it waits for a human. Leaving off early cancels it.

        Raises:
            UsageError: an empty or over-long prompt, a run id that cannot be one, a setup that cannot be, or a mask
                that the generator does not take.
            RunStateError: there is a run of that id already.
        """
        if any(own.mask or own.intent == "edit" for own in subjects):
            check_masks(self.dependencies.generator(setup.generator), subjects)
        validated = validate_prompt(prompt)
        run_input: RunInput = {"prompt": validated, "subjects": list(subjects), "initial_image": initial_image}
        await asyncio.to_thread(note_setup, setup)
        setup = await pin_snapshots(self.dependencies, setup)
        seed = InitialState(after=START, values=run_input)
        follow = self._follow(validate_id(run_id) or new_run_id(), seed, setup, validated)
        async with aclosing(follow) as events:
            async for event in events:
                yield event

    async def resume(
        self, run_id: str, *, choose: Sequence[str | int] | None = None, edit: str | int | None = None
    ) -> AsyncGenerator[RunEvent]:
        """Continue a run that was killed, or answer one that waits.

        Args:
            run_id: the run.
            choose: for a waiting run, the references to use: numbers from its question, or ids; empty takes none.
            edit: the one that is to be edited instead.

        Raises:
            UnknownRunError: no such run.
            RunStateError: it has ended, or waits for a choice and got none.
            UntrustedError: its record names an address or a path that only the user may name.
            UsageError: a choice that was not offered.
        """
        standing = await read_standing(self.dependencies, run_id)
        setup: RunSpec | None = standing.values.get("setup")
        if setup is None:
            raise UnknownRunError(
                f"run {run_id} has nothing to resume from: it was stopped before its first step, or a server made it"
            )
        await asyncio.to_thread(check_recorded, run_id, setup, self.dependencies.user_named_specs)
        await pin_snapshots(self.dependencies, setup, run_id)
        if standing.values.get("result"):
            await relist_left(self.dependencies, run_id)  # it is refused, but whoever resumes takes it for unfinished
        answer = resume_value(standing, choose, edit)
        async with aclosing(self._follow(run_id, answer, setup, standing.values["prompt"])) as events:
            async for event in events:
                yield event

    async def continue_run(
        self, run_id: str, steering: ContinueOptions, *, new_id: str | None = None
    ) -> AsyncGenerator[RunEvent]:
        """Start a run that goes on from where another one ended.

        Args:
            run_id: the run that ended.
            steering: what is to be different.
            new_id: an id of one's own for the new run.

        Raises:
            UnknownRunError: no such run.
            RunStateError: it has not ended, or there is nothing to do that was not done.
            UsageError: an image that is not known, more references than may be sent, or a mask that cannot be drawn
                with again.
        """
        standing = await read_standing(self.dependencies, run_id)
        record, setup = run_record(run_id, standing.values, question=standing.question), standing.values.get("setup")
        if record.outcome is not None and setup is None:
            raise RunStateError(f"run {run_id} was made by a server: go on with it there, or run it anew")
        if record.outcome is None or setup is None:
            await check_left(self.dependencies, standing)
            choose = [1, 2] if standing.question else None
            raise RunStateError(f"run {run_id} has not ended: {python_call('runs.resume', run_id, choose=choose)}")
        prompt = validate_prompt(record.prompt if steering.prompt is None else steering.prompt)
        validate_feedback(steering.feedback_lines)
        await self._touch_images(record)
        await asyncio.to_thread(check_recorded, run_id, setup, self.dependencies.user_named_specs)
        setup = await pin_snapshots(self.dependencies, apply_options(setup, steering), run_id)
        parts, subjects = await self.dependencies.parts(setup), standing.values.get("subjects") or []
        await check_kept_masks(parts.generator, subjects, self.dependencies.blobs)
        limit = setup.config.reference_limit(parts.generator.max_references)
        edits = can_edit(parts.generator)
        seed = await continuation(record, steering, subjects=subjects, limit=limit, edits=edits, library=parts.library)
        follow = self._follow(validate_id(new_id) or new_run_id(), seed, setup, prompt, parent_run=run_id)
        async with aclosing(follow) as events:
            async for event in events:
                yield event

    async def replay(self, run_id: str, replay: ForkOptions, *, new_id: str | None = None) -> AsyncGenerator[RunEvent]:
        """Do a run again from one of its steps, as a run of its own, with something changed or nothing.

        Args:
            run_id: the run; it stays as it was.
            replay: from which step, and what is to be different.
            new_id: an id of one's own for the new run.

        Raises:
            UnknownRunError: no such run.
            RunStateError: there is a run of the new id already, or the run's steps were not kept.
            UsageError: no such step, a change that cannot be, or a mask that cannot be drawn with again.
        """
        standing = await read_standing(self.dependencies, run_id)
        record, subjects = record_of(self.dependencies, standing), standing.values.get("subjects") or []
        prompt = validate_prompt(record.prompt if replay.prompt is None else replay.prompt)
        fork_id = validate_id(new_id) or new_run_id()
        await self._touch_images(record)
        beginning = await fork(self.dependencies, record, replay, subjects=subjects)
        async with aclosing(self._follow(fork_id, beginning, beginning.setup, prompt, parent_run=run_id)) as events:
            async for event in events:
                yield event

    async def _touch_images(self, record: RunRecord) -> None:
        """See that a run's images stay, though it be removed before the one that starts from it has named them."""
        images = sha256s_in(record.model_dump_json().encode())
        await asyncio.to_thread(self.dependencies.blobs.touch, images)

    async def record(self, run_id: str) -> RunRecord:
        """The record of a run in any state.

        Raises:
            UnknownRunError: no such run.
        """
        return await read_record(self.dependencies, run_id)

    async def _follow(
        self,
        run_id: str,
        graph_input: InitialState | Fork | Command[Any] | None,
        setup: RunSpec,
        prompt: str,
        *,
        parent_run: str | None = None,
    ) -> AsyncGenerator[RunEvent]:
        thread_config: RunnableConfig = {
            "configurable": {"thread_id": run_id},
            "recursion_limit": recursion_limit(setup.config, own=self.dependencies.extension.own_steps),
        }
        record: RunRecord | None = None
        parts = await self.dependencies.parts(setup)
        # The graph checks it too, but by then the run is on the list.
        if isinstance(graph_input, InitialState) and _checks_search(parts.library, setup.config):
            await check_search(parts.library, setup.config)
        async with self._graph(run_id, parts) as graph:
            if isinstance(graph_input, InitialState | Fork) and has_begun(
                (await graph.aget_state(thread_config)).values
            ):
                resume = python_call("runs.resume", run_id)
                raise RunStateError(f"there is a run {run_id} already: name another id, or {resume}")
            listed = asyncio.ensure_future(
                self.dependencies.runs.upsert(
                    run_id, status="running", prompt=prompt, library=setup.library, parent_run=parent_run
                )
            )
            sequence, span = 0, RunSpan(run_id, setup)
            try:
                await asyncio.shield(listed)
                warned = warnings_with(setup, parts.library, prompt) if isinstance(graph_input, InitialState) else ()
                yield RunEvent(run_id=run_id, sequence=0, kind="started", warnings=warned)
                first = await _graph_input(graph, thread_config, graph_input, setup, warned)
                follow = steps(graph, first, thread_config, config=with_deadline(setup), durability=self.durability)
                async with aclosing(follow) as events:
                    async for fields in events:
                        sequence += 1
                        yield RunEvent(run_id=run_id, sequence=sequence, **fields)
                record = record_of(self.dependencies, RunSnapshot.of(run_id, await graph.aget_state(thread_config)))
                await list_record(self.dependencies, record)
            except (asyncio.CancelledError, KeyboardInterrupt, GeneratorExit):
                record = await to_completion(self._leave(graph, thread_config, listed))
                raise
            finally:
                span.end(record)
        yield RunEvent(
            run_id=run_id, sequence=sequence + 1, kind="ended" if record.outcome else "waiting", record=record
        )

    async def _leave(
        self, graph: Graph, thread_config: RunnableConfig, listed: "asyncio.Future[RunEntry]"
    ) -> RunRecord | None:
        """See that the list says how a run stands that is left early; it ends cancelled, unless it is left open."""
        entry = await listed  # its end must not be written before its beginning
        return await cancel(self.dependencies, graph, thread_config, entry, left_open=self.left_open)

    @cached_property
    def _compiled(self) -> GraphCache:
        return GraphCache(self.dependencies)

    @asynccontextmanager
    async def _graph(self, run_id: str, parts: Backends) -> AsyncIterator[Graph]:
        """The graph, to make one run with; nobody else makes that run meanwhile."""
        await asyncio.to_thread(check_writable, self.dependencies.home.root)  # before anything is paid for
        await asyncio.to_thread(keep_reserve, self.dependencies.home)
        await ensure_indexed(self.dependencies)
        # Journal and list stay open beside the checkpoints, so that not every call opens them.
        async with (
            run_lock_off_loop(self.dependencies.home.lock(run_id), run_id),
            self.dependencies.checkpoints() as saver,
            self.dependencies.journal(),
            self.dependencies.runs.kept_open(),
        ):
            yield self._compiled.graph(parts, saver)


def _checks_search(library: ReferenceLibrary | None, config: RunConfig) -> bool:
    return bool(config.filter or config.hybrid or web_libraries_of(library))


async def _graph_input(
    graph: Graph,
    thread_config: RunnableConfig,
    seed: InitialState | Fork | Command[Any] | None,
    setup: RunSpec,
    warned: Sequence[str],
) -> RunInput | Command[Any] | None:
    """Input of the graph with which a new run begins with the seed. The clock starts now that the models are there."""
    if isinstance(seed, Fork):
        await seed.write(cast("BatchedSqliteSaver", graph.checkpointer), thread_config["configurable"]["thread_id"])
        return None
    if not isinstance(seed, InitialState):
        return seed
    values = {**seed.values, "setup": setup, "started_at": clock.now(), "warnings": list(warned)}
    if seed.after == START:
        return cast(RunInput, values)
    await graph.aupdate_state(thread_config, {**values, "runs": 1}, as_node=seed.after)
    return None


def with_deadline(setup: RunSpec) -> RunConfig:
    """The config, with the moment by which this start or resume has to be done."""
    if setup.deadline_s is None:
        return setup.config
    return setup.config.model_copy(update={"deadline_at": clock.seconds() + setup.deadline_s})
