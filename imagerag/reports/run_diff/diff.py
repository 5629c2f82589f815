"""Comparison of two runs: a pure function of their records and steps."""

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Literal

from imagerag.agent.run_record import RunRecord
from imagerag.agent.types import Attempt
from imagerag.graphs.runs.history import Step
from imagerag.reports.run_diff.input_diff import Facts, input_differences, requested_inputs
from imagerag.reports.run_diff.models import Difference, Divergence, Relation, RunDiff, RunSummary, StepPosition
from imagerag.reports.run_diff.step_facts import StepFacts, step_facts


def diff(a: RunRecord, b: RunRecord, steps_a: Sequence[Step] = (), steps_b: Sequence[Step] = ()) -> RunDiff:
    """The differences of two runs, the first divergence first.

    Args:
        a: a run, wherever it stands.
        b: another one; a replay of A, or nothing to do with it.
        steps_a: A's history; without any, the runs are compared by their inputs and results.
        steps_b: B's.
    """
    divergences, shared = _divergences(step_facts(steps_a, a.setup), step_facts(steps_b, b.setup))
    relation, descendant, since = _related(a, b)
    return RunDiff(
        a=_side(a),
        b=_side(b),
        relation=relation,
        descendant=descendant,
        since=since,
        setup=tuple(input_differences(requested_inputs(a), requested_inputs(b))),
        shared=shared,
        divergences=tuple(divergences),
        result=tuple(input_differences(_result(a), _result(b))),
    )


def _divergences(a: Sequence[StepFacts], b: Sequence[StepFacts]) -> tuple[list[Divergence], int]:
    """The steps that differ, in order, and how many were alike before the first of them."""
    divergences: list[Divergence] = []
    shared = 0
    for one, other in _paired(a, b):
        divergence = _divergence(one, other)
        if divergence is not None:
            divergences.append(divergence)
        elif not divergences:
            shared += 1
    return divergences, shared


def _paired(a: Sequence[StepFacts], b: Sequence[StepFacts]) -> Iterator[tuple[StepFacts | None, StepFacts | None]]:
    """Steps that belong beside each other: the same node in the same round. One that only one run did stands alone."""
    mine, others = ([(step.round, step.node) for step in steps] for steps in (a, b))
    for kind, i, to_i, j, to_j in SequenceMatcher(None, mine, others, autojunk=False).get_opcodes():
        if kind == "equal":
            yield from zip(a[i:to_i], b[j:to_j], strict=True)
        else:
            yield from ((step, None) for step in a[i:to_i])
            yield from ((None, step) for step in b[j:to_j])


def _divergence(a: StepFacts | None, b: StepFacts | None) -> Divergence | None:
    step = a or b
    assert step is not None, "a pair holds a step"
    inputs: list[Difference] = []
    outputs: list[Difference] = []
    if a and b:
        outputs = _readable(input_differences(a.outputs, b.outputs), ("response",))
        if a.inputs and b.inputs and a.outputs.get("standing") == b.outputs.get("standing"):
            # Of a step that is not done little was kept; and an image that a run brings along is not judged again.
            inputs = _readable(input_differences(a.inputs, b.inputs), ("backend", "reference images", "request"))
        if not inputs and not outputs:
            return None
    return Divergence(
        node=step.node,
        round=step.round,
        a=StepPosition(step=a.index, text=a.text) if a else None,
        b=StepPosition(step=b.index, text=b.text) if b else None,
        inputs=tuple(inputs),
        same_inputs=bool(a and b and a.inputs and not inputs),
        outputs=tuple(outputs),
    )


def _readable(listed: Iterator[Difference], dull: Sequence[str]) -> list[Difference]:
    """Differences without the dull ones, which say nothing more where another can be read; the first of those else."""
    differences = list(listed)
    readable = [difference for difference in differences if difference.what not in dull]
    return readable or sorted(differences, key=lambda difference: dull.index(difference.what))[:1]


def _result(record: RunRecord) -> Facts:
    return {
        "status": record.status,
        "outcome": record.outcome.value if record.outcome else None,
        "reason": record.reason,
        "image": record.image.sha256 if record.image else None,
        "best attempt": record.best_attempt,
        "score": _score(record),
        "missing": record.unresolved,
        "attempts": len(record.attempts),
    }


def _side(record: RunRecord) -> RunSummary:
    return RunSummary(
        run_id=record.run_id,
        prompt=record.prompt,
        status=record.status,
        outcome=record.outcome,
        reason=record.reason,
        image=record.image.sha256 if record.image else None,
        score=_score(record),
        attempts=tuple(attempt.image.sha256 for attempt in record.attempts),
        calls=sum(record.calls.values()),
        cached_calls=sum(record.cached_calls.values()),
        cost_usd=record.cost_usd,
        elapsed_s=record.elapsed_s,
    )


def _score(record: RunRecord) -> float | None:
    best: Attempt | None = record.attempts[record.best_attempt] if record.best_attempt is not None else None
    return best.verdict.score if best and best.verdict else None


def _related(a: RunRecord, b: RunRecord) -> tuple[Relation, Literal["a", "b"] | None, int | None]:
    """The relation of two runs, which one is the younger, and the step of the fork."""
    if a.run_id == b.run_id:
        return "same_run", None, None
    younger: Literal["a", "b"] = "b" if b.parent_run and b.parent_run.run_id == a.run_id else "a"
    record, older = (b, a) if younger == "b" else (a, b)
    if record.parent_run is None or record.parent_run.run_id != older.run_id:
        return "unrelated", None, None
    step = record.parent_run.step
    return ("continuation" if step is None else "replay"), younger, step
