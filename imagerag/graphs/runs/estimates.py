"""Upper bounds of what continuing or forking a run can cost, before it is begun."""

import asyncio
from collections import Counter

from imagerag.agent.errors import RunStateError
from imagerag.agent.run_record import RunRecord
from imagerag.agent.types import Outcome, RunSpec, Subject
from imagerag.formatting.interface_terms import python_call
from imagerag.graphs.configuration.trust_policy import check_recorded
from imagerag.graphs.cost_estimate import Estimate, estimate_setup
from imagerag.graphs.dependencies import Dependencies
from imagerag.graphs.runs.continuation import ContinueOptions, aligned_already, apply_options
from imagerag.graphs.runs.fork import ForkOptions, changed, step_of
from imagerag.graphs.runs.history import steps
from imagerag.graphs.runs.records import check_left, read_standing, record_of, with_pending_calls
from imagerag.graphs.validation import validate_feedback, validate_prompt


async def estimate_continuation(dependencies: Dependencies, run_id: str, steering: ContinueOptions) -> Estimate:
    """Estimate a run that goes on from where another one ended. No model is called.

    Raises:
        UnknownRunError: no such run.
        RunStateError: it has not ended, or a server made it.
        UsageError: an option that cannot be.
    """
    record, setup, subjects = await _read(dependencies, run_id)
    if record.outcome is None:
        await check_left(dependencies, await read_standing(dependencies, run_id))
        raise RunStateError(f"run {run_id} has not ended: {python_call('runs.resume', run_id)}")
    prompt = validate_prompt(record.prompt if steering.prompt is None else steering.prompt)
    await asyncio.to_thread(check_recorded, run_id, setup, dependencies.user_named_specs)
    feedback = validate_feedback(steering.feedback_lines)
    other = prompt != record.prompt or steering.seed not in (None, setup.config.seed)
    drawn_anew = other or bool(feedback or steering.add_images) or record.best_attempt is None
    if record.outcome == Outcome.ALIGNED and not (drawn_anew or steering.exclude_images):
        raise aligned_already(run_id)
    return await estimate_setup(
        dependencies,
        apply_options(setup, steering),
        prompt="\n".join((prompt, *record.feedback, *feedback)),
        subjects=len(subjects) + bool(feedback),  # the image that is changed is sent along, where it is
        initial_image=not drawn_anew,
        mask=any(own.mask for own in subjects),
    )


async def estimate_fork(dependencies: Dependencies, run_id: str, replay: ForkOptions) -> Estimate:
    """Estimate a run that does another one again from a step: the calls of the steps before it are not made again.

    Raises:
        UnknownRunError: no such run.
        RunStateError: a server made it.
        UsageError: no such step, or a change that cannot be.
    """
    record, setup, subjects = await _read(dependencies, run_id)
    listed = await steps(dependencies, run_id)
    step = step_of(listed, replay)
    roles = {name for name, value in replay.changes.items() if value is not None}
    await asyncio.to_thread(check_recorded, run_id, setup, dependencies.user_named_specs, roles)
    return await estimate_setup(
        dependencies,
        changed(setup, replay),
        prompt=validate_prompt(record.prompt if replay.prompt is None else replay.prompt),
        subjects=len(subjects),
        initial_image=any(attempt.origin == "handed_in" for attempt in record.attempts),
        mask=any(own.mask for own in subjects),
        done=Counter(call.role for earlier in listed if earlier.index < step.index for call in earlier.calls),
    )


async def estimate_resume(dependencies: Dependencies, run_id: str) -> Estimate:
    """Estimate the rest of a run that waits for a choice, or was stopped: the calls that it made are not made again.

    Raises:
        UnknownRunError: no such run.
        RunStateError: it has ended, or was stopped before its first step.
    """
    standing = await read_standing(dependencies, run_id)
    values, setup = standing.values, standing.values.get("setup")
    if setup is None or values.get("result"):
        why = "has ended" if setup else "was stopped before its first step"
        raise RunStateError(f"run {run_id} {why}: there is nothing to go on with")
    await check_left(dependencies, standing)
    record = record_of(dependencies, await with_pending_calls(dependencies, standing))
    subjects = list(values.get("subjects") or [])
    config, left = setup.config, dict[str, float]()
    if config.max_calls is not None:
        left["max_calls"] = max(0, config.max_calls - sum(record.calls.values()))
    if config.max_cost_usd is not None:
        left["max_cost_usd"] = max(0.0, config.max_cost_usd - (record.cost_usd or 0.0))
    return await estimate_setup(
        dependencies,
        setup.model_copy(update={"config": config.model_copy(update=left)}),
        prompt=values["prompt"],
        subjects=len(subjects),
        edits=any(own.intent == "edit" for own in subjects),
        initial_image=values.get("initial_image") is not None,
        mask=any(own.mask for own in subjects),
        done=Counter(call.role for call in record.call_log if not call.cached),
    )


async def _read(dependencies: Dependencies, run_id: str) -> tuple[RunRecord, RunSpec, list[Subject]]:
    """The record of a run, its setup, and the user's own images in it."""
    standing = await read_standing(dependencies, run_id)
    setup: RunSpec | None = standing.values.get("setup")
    if setup is None:
        raise RunStateError(f"run {run_id} was made by a server: go on with it there, or run it anew")
    return record_of(dependencies, standing), setup, list(standing.values.get("subjects") or [])
