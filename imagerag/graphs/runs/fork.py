"""Doing a run again from one of its steps, with something changed: LangGraph's time travel, into a run of its own.

The checkpoints up to the step are copied under a new id, a checkpoint with the changes follows them, and from there
the graph runs as ever. The run it comes from stays as it was, and its journal makes the unchanged part free.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from langgraph.checkpoint.base import CheckpointMetadata, CheckpointTuple
from langgraph.checkpoint.base.id import uuid6
from langgraph.types import Send
from pydantic import ValidationError

from imagerag.agent import clock
from imagerag.agent.errors import RunStateError, UnknownRunError, UsageError
from imagerag.agent.feedback import with_feedback
from imagerag.agent.run_record import RunRecord
from imagerag.agent.types import ModelCall, ParentRun, RunConfig, RunSpec, Subject
from imagerag.formatting.messages import invalid
from imagerag.graphs.configuration.trust_policy import check_recorded, note_setup
from imagerag.graphs.dependencies import Dependencies
from imagerag.graphs.mask_validation import check_kept_masks
from imagerag.graphs.runs.history import Step, steps
from imagerag.graphs.runs.image_names import references_named
from imagerag.graphs.snapshot_pins import pin_snapshots
from imagerag.tools.automatic import expanded

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

    from imagerag.store.sqlite.checkpointer import BatchedSqliteSaver

_OF_SETUP: Final = frozenset({"generator", "judge", "library", "reranker", "deadline_s"})


@dataclass(frozen=True, kw_only=True)
class ForkOptions:
    """From which step a run is done again, and what is to be different.

    Attributes:
        step: the first step that is done again, as `steps` numbers them.
        prompt: another prompt; the judge then makes a new checklist of it.
        references: what to draw with, by id; the step is then a `regenerate`.
        no_cache: ask the models anew instead of using what they answered before.
        changes: fields of the setup (generator, judge, library, …) and of its config (threshold, seed, …).
    """

    step: int
    prompt: str | None = None
    references: Sequence[str] | None = None
    no_cache: bool = False
    changes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Fork:
    """The beginning of a run that does another one again; it goes on as a run that was stopped does.

    Attributes:
        setup: what the new run is made with.
        run_id: the run that is done again.
        last: the id of its last checkpoint that the new run begins with.
        values: what is different in the new run's state.
    """

    setup: RunSpec
    run_id: str
    last: str
    values: Mapping[str, Any] = field(repr=False)

    async def write(self, saver: "BatchedSqliteSaver", new_id: str) -> None:
        """Write it as the beginning of the run of that id, all of it or nothing."""
        chain = await _chain(saver, self.run_id, self.last)
        values = {"setup": self.setup, **self.values, "started_at": clock.now()}
        await saver.awrite(lambda: _copy(saver, chain, new_id, values))


async def fork(
    dependencies: Dependencies, record: RunRecord, replay: ForkOptions, *, subjects: Sequence[Subject] = ()
) -> Fork:
    """Prepare a run that does another one again from a step.

    Args:
        dependencies: where runs are kept.
        record: the run that is done again.
        replay: from which step, and what is to be different.
        subjects: the user's own images in it.

    Raises:
        UsageError: no such step, a change that cannot be, or a mask that cannot be drawn with (again).
        RunStateError: the run's steps were not kept.
    """
    step = step_of(await steps(dependencies, record.run_id), replay)
    if record.setup is None:
        raise RunStateError(f"run {record.run_id} was made by a server: go back in it there, or run it anew")
    if step.before is None:
        raise RunStateError(f"run {record.run_id} did not keep its steps: it can only be run anew")
    roles = {name for name, value in replay.changes.items() if value is not None}
    await asyncio.to_thread(check_recorded, record.run_id, record.setup, dependencies.user_named_specs, roles)
    setup = await pin_snapshots(dependencies, changed(record.setup, replay), record.run_id)
    await asyncio.to_thread(note_setup, setup)
    parts = await dependencies.parts(setup)  # before the clock starts: loading a model is not the run's time
    await check_kept_masks(parts.generator, subjects, dependencies.blobs)
    earlier = record.parent_run.done_again if record.parent_run else ()
    parent_run = ParentRun(run_id=record.run_id, step=step.index, ancestors=earlier)
    values: dict[str, Any] = {"parent_run": parent_run}
    if replay.prompt is not None and replay.prompt != record.prompt:
        values |= {"prompt": replay.prompt, "requirements": []}
        if record.revision is not None:
            request = with_feedback(replay.prompt, record.feedback)
            values["revision"] = record.revision.model_copy(update={"instruction": request})
    if replay.references is not None:
        values["chosen"] = await references_named(replay.references, record, parts.library)
    return Fork(setup=setup, run_id=record.run_id, last=step.before, values=values)


def changed(setup: RunSpec, replay: ForkOptions) -> RunSpec:
    """A setup with a replay's changes.

    Raises:
        UsageError: a field that there is not, or a value that cannot be.
    """
    unknown = sorted(set(replay.changes) - _OF_SETUP - set(RunConfig.model_fields))
    if unknown:
        raise UsageError(f"nothing in a run is called {', '.join(unknown)}")
    changes = {name: value for name, value in replay.changes.items() if value is not None}
    outer = {name: value for name, value in changes.items() if name in _OF_SETUP}
    if "judge" in outer:
        outer["judge"] = expanded("judge", outer["judge"])
    if "library" in outer:
        outer["snapshots"] = {}  # of the library that is named now, whatever it holds
    cache = "record" if replay.no_cache else "reuse"
    config = {"cache": cache} | {name: value for name, value in changes.items() if name not in _OF_SETUP}
    try:
        return RunSpec(**{**setup.model_dump(), **outer, "config": {**setup.config.model_dump(), **config}})
    except ValidationError as error:
        raise UsageError(invalid(error, most=1, inside="config")) from error


def step_of(listed: Sequence[Step], replay: ForkOptions) -> Step:
    """The step to begin with. Step 0 is the input: the first that is done then is the one after it.

    Raises:
        UsageError: there is none, or references are for another kind of step.
    """
    steps = [step for step in listed if step.index > 0]
    match = next((step for step in steps if step.index == max(replay.step, 1)), None)
    if match is None or match.before is None or replay.step < 0:
        raise UsageError(f"there is no step {replay.step}: the run has steps 0 to {len(steps)}")
    if replay.references is not None and match.node != "regenerate":
        drawing = ", ".join(str(step.index) for step in steps if step.node == "regenerate") or "none"
        raise UsageError(f"step {match.index} is {match.node}; references are for a regenerate: {drawing}")
    return match


def _copy(
    saver: "BatchedSqliteSaver", chain: Sequence[CheckpointTuple], new_id: str, values: Mapping[str, Any]
) -> None:
    """Put a run's checkpoints under a new id, and one with `values` after them."""
    at: RunnableConfig = {"configurable": {"thread_id": new_id, "checkpoint_ns": ""}}
    for one in chain:
        at = saver.put(at, one.checkpoint, one.metadata, one.checkpoint["channel_versions"])
        if one is not chain[-1]:
            for task_id in dict.fromkeys(write[0] for write in one.pending_writes or ()):
                writes = [(channel, value) for task, channel, value in one.pending_writes or () if task == task_id]
                saver.put_writes(at, writes, task_id)
    head, step = chain[-1], chain[-1].metadata.get("step", 0) + 1
    channels = {name: _sent_on(value, values) for name, value in head.checkpoint["channel_values"].items()}
    versions = head.checkpoint["channel_versions"]
    # A channel without a version is taken for empty; no node waits for these, so any version will do.
    versions = {**versions, **dict.fromkeys(values, max(versions.values()))}
    calls = [_paid_for(call) for call in channels.get("calls") or []]
    now: Any = {
        **head.checkpoint,
        "id": str(uuid6(clock_seq=step)),
        "ts": datetime.now(UTC).isoformat(),
        "channel_values": {**channels, **values, "calls": calls},
        "channel_versions": versions,
    }
    fields: CheckpointMetadata = {"source": "update", "step": step, "parents": {}}
    saver.put(at, now, fields, versions)


async def _chain(saver: "BatchedSqliteSaver", run_id: str, last: str) -> list[CheckpointTuple]:
    """The checkpoints that led to `last`, oldest first."""
    chain: list[CheckpointTuple] = []
    at: RunnableConfig | None = {"configurable": {"thread_id": run_id, "checkpoint_ns": "", "checkpoint_id": last}}
    while at is not None:
        checkpoint = await saver.aget_tuple(at)
        if checkpoint is None:
            raise UnknownRunError(f"run {run_id} has lost a checkpoint")
        chain.append(checkpoint)
        at = checkpoint.parent_config
    return chain[::-1]


def _sent_on(value: Any, values: Mapping[str, Any]) -> Any:
    """A channel's value; searches that are to be made were handed their part of the state, and are told the lineage."""
    if not isinstance(value, list) or not any(isinstance(one, Send) for one in value):
        return value
    return [Send(one.node, {**one.arg, "parent_run": values["parent_run"]}) for one in value]


def _paid_for(call: ModelCall) -> ModelCall:
    """A call that the run this one comes from has paid for."""
    return call.model_copy(update={"cached": True, "cost_usd": 0.0})
