"""What the values of each enum are called, in one table per enum. Every door takes its words from here.

Keys are the values as documents hold them, so that this module imports nothing and can be used on every floor; a test
compares them with the types. A label's `name` is a few words, for a column or a badge; its `meaning` is a clause.
"""

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

Tone = Literal["good", "warn", "bad", "calm"]


class Label(NamedTuple):
    """What a value is called, what it means, and how it is coloured."""

    name: str
    meaning: str = ""
    tone: Tone = "calm"


OUTCOMES: Final[Mapping[str, Label]] = {
    "aligned": Label("aligned", "the judge found everything the prompt asks for", "good"),
    "best_effort": Label("best effort", "the rounds are spent and something is still missing", "warn"),
    "no_usable_reference": Label(
        "no usable reference", "something is missing, and no reference was left to draw with", "warn"
    ),
    "refused": Label("refused", "a model declined for reasons of content policy; that is final", "bad"),
    "budget_exhausted": Label("budget spent", "the allowed calls, money or time are spent", "warn"),
    "judge_unavailable": Label("judge unavailable", "nobody checked the picture: neither right nor wrong", "calm"),
    "failed": Label("failed", "an error ended the run", "bad"),
    "cancelled": Label("cancelled", "the run was stopped", "calm"),
}
"""How a run ended."""

STATUSES: Final[Mapping[str, Label]] = {
    "running": Label("not finished", "the run has not finished, or its process was stopped", "calm"),
    "interrupted": Label("waits for a choice", "the run waits for its references to be chosen", "warn"),
    "ended": Label("ended", "the run has ended", "calm"),
}
"""How a run stands that has no outcome yet."""

ANSWERS: Final[Mapping[str, Label]] = {
    "answered": Label("answered", "the pictures hold this", "good"),
    "not_held": Label("not held", "the library's pictures do not hold the answer", "warn"),
    "unreadable": Label("not readable", "the model gave no readable answer", "calm"),
    "refused": Label("refused", "a model declined for reasons of content policy", "bad"),
    "budget_exhausted": Label("budget spent", "the allowed calls, money or time are spent", "warn"),
    "unavailable": Label("unavailable", "the model that answers could not be reached", "calm"),
    "failed": Label("failed", "an error ended it", "bad"),
    "cancelled": Label("cancelled", "the question was stopped before its end", "calm"),
}
"""How a question to a library ended."""

DECISIONS: Final[Mapping[str, Label]] = {
    "taken": Label("taken", "sent to the generator"),
    "offered": Label("offered", "offered to be chosen"),
    "reserve": Label("left over", "passed, but no more could be sent"),
    "below_threshold": Label("below threshold", "below the threshold"),
    "already_used": Label("used before", "sent before without helping"),
    "near_duplicate": Label("duplicate", "nearly the same picture as one above"),
    "rejected_by_hand": Label("not chosen", "passed but not chosen"),
    "rejected_by_reranker": Label("does not fit", "passed but does not fit, as the reranker found"),
    "": Label("found", "not decided yet"),
}
"""What was decided about a candidate, and why; the empty key is one about which nothing was decided yet."""

NODES: Final[Mapping[str, str]] = {
    "input": "input",
    "state": "kept state",
    "generate": "draw",
    "critique": "judge",
    "extract_concepts": "list missing",
    "write_captions": "write captions",
    "retrieve": "search",
    "shortlist": "decide",
    "select": "choose by hand",
    "regenerate": "redraw",
    "finish": "finish",
    "give_up": "give up",
    "cancel": "cancel",
    "update": "change by hand",
}
"""The workflow's nodes, and what a history holds beside them."""

DONE: Final[Mapping[str, str]] = {
    "generate": "drew a picture",
    "critique": "judged the picture",
    "extract_concepts": "listed what is missing",
    "write_captions": "wrote captions",
    "retrieve": "searched the library",
    "shortlist": "decided on references",
    "select": "took what was chosen",
    "regenerate": "drew it again with references",
    "give_up": "gave up on a step",
    "finish": "chose the best picture",
}
"""What a run did last, for whoever waits for it: the same words as `NODES`, in the past."""

SEARCHES: Final[Mapping[str, str]] = {
    "caption": "with a caption",
    "concept": "with the concept's own words",
    "prompt": "with the prompt itself",
}
"""What a library was searched with."""

CHOICES: Final[Mapping[str, str]] = {
    "retrieved": "retrieved",
    "by_hand": "chosen by hand",
    "kept": "kept from an earlier round",
    "given": "your own",
}
"""How a reference came to be sent."""

INTENTS: Final[Mapping[str, str]] = {
    "reference": "informs",
    "subject": "appears in it",
    "edit": "is edited",
}
"""What was done with a picture that was sent."""

KINDS: Final[Mapping[str, str]] = {
    "content": "",
    "style": "style",
    "likeness": "likeness",
    "kept": "had to stay",
}
"""What sort of requirement one is; most are of content, which goes without saying."""

LEVERS: Final[Mapping[str, str]] = {
    "none": "",
    "temperature": "temperature",
    "seed_and_wording": "seed and wording",
}
"""What was turned to get another answer."""

ORIGINS: Final[Mapping[str, str]] = {"generated": "drawn", "handed_in": "handed in"}
"""Where an attempt's picture came from."""

FOUND_BY: Final[Mapping[str, str]] = {
    "similarity": "by similarity",
    "picture": "by your picture",
    "metadata": "by its metadata",
    "earlier": "from the answer before",
}
"""How a picture came to be looked at for an answer."""

CASES: Final[Mapping[str, str]] = {
    "answered": "answered",
    "kept_initial": "kept initial",
    "no_reference": "no usable reference",
    "refused": "refused",
    "budget": "budget spent",
    "technical": "failed",
}
"""What became of a case of an evaluation."""

PRICES: Final[Mapping[str, str]] = {"free": "free", "known": "price known", "unknown": "price not known"}
"""What is known of a backend's prices."""


def label(table: Mapping[str, Label], value: str | None) -> Label:
    """A value's label; a value that the table does not have is called by its own name."""
    return table.get(value or "") or Label((value or "").replace("_", " "))


def decision(value: str | None) -> Label:
    """What was decided about a candidate."""
    return label(DECISIONS, value)


def standing(status: str | None, outcome: str | None) -> Label:
    """How a run stands: its outcome, and while there is none, its status."""
    return label(OUTCOMES, outcome) if outcome else label(STATUSES, status)


def node(name: str) -> str:
    """What a node is called; one of somebody's own by its own name."""
    return NODES.get(name, name)


def verdict(*, judged: bool, aligned: bool | None) -> str:
    """A verdict without a checklist."""
    if not judged or aligned is None:
        return "no verdict"
    return "aligned" if aligned else "not aligned"
