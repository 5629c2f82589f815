"""Starting a run, following it, resuming it, reading its record."""

import asyncio
import re
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command, Durability

from imagerag.agent.endings import best_attempts
from imagerag.agent.errors import RunStateError, UnknownRunError, UsageError
from imagerag.agent.record import RunRecord, run_record
from imagerag.agent.schedule import step_ceiling
from imagerag.agent.state import RunInput, RunOutput, RunState
from imagerag.agent.types import Ending, ImageRef, Knobs, Outcome, Setup, Subject
from imagerag.graphs.events import RunEvent
from imagerag.graphs.generation import build_workflow
from imagerag.graphs.reading import Standing, read_standing
from imagerag.graphs.wiring import Wiring

Graph = CompiledStateGraph[RunState, Knobs, RunInput, RunOutput]

MAX_PROMPT = 32_000
"""Characters: what the Images API takes."""


@dataclass(frozen=True, kw_only=True)
class Runner:
    """Runs generation graphs against one home directory.

    Attributes:
        wiring: how a setup becomes ports, and where runs are kept.
        durability: "sync" keeps every step before the next begins; "exit" keeps one checkpoint, for evaluations.
    """

    wiring: Wiring
    durability: Durability = "sync"

    async def start(
        self,
        prompt: str,
        setup: Setup,
        *,
        subjects: Sequence[Subject] = (),
        initial_image: ImageRef | None = None,
        run_id: str | None = None,
    ) -> AsyncGenerator[RunEvent]:
        """Start a run and follow it to its end, or to where it waits for a human. Leaving off early cancels it.

        Raises:
            UsageError: an empty or over-long prompt, a run id that cannot be one, or a setup that cannot be.
        """
        given: RunInput = {
            "prompt": checked_prompt(prompt),
            "subjects": list(subjects),
            "initial_image": initial_image,
            "setup": setup,
        }
        follow = self._follow(checked_id(run_id) or new_run_id(), given, setup, given["prompt"])
        async with aclosing(follow) as events:
            async for event in events:
                yield event

    async def resume(self, run_id: str, *, choose: Sequence[str | int] | None = None) -> AsyncGenerator[RunEvent]:
        """Continue a run that was killed, or answer one that waits.

        Args:
            run_id: the run.
            choose: for a waiting run, the references to use: numbers from its question, or ids; empty takes none.

        Raises:
            UnknownRunError: no such run.
            RunStateError: it has ended, or waits for a choice and got none.
            UsageError: a choice that was not offered.
        """
        standing = await read_standing(self.wiring, run_id)
        setup: Setup | None = standing.values.get("setup")
        if setup is None:
            raise UnknownRunError(f"run {run_id} has nothing to resume from: it was stopped before its first step")
        given = answer_to(standing, choose)
        async with aclosing(self._follow(run_id, given, setup, standing.values["prompt"])) as events:
            async for event in events:
                yield event

    async def record(self, run_id: str) -> RunRecord:
        """The record of a run, wherever it stands.

        Raises:
            UnknownRunError: no such run.
        """
        return self._record(await read_standing(self.wiring, run_id))

    async def _follow(
        self, run_id: str, given: RunInput | Command[Any] | None, setup: Setup, prompt: str
    ) -> AsyncGenerator[RunEvent]:
        config: RunnableConfig = {
            "configurable": {"thread_id": run_id},
            "recursion_limit": step_ceiling(setup.knobs),
        }
        async with self._graph(setup) as graph:
            await self.wiring.runs.upsert(run_id, status="running", prompt=prompt, library=setup.library)
            yield RunEvent(run_id=run_id, sequence=0, kind="started")
            if isinstance(given, dict):  # the clock starts when the models are there
                given["started_at"] = _now()
            sequence = 0
            try:
                async with aclosing(self._steps(graph, given, config, setup)) as steps:
                    async for node, update in steps:
                        sequence += 1
                        yield RunEvent(run_id=run_id, sequence=sequence, kind="step", node=node, update=update)
            except (asyncio.CancelledError, KeyboardInterrupt, GeneratorExit):
                await asyncio.shield(self._cancel(graph, config, run_id))
                raise
            snapshot = await graph.aget_state(config)
        record = self._record(Standing.of(run_id, snapshot))
        await self._note(record)
        yield RunEvent(
            run_id=run_id, sequence=sequence + 1, kind="ended" if record.outcome else "waiting", record=record
        )

    async def _steps(
        self, graph: Graph, given: RunInput | Command[Any] | None, config: RunnableConfig, setup: Setup
    ) -> AsyncGenerator[tuple[str, Any]]:
        """(node, update) as each node finishes. A search's undecided candidates are part of the shortlist's step."""
        stream = graph.astream(
            given,
            config,
            context=with_deadline(setup),
            stream_mode=["updates"],
            durability=self.durability,
            version="v2",
        )
        async for chunk in stream:
            for node, update in cast("Mapping[str, Any]", chunk["data"]).items():
                if not node.startswith("__interrupt"):
                    yield ("give_up" if "error_handler" in node else node), update or {}

    @asynccontextmanager
    async def _graph(self, setup: Setup) -> AsyncIterator[Graph]:
        parts = await self.wiring.parts(setup)
        async with self.wiring.checkpoints() as saver, self.wiring.journal() as journal:
            workflow = build_workflow(
                generator=parts.generator,
                judge=parts.judge,
                library=parts.library,
                blobs=self.wiring.blobs,
                journal=journal,
            )
            yield workflow.compile(checkpointer=saver, name="imagerag")

    async def _cancel(self, graph: Graph, config: RunnableConfig, run_id: str) -> None:
        """End the run as cancelled, keeping what it has."""
        values = (await graph.aget_state(config)).values
        if not values or values.get("ending"):
            return
        best = best_attempts(values.get("attempts") or [])
        ending = Ending(outcome=Outcome.CANCELLED, reason="cancelled by the caller", at=_now())
        update = {"ending": ending, "best": best[0].index if best else None}
        await graph.aupdate_state(config, update, as_node="finish")
        await self._note(run_record(run_id, {**values, **update}))

    async def _note(self, record: RunRecord) -> None:
        await self.wiring.runs.upsert(
            record.run_id,
            status=record.status,
            prompt=record.prompt,
            outcome=record.outcome,
            library=record.setup.library if record.setup else None,
            score=_score(record),
        )

    def _record(self, standing: Standing) -> RunRecord:
        record = run_record(standing.run_id, standing.values, question=standing.question)
        if record.image is None:
            return record
        path = str(self.wiring.blobs.path(record.image.sha256))
        return record.model_copy(update={"image": record.image.model_copy(update={"path": path})})


