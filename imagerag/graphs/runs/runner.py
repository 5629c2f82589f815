"""Starting a run, following it, resuming it, reading its record."""

import asyncio
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.graph import START
from langgraph.types import Command, Durability

from imagerag.agent import clock
from imagerag.agent.calls.pending_calls import is_unrecorded
from imagerag.agent.errors import RunStateError, UnknownRunError, UsageError
from imagerag.agent.observability.spans import RunSpan
from imagerag.agent.outcomes import best_attempts
from imagerag.agent.retrieval.human_selection import validate_selection
from imagerag.agent.retry_schedule import recursion_limit
from imagerag.agent.run_record import RunRecord, run_record
from imagerag.agent.state import RunInput, RunState, run_name
from imagerag.agent.types import ImageRef, ModelCall, Outcome, RunConfig, RunResult, RunSpec, Subject, cost_of_calls
from imagerag.graphs.dependencies import Dependencies
from imagerag.graphs.graph_cache import Graph, GraphCache
from imagerag.graphs.mask_validation import check_kept_masks, check_masks
from imagerag.graphs.mismatch_warnings import run_warnings
from imagerag.graphs.runs.continuation import ContinueOptions, InitialState, apply_options, continuation
from imagerag.graphs.runs.events import RunEvent
from imagerag.graphs.runs.fork import ForkOptions, fork
from imagerag.graphs.runs.reindexing import ensure_indexed
from imagerag.graphs.runs.snapshot import RunSnapshot, read_snapshot
from imagerag.graphs.runs.streaming import steps
from imagerag.graphs.trust_policy import check_recorded, note_setup
from imagerag.graphs.validation import validate_id, validate_prompt
from imagerag.store.disk_space import check_writable
from imagerag.store.run_index import RunEntry
from imagerag.store.run_lock import is_locked, run_lock


