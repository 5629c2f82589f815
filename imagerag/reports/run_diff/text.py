"""Text of differences, for the terminal and the page."""

import re
from collections.abc import Sequence
from typing import Any, Final

from imagerag.formatting import labels
from imagerag.formatting.numbers import attempt, cosine, counted, drawing, percent
from imagerag.reports.run_diff.models import Difference, Divergence, RunDiff, RunSummary

ENDS: Final = frozenset({"finish", "cancel"})
"""Nodes that belong to no round."""

_HASH: Final = re.compile(r"^[0-9a-f]{64}$")


def value_text(value: Any) -> str:
    """A value as a person reads it; images and requests by the start of their hash."""
    if value is None or value == "" or value == []:
        return "nothing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return cosine(value) if -1 <= value <= 1 else f"{value:g}"
    if isinstance(value, dict):
        return ", ".join(f"{name} {value_text(item)}" for name, item in value.items())
    if isinstance(value, list | tuple):
        return "; ".join(map(value_text, value))
    text = str(value)
    return text[:12] if _HASH.match(text) else text


def pair(difference: Difference) -> tuple[str, str]:
    """Both sides of a difference. Of two lists only what the other lacks, and how much they share."""
    a, b = difference.a, difference.b
    if difference.what in ("outcome", "status"):
        table = labels.OUTCOMES if difference.what == "outcome" else labels.STATUSES
        return labels.label(table, a).name or value_text(a), labels.label(table, b).name or value_text(b)
    if difference.what == "best attempt":
        return _attempt(a), _attempt(b)
    if not (isinstance(a, list) and isinstance(b, list)):
        return value_text(a), value_text(b)
    shared = [item for item in a if item in b]
    if len(shared) == len(a) == len(b):
        return value_text(a), f"{value_text(b)} (another order)"
    return _own(a, b, len(shared)), _own(b, a, len(shared))


def _attempt(index: int | None) -> str:
    return "nothing" if index is None else attempt(index)


def _own(mine: Sequence[Any], other: Sequence[Any], shared: int) -> str:
    own = [item for item in mine if item not in other]
    if not shared:
        return value_text(own)
    return f"{value_text(own)}, and {shared} that both have" if own else f"only the {shared} that both have"


def place(divergence: Divergence) -> str:
    """The place of a divergence: its node and round."""
    name = labels.node(divergence.node)
    node = f"{divergence.node} ({name})" if name != divergence.node else name
    if divergence.node in ENDS:
        return node
    return f"{node}, {drawing(divergence.round)}"


def steps_of(divergence: Divergence) -> str:
    """`step 7`, `step 7 of A, 8 of B`, `step 7 of A only`."""
    a, b = divergence.a, divergence.b
    if a and b:
        return f"step {a.step}" if a.step == b.step else f"step {a.step} of A, {b.step} of B"
    return f"step {a.step} of A only" if a else f"step {b.step} of B only" if b else ""


def unmatched_text(divergence: Divergence) -> str:
    """Text of a step that only one of the runs has."""
    own = divergence.a or divergence.b
    return own.text if own else ""


def related(diff: RunDiff) -> str:
    """The relation of the runs, in a sentence."""
    if diff.relation == "same_run":
        return "A and B are one run."
    if diff.relation == "unrelated":
        return "Neither comes from the other."
    younger, older = ("B", "A") if diff.descendant == "b" else ("A", "B")
    if diff.relation == "continuation":
        return f"{younger} continues {older}."
    return f"{younger} is a replay of {older}, forked at step {diff.since}."


def verdict_of(diff: RunDiff) -> str:
    """Whether they are the same, in a sentence."""
    if diff.same:
        return f"They are the same: {counted(diff.shared, 'step')} alike, and the same end."
    if diff.first is None and not diff.setup:
        return "They did the same, and ended differently." if diff.shared else "They ended differently."
    if diff.first is None:
        return "Their inputs differ, and they did the same."
    alike = f"{counted(diff.shared, 'step')} alike, then" if diff.shared else "From the first step on,"
    return f"{alike} they part at {place(diff.first)}."


def standing_text(side: RunSummary) -> str:
    """The label of a run's outcome or status."""
    return labels.standing(side.status, side.outcome).name


def outcome_text(diff: RunDiff) -> str:
    """Both results, in a sentence."""
    if not diff.result:
        return f"No: {_end(diff.a)}, with the same image." if diff.a.image else f"No: {_end(diff.a)}."
    a, b = _end(diff.a), _end(diff.b)
    return f"A: {a}. B: {b}." if a != b else f"Both: {a}. See below in what they differ."


def _end(side: RunSummary) -> str:
    score = "" if side.score is None else f", {percent(side.score)} of the checklist met"
    return standing_text(side) + score