def answer_to(standing: Standing, choose: Sequence[str | int] | None) -> Command[Any] | None:
    """What to hand a run so that it goes on: nothing when it was killed, the choice when it waits for one."""
    if ending := standing.values.get("ending"):
        raise RunStateError(f"run {standing.run_id} has ended ({ending.outcome}): imagerag show {standing.run_id}")
    if standing.question is None:
        if choose is not None:
            raise RunStateError(f"run {standing.run_id} does not wait for a choice")
        return None
    if choose is None:
        raise RunStateError(
            f"run {standing.run_id} waits for a choice: imagerag resume {standing.run_id} --choose 1,2 (or none)"
        )
    offered = {str(candidate["number"]): candidate["id"] for candidate in standing.question["candidates"]}
    offered |= {sha: sha for sha in offered.values()}
    unknown = [str(choice) for choice in choose if str(choice) not in offered]
    if unknown:
        raise UsageError(f"not offered: {', '.join(unknown)}; there are 1 to {len(standing.question['candidates'])}")
    return Command(resume={standing.interrupt_id: {"chosen": [offered[str(choice)] for choice in choose]}})


def checked_prompt(prompt: str) -> str:
    """The prompt, when it can be drawn at all.

    Raises:
        UsageError: empty, too long, or not text that can be stored (NUL bytes, lone surrogates).
    """
    if not prompt.strip():
        raise UsageError("the prompt is empty: say what to draw")
    if len(prompt) > MAX_PROMPT:
        raise UsageError(f"the prompt has {len(prompt)} characters; at most {MAX_PROMPT} can be drawn")
    if "\0" in prompt or any("\ud800" <= letter <= "\udfff" for letter in prompt):
        raise UsageError("the prompt holds a NUL byte or half a character (a lone surrogate)")
    return prompt


def checked_id(run_id: str | None) -> str | None:
    """A caller's own run id, when it can be one.

    Raises:
        UsageError: empty, too long, or with anything but letters, digits, - and _.
    """
    if run_id is not None and not re.fullmatch(r"[A-Za-z0-9_-]{1,100}", run_id):
        raise UsageError(f"a run id is 1 to 100 letters, digits, - and _; not {run_id[:60]!r}")
    return run_id


def with_deadline(setup: Setup) -> Knobs:
    """The knobs, with the moment by which this start or resume has to be done."""
    if setup.deadline_s is None:
        return setup.knobs
    return setup.knobs.model_copy(update={"deadline_at": time.time() + setup.deadline_s})


def new_run_id() -> str:
    """An id that sorts by time and is short enough to type the start of."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:6]}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _score(record: RunRecord) -> float | None:
    if record.best_attempt is None:
        return None
    verdict = record.attempts[record.best_attempt].verdict
    return verdict.score if verdict else None