@dataclass(frozen=True, kw_only=True)
class Runner:
    """Runs generation graphs against one home directory.

    Attributes:
        wiring: how a setup becomes ports, and where runs are kept.
        durability: "sync" keeps every step before the next begins; "exit" keeps one checkpoint, for evaluations.
        left_open: a run that is left early can be resumed, as after a crash, instead of ending cancelled.
    """

    wiring: Dependencies
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
            check_masks(self.wiring.generator(setup.generator), subjects)
        given: RunInput = {
            "prompt": validate_prompt(prompt),
            "subjects": list(subjects),
            "initial_image": initial_image,
        }
        await asyncio.to_thread(note_setup, setup)
        seed = InitialState(after=START, values=given)
        follow = self._follow(validate_id(run_id) or new_run_id(), seed, setup, given["prompt"])
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
        standing = await read_snapshot(self.wiring, run_id)
        setup: RunSpec | None = standing.values.get("setup")
        if setup is None:
            raise UnknownRunError(
                f"run {run_id} has nothing to resume from: it was stopped before its first step, or a server made it"
            )
        await asyncio.to_thread(check_recorded, run_id, setup, self.wiring.named)
        answer = resume_value(standing, choose, edit)
        async with aclosing(self._follow(run_id, answer, setup, standing.values["prompt"])) as events:
            async for event in events:
                yield event

    async def go_on(
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
        standing = await read_snapshot(self.wiring, run_id)
        record, setup = run_record(run_id, standing.values, question=standing.question), standing.values.get("setup")
        if record.outcome is not None and setup is None:
            raise RunStateError(f"run {run_id} was made by a server: go on with it there, or run it anew")
        if record.outcome is None or setup is None:
            how = "--choose 1,2" if standing.question else "first"
            raise RunStateError(f"run {run_id} has not ended: imagerag resume {run_id} {how}")
        prompt = validate_prompt(steering.prompt or record.prompt)
        await asyncio.to_thread(check_recorded, run_id, setup, self.wiring.named)
        setup = apply_options(setup, steering)
        parts, subjects = await self.wiring.parts(setup), standing.values.get("subjects") or []
        await check_kept_masks(parts.generator, subjects, self.wiring.blobs)
        limit = min(setup.knobs.max_references or parts.generator.max_references, parts.generator.max_references)
        seed = await continuation(record, steering, subjects=subjects, limit=limit, library=parts.library)
        follow = self._follow(validate_id(new_id) or new_run_id(), seed, setup, prompt, continues=run_id)
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
            UsageError: no such step, a change that cannot be, or a mask that cannot be drawn with again.
        """
        standing = await read_snapshot(self.wiring, run_id)
        record, subjects = self._record(standing), standing.values.get("subjects") or []
        prompt, named = validate_prompt(replay.prompt or record.prompt), validate_id(new_id) or new_run_id()
        setup = await fork(self.wiring, record, replay, named, subjects=subjects)
        async with aclosing(self._follow(named, None, setup, prompt, continues=run_id)) as events:
            async for event in events:
                yield event

    async def record(self, run_id: str) -> RunRecord:
        """The record of a run, wherever it stands.

        Raises:
            UnknownRunError: no such run.
        """
        return self._record(await self._whole(await read_snapshot(self.wiring, run_id)))

    async def relist(self, run_id: str) -> None:
        """Bring the list of runs up to date with one that a server made, and not this runner.

        Raises:
            UnknownRunError: no such run.
        """
        record = await self.record(run_id)
        await self._note(record, created=datetime.fromisoformat(record.started_at) if record.started_at else None)

    async def _follow(
        self,
        run_id: str,
        given: InitialState | Command[Any] | None,
        setup: RunSpec,
        prompt: str,
        *,
        continues: str | None = None,
    ) -> AsyncGenerator[RunEvent]:
        config: RunnableConfig = {
            "configurable": {"thread_id": run_id},
            "recursion_limit": recursion_limit(setup.knobs, own=self.wiring.extension.own_steps),
        }
        record: RunRecord | None = None
        async with self._graph(run_id, setup) as graph:
            if isinstance(given, InitialState) and (await graph.aget_state(config)).values:
                raise RunStateError(f"there is a run {run_id} already: name another id, or imagerag resume {run_id}")
            listed = asyncio.ensure_future(
                self.wiring.runs.upsert(
                    run_id, status="running", prompt=prompt, library=setup.library, continues=continues
                )
            )
            sequence, span = 0, RunSpan(run_id, setup)
            try:
                await asyncio.shield(listed)
                warned = await run_warnings(self.wiring, setup, prompt) if isinstance(given, InitialState) else ()
                yield RunEvent(run_id=run_id, sequence=0, kind="started", warnings=warned)
                first = await _sown(graph, config, given, setup, warned) if isinstance(given, InitialState) else given
                follow = steps(graph, first, config, knobs=with_deadline(setup), durability=self.durability)
                async with aclosing(follow) as events:
                    async for told in events:
                        sequence += 1
                        yield RunEvent(run_id=run_id, sequence=sequence, **told)
            except (asyncio.CancelledError, KeyboardInterrupt, GeneratorExit):
                entry = await asyncio.shield(listed)  # its end must not be written before its beginning
                if not self.left_open:
                    record = await asyncio.shield(self._cancel(graph, config, entry))
                raise
            else:
                record = self._record(RunSnapshot.of(run_id, await graph.aget_state(config)))
            finally:
                span.end(record)
            await self._note(record)
        yield RunEvent(
            run_id=run_id, sequence=sequence + 1, kind="ended" if record.outcome else "waiting", record=record
        )

    @cached_property
    def _compiled(self) -> GraphCache:
        return GraphCache(self.wiring)

    @asynccontextmanager
    async def _graph(self, run_id: str, setup: RunSpec) -> AsyncIterator[Graph]:
        """The graph, to make one run with; nobody else makes that run meanwhile."""
        parts = await self.wiring.parts(setup)
        await asyncio.to_thread(check_writable, self.wiring.home.root)  # before anything is paid for
        await ensure_indexed(self.wiring)
        with run_lock(self.wiring.home.lock(run_id), run_id):
            # Journal and list stay open beside the checkpoints, so that not every call opens them.
            async with self.wiring.checkpoints() as saver, self.wiring.journal(), self.wiring.runs.kept_open():
                yield self._compiled.graph(parts, saver)

    async def _whole(self, standing: RunSnapshot) -> RunSnapshot:
        """Where a run that has not ended stands, with the calls that its state does not hold yet."""
        values = standing.values
        if values.get("ending") or not self.wiring.home.store.exists():
            return standing
        made, run_id = is_locked(self.wiring.home.lock(standing.run_id)), _named(values, standing.run_id)
        async with self.wiring.journal() as journal:
            calls = await is_unrecorded(journal, run_id, values.get("calls") or [], skip_under_way=made)
        return replace(standing, values={**values, "calls": [*(values.get("calls") or []), *calls]})

    async def _cancel(self, graph: Graph, config: RunnableConfig, entry: RunEntry) -> RunRecord | None:
        """End the run as cancelled, keeping what it has; None when it had ended, or had not made its first step."""
        values = (await graph.aget_state(config)).values
        known: list[ModelCall] = values.get("calls") or []
        async with self.wiring.journal() as journal:
            calls = await is_unrecorded(journal, _named(values, entry.run_id), known)
        if not values:
            await self.wiring.runs.upsert(
                entry.run_id,
                status="ended",
                prompt=entry.prompt,
                outcome=Outcome.CANCELLED,
                library=entry.library,
                continues=entry.continues,
                cost_usd=cost_of_calls(calls),
                calls=sum(call.requests for call in calls),
            )
        if not values or values.get("ending"):
            return None
        best = best_attempts(values.get("attempts") or [])
        ending = RunResult(outcome=Outcome.CANCELLED, reason="cancelled by the caller", at=clock.now())
        update = {"ending": ending, "best": best[0].index if best else None, "calls": calls}
        await graph.aupdate_state(config, update, as_node="finish")
        record = run_record(entry.run_id, {**values, **update, "calls": [*known, *calls]})
        await self._note(record)
        return record

    async def _note(self, record: RunRecord, *, created: datetime | None = None) -> None:
        await self.wiring.runs.upsert(
            record.run_id,
            status=record.status,
            prompt=record.prompt,
            outcome=record.outcome,
            library=record.setup.library if record.setup else None,
            score=_score(record),
            cost_usd=record.cost_usd,
            calls=sum(record.calls.values()),
            continues=record.continues.run_id if record.continues else None,
            created=created,
        )

    def _record(self, standing: RunSnapshot) -> RunRecord:
        record = run_record(standing.run_id, standing.values, question=standing.question)
        if record.image is None:
            return record
        path = str(self.wiring.blobs.path(record.image.sha256))
        return record.model_copy(update={"image": record.image.model_copy(update={"path": path})})


async def _sown(
    graph: Graph, config: RunnableConfig, seed: InitialState, setup: RunSpec, warned: Sequence[str]
) -> RunInput | None:
    """What to hand the graph so that a new run begins with the seed. The clock starts now that the models are there."""
    values = {**seed.values, "setup": setup, "started_at": clock.now(), "warnings": list(warned)}
    if seed.after == START:
        return cast(RunInput, values)
    await graph.aupdate_state(config, {**values, "runs": 1}, as_node=seed.after)
    return None


def resume_value(
    standing: RunSnapshot, choose: Sequence[str | int] | None, edit: str | int | None = None
) -> Command[Any] | None:
    """What to hand a run so that it goes on: nothing when it was killed, the choice when it waits for one."""
    if ending := standing.values.get("ending"):
        raise RunStateError(f"run {standing.run_id} has ended ({ending.outcome}): imagerag show {standing.run_id}")
    if standing.question is None:
        if choose is not None or edit is not None:
            raise RunStateError(f"run {standing.run_id} does not wait for a choice")
        return None
    if choose is None and edit is None:
        raise RunStateError(
            f"run {standing.run_id} waits for a choice: imagerag resume {standing.run_id} --choose 1,2 (or none)"
        )
    offered = {str(candidate["number"]): candidate["id"] for candidate in standing.question["candidates"]}
    offered |= {sha: sha for sha in offered.values()}
    chosen = [offered.get(str(choice), str(choice)) for choice in choose or ()]
    edited = None if edit is None else offered.get(str(edit), str(edit))
    if problem := validate_selection(standing.question, chosen, edited):
        raise UsageError(problem)
    return Command(resume={standing.interrupt_id: {"chosen": chosen, **({"edit": edited} if edited else {})}})


def with_deadline(setup: RunSpec) -> RunConfig:
    """The knobs, with the moment by which this start or resume has to be done."""
    if setup.deadline_s is None:
        return setup.knobs
    return setup.knobs.model_copy(update={"deadline_at": clock.seconds() + setup.deadline_s})


def new_run_id() -> str:
    """An id that sorts by time and is short enough to type the start of."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:6]}"


def _named(values: Mapping[str, Any], run_id: str) -> str:
    """What the journal keeps the calls of a run in this state under."""
    return run_name(cast(RunState, values), run_id, "")


def _score(record: RunRecord) -> float | None:
    if record.best_attempt is None:
        return None
    verdict = record.attempts[record.best_attempt].verdict
    return verdict.score if verdict else None
