"""Upper bounds on what a run that waits, or was stopped, still calls and costs: its estimate, less what it has made."""

from imagerag.agent.errors import RunStateError, UnknownRunError
from imagerag.agent.run_record import RunRecord
from imagerag.agent.types import RunSpec, Subject
from imagerag.formatting.interface_terms import python_call
from imagerag.graphs.cost_estimate import Estimate, RoleEstimate, estimate_setup
from imagerag.graphs.dependencies import Dependencies
from imagerag.graphs.runs.records import read_record
from imagerag.graphs.runs.run_snapshot import read_snapshot


async def estimate_resume(dependencies: Dependencies, run_id: str) -> Estimate:
    """Estimate what resuming a run costs at most. No model is called.

    Raises:
        UnknownRunError: no such run, or it was stopped before its first step.
        RunStateError: it has ended.
    """
    values = (await read_snapshot(dependencies, run_id)).values
    setup: RunSpec | None = values.get("setup")
    if setup is None:
        raise UnknownRunError(f"run {run_id} has nothing to resume from: it was stopped before its first step")
    if values.get("result"):
        raise RunStateError(f"run {run_id} has ended: {python_call('runs.get', run_id)}")
    subjects: list[Subject] = values.get("subjects") or []
    whole = await estimate_setup(
        dependencies,
        setup,
        prompt=values["prompt"],
        subjects=len(subjects),
        edits=any(one.intent == "edit" for one in subjects),
        initial_image=values.get("initial_image") is not None,
        mask=any(one.mask is not None for one in subjects),
    )
    return remaining(whole, await read_record(dependencies, run_id))


def remaining(whole: Estimate, record: RunRecord) -> Estimate:
    """The estimate of a run, less the calls that it has made."""
    roles = [_remaining(role, record.calls.get(role.role, 0)) for role in whole.roles]
    called = [role for role in roles if role.max_calls]
    limits = record.setup.config if record.setup else None
    calls, expected = sum(role.max_calls * role.votes for role in called), sum(role.expected_calls for role in called)
    if limits and limits.max_calls is not None:
        calls = min(calls, max(0, limits.max_calls - sum(record.calls.values())))
    left = None if limits is None or limits.max_cost_usd is None else limits.max_cost_usd - (record.cost_usd or 0.0)
    unknown = sorted({role.backend for role in called if role.max_cost_usd is None})
    return whole.model_copy(
        update={
            "roles": roles,
            "max_calls": calls,
            "expected_calls": min(expected, calls),
            "max_cost_usd": None if unknown else _within(left, [role.max_cost_usd for role in called]),
            "expected_cost_usd": _within(left, [role.expected_cost_usd for role in called]),
            "has_unknown_cost": unknown,
        }
    )


def _remaining(role: RoleEstimate, made: int) -> RoleEstimate:
    """A role without the requests that were made."""
    calls = max(0, role.max_calls - made // role.votes)
    expected = min(calls, max(0, role.expected_calls - made // role.votes))
    usual, most = role.expected_cost_usd, role.max_cost_per_call_usd
    return role.model_copy(
        update={
            "max_calls": calls,
            "expected_calls": expected,
            "requests_at_most": calls * (role.requests_at_most // role.max_calls if role.max_calls else 1),
            "max_cost_usd": None if most is None else round(most * calls, 12),
            "expected_cost_usd": None if usual is None else round(usual * expected / max(1, role.expected_calls), 12),
        }
    )


def _within(limit: float | None, costs: list[float | None]) -> float | None:
    """The sum of costs within a limit; None where one is not known."""
    known = [usd for usd in costs if usd is not None]
    if len(known) < len(costs):
        return None
    usd = sum(known)
    return round(usd if limit is None else max(0.0, min(usd, limit)), 12)
