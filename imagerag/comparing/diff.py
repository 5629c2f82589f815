"""How two runs differ: a pure function of their records and their steps."""

from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

from imagerag.agent.record import RunRecord
from imagerag.agent.types import Attempt, Knobs
from imagerag.comparing.facts import Done, Facts, done, reference_name
from imagerag.comparing.values import Difference, Divergence, Place, Relation, RunDiff, Side
from imagerag.graphs.events import plain
from imagerag.graphs.history import Step


def diff(a: RunRecord, b: RunRecord, steps_a: Sequence[Step] = (), steps_b: Sequence[Step] = ()) -> RunDiff:
    """How two runs differ, first divergence first.

    Args:
        a: a run, wherever it stands.
        b: another one; a replay of A, or nothing to do with it.
        steps_a: A's history; without any, the runs are compared by what they were asked for and how they ended.
        steps_b: B's.
    """
    divergences, shared = _divergences(done(steps_a, a.setup), done(steps_b, b.setup))
    relation, descendant, since = _related(a, b)
    return RunDiff(
        a=_side(a),
        b=_side(b),
        relation=relation,
        descendant=descendant,
        since=since,
        setup=tuple(_differences(_asked_for(a), _asked_for(b))),
        shared=shared,
        divergences=tuple(divergences),
        result=tuple(_differences(_result(a), _result(b))),
    )


def _divergences(a: Sequence[Done], b: Sequence[Done]) -> tuple[list[Divergence], int]:
    """The steps that differ, in order, and how many were alike before the first of them."""
    found: list[Divergence] = []
    shared = 0
    for one, other in _paired(a, b):
        divergence = _divergence(one, other)
        if divergence is not None:
            found.append(divergence)
        elif not found:
            shared += 1
    return found, shared


def _paired(a: Sequence[Done], b: Sequence[Done]) -> Iterator[tuple[Done | None, Done | None]]:
    """Steps that belong beside each other: the same node in the same round. One that only one run did stands alone."""
    names = [[(step.round, step.node) for step in steps] for steps in (a, b)]
    for kind, i, to_i, j, to_j in SequenceMatcher(None, *names, autojunk=False).get_opcodes():
        if kind == "equal":
            yield from zip(a[i:to_i], b[j:to_j], strict=True)
        else:
            yield from ((step, None) for step in a[i:to_i])
            yield from ((None, step) for step in b[j:to_j])


def _divergence(a: Done | None, b: Done | None) -> Divergence | None:
    step = a or b
    assert step is not None, "a pair holds a step"
    asked: list[Difference] = []
    answered: list[Difference] = []
    if a and b:
        answered = _telling(_differences(a.answered, b.answered), ("words",))
        if a.answered.get("standing") == b.answered.get("standing"):  # of a step that is not done, little was kept
            asked = _telling(_differences(a.asked, b.asked), ("backend", "reference pictures", "request"))
        if not asked and not answered:
            return None
    return Divergence(
        node=step.node,
        round=step.round,
        a=Place(step=a.index, told=a.told) if a else None,
        b=Place(step=b.index, told=b.told) if b else None,
        asked=tuple(asked),
        answered=tuple(answered),
    )


def _telling(differences: Iterator[Difference], dull: Sequence[str]) -> list[Difference]:
    """Differences without the dull ones, which say nothing more where another can be read; the first of those else."""
    found = list(differences)
    readable = [difference for difference in found if difference.what not in dull]
    return readable or sorted(found, key=lambda difference: dull.index(difference.what))[:1]


def _differences(a: Facts, b: Facts) -> Iterator[Difference]:
    for name in dict.fromkeys((*a, *b)):
        one, other = a.get(name), b.get(name)
        if one == other:
            continue
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            parts = {key: (one.get(key), other.get(key)) for key in dict.fromkeys((*one, *other))}
            yield from (Difference(what=f"{name}: {key}", a=x, b=y) for key, (x, y) in parts.items() if x != y)
        else:
            yield Difference(what=name, a=one, b=other)


def _asked_for(record: RunRecord) -> Facts:
    """What a run was asked for and made with; not who pays."""
    asked: Facts = {"prompt": record.prompt}
    first = record.attempts[0] if record.attempts else None
    if first is not None and first.origin == "handed_in":
        asked["picture to start from"] = first.image.sha256
    subjects = [ref for ref in first.references if ref.role == "subject"] if first else []
    asked |= {"subjects": [subject.image.sha256 for subject in subjects]}
    asked |= {"never to be used": record.excluded, "always sent": [reference_name(pin) for pin in record.pinned]}
    if record.setup is not None:
        setup = plain(record.setup.canonical())
        asked |= _renamed(setup.pop("knobs")) | setup
    return {name: value for name, value in asked.items() if value not in (None, [], {}, "")}


def _renamed(knobs: Mapping[str, Any]) -> Facts:
    """Knobs by their names, all of them that there are today."""
    return {name: knobs.get(name) for name in Knobs.model_fields if name != "deadline_at"}


def _result(record: RunRecord) -> Facts:
    return {
        "status": record.status,
        "outcome": record.outcome.value if record.outcome else None,
        "reason": record.reason,
        "picture": record.image.sha256 if record.image else None,
        "best attempt": record.best_attempt,
        "score": _score(record),
        "missing": record.unresolved,
        "attempts": len(record.attempts),
    }


def _side(record: RunRecord) -> Side:
    return Side(
        run_id=record.run_id,
        prompt=record.prompt,
        status=record.status,
        outcome=record.outcome,
        reason=record.reason,
        image=record.image.sha256 if record.image else None,
        score=_score(record),
        attempts=tuple(attempt.image.sha256 for attempt in record.attempts),
        calls=sum(record.calls.values()),
        cost_usd=record.cost_usd,
        elapsed_s=record.elapsed_s,
    )


def _score(record: RunRecord) -> float | None:
    best: Attempt | None = record.attempts[record.best_attempt] if record.best_attempt is not None else None
    return best.verdict.score if best and best.verdict else None


def _related(a: RunRecord, b: RunRecord) -> "tuple[Relation, Any, int | None]":
    """What they are to each other, which of them is the younger, and from which step it was done again."""
    if a.run_id == b.run_id:
        return "same_run", None, None
    for name, younger, older in (("b", b, a), ("a", a, b)):
        lineage = younger.continues
        if lineage is not None and lineage.run_id == older.run_id:
            return ("continuation" if lineage.step is None else "replay"), name, lineage.step
    return "unrelated", None, None
