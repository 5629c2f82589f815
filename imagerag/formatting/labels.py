"""Labels of enum values, one table for each enum. Every interface takes its words from here.

To word a new value, add its row here. Keys are the values as documents hold them, so that this module imports no
floor above and can be used on all of them; a test compares them with the types.
"""

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from imagerag.formatting.numbers import drawing

Tone = Literal["good", "warn", "bad", "calm"]


class Label(NamedTuple):
    """The words for a value, the same at every interface.

    Attributes:
        name: a few words, for a column or a badge.
        meaning: a clause.
        tone: how it is coloured.
        exit_code: of a command that ends so.
        next_step: what a person does now, in the terms of the Python API; `{run_id}` stands for the run.
    """

    name: str
    meaning: str = ""
    tone: Tone = "calm"
    exit_code: int = 0
    next_step: str = ""


WEB_SOURCES: Final = "sources the model found on the web"
"""Heading of a generator's own sources, apart from the references that the user's library gave."""

STOPPED: Final = 130
"""The exit code of what was stopped with Ctrl-C."""

OUTCOMES: Final[Mapping[str, Label]] = {
    "aligned": Label(
        "aligned",
        "the judge found everything the prompt asks for",
        "good",
    ),
    "best_effort": Label(
        "best effort",
        "the rounds are spent and something is still missing",
        "warn",
        3,
        "allow more rounds: `rag.runs.continue_('{run_id}', more_rounds=3)`",
    ),
    "no_usable_reference": Label(
        "no usable reference",
        "something is missing, and no reference was left to draw with",
        "warn",
        3,
        "or accept the best attempt as it is",
    ),
    "refused": Label(
        "refused",
        "a model declined for reasons of content policy; that is final",
        "bad",
        4,
        "change the prompt: asking the same again does not help",
    ),
    "budget_exhausted": Label(
        "budget spent",
        "the allowed calls, money or time are spent",
        "warn",
        5,
        "allow more: `rag.runs.continue_('{run_id}')` with `max_calls`, `max_cost_usd` or `deadline_s`",
    ),
    "judge_unavailable": Label(
        "judge unavailable",
        "nobody checked the image: neither right nor wrong",
        "calm",
        1,
        "look at the image yourself, or try another judge with `judge=SPEC`",
    ),
    "failed": Label(
        "failed",
        "an error ended the run",
        "bad",
        1,
        "see what happened: `rag.runs.get('{run_id}')`",
    ),
    "cancelled": Label(
        "cancelled",
        "the run was stopped",
        "calm",
        STOPPED,
    ),
}
"""Outcomes of a run."""

STATUSES: Final[Mapping[str, Label]] = {
    "running": Label("not finished", "the run has not finished, or its process was stopped", "calm"),
    "interrupted": Label("waits for a choice", "the run waits for its references to be chosen", "warn"),
    "ended": Label("ended", "the run has ended", "calm"),
}
"""Statuses of a run without an outcome."""

UNFINISHED: Final[Mapping[bool, Label]] = {
    True: Label("being made", "a process makes the run right now", "calm"),
    False: Label("stopped", "the run's process was stopped; it can be resumed", "warn"),
}
"""Unfinished runs, by whether a process makes them."""

JOBS: Final[Mapping[str, Label]] = {"queued": Label("waits for its turn", "other runs go first"), **STATUSES}
"""Statuses of a server's job."""

STEP_STATUSES: Final[Mapping[str, Label]] = {
    "done": Label("done", "", "good"),
    "failed": Label("failed", "failed", "bad"),
    "pending": Label("not finished", "not finished: here the run stands"),
    "waiting": Label("waits for a choice", "waits for you to choose", "warn"),
}
"""Statuses of a step."""

ANSWERS: Final[Mapping[str, Label]] = {
    "answered": Label("answered", "the images hold this", "good"),
    "not_held": Label(
        "not held",
        "the library's images do not hold the answer",
        "warn",
        3,
    ),
    "unreadable": Label("not readable", "the model gave no readable answer", "calm", 1),
    "refused": Label(
        "refused",
        "a model declined for reasons of content policy",
        "bad",
        4,
    ),
    "budget_exhausted": Label("budget spent", "the allowed calls, money or time are spent", "warn", 5),
    "unavailable": Label(
        "unavailable",
        "the model that answers could not be reached",
        "calm",
        1,
    ),
    "failed": Label("failed", "an error ended it", "bad", 1),
    "cancelled": Label(
        "cancelled",
        "the question was stopped before its end",
        "calm",
        STOPPED,
    ),
}
"""Outcomes of a question to a library."""

BATCH_LINES: Final[Mapping[str, Label]] = {
    "done": Label("done", "run to its end", "good"),
    "failed": Label("failed", "an error ended the run", "bad", 1),
    "invalid": Label("cannot be run", "cannot be run", "bad", 1),
}
"""Statuses of a line of a batch."""

DECISIONS: Final[Mapping[str, Label]] = {
    "taken": Label("taken", "sent to the generator"),
    "offered": Label("offered", "offered to be chosen"),
    "reserve": Label("left over", "passed, but no more could be sent"),
    "below_threshold": Label("below threshold", "below the threshold"),
    "already_used": Label("used before", "sent before without helping"),
    "near_duplicate": Label("duplicate", "nearly the same image as one above"),
    "rejected_by_hand": Label("not chosen", "passed but not chosen"),
    "rejected_by_reranker": Label("does not fit", "passed but does not fit, as the reranker found"),
    "missing_file": Label("file missing", "passed, but the file is gone or was changed"),
    "": Label("found", "not decided yet"),
}
"""Decisions about a candidate; the empty key means none yet."""

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

SEARCHES: Final[Mapping[str, str]] = {
    "caption": "with a caption",
    "concept": "with the concept's own words",
    "prompt": "with the prompt itself",
}
"""Queries of a library."""

SEARCHED_BY: Final[Mapping[str, str]] = {"words": "words", "image": "image", "both": "image and words"}
"""Query kinds of a question to a library."""

FILTERS: Final[Mapping[str, str]] = {
    "licences": "the licence filter",
    "tags": "the tag filter",
    "filter": "the metadata filter",
    "excluded": "the list of images never to be used",
    "filters": "the filters together",
}
"""Filters of a search."""

CHOICES: Final[Mapping[str, str]] = {
    "retrieved": "retrieved",
    "by_hand": "chosen by hand",
    "kept": "kept from an earlier round",
    "given": "your own",
    "parent_run": "from the run before",
}
"""Origins of a reference that was sent."""

INTENTS: Final[Mapping[str, str]] = {
    "reference": "informs",
    "subject": "appears in it",
    "edit": "is edited",
}
"""Intents of an image that was sent."""

KINDS: Final[Mapping[str, str]] = {
    "content": "",
    "style": "style",
    "likeness": "likeness",
    "kept": "had to stay",
    "feedback": "your feedback",
}
"""Kinds of requirements; content, the most frequent, has no label."""

ORIGINS: Final[Mapping[str, str]] = {"generated": "drawn", "handed_in": "handed in"}
"""Origins of an attempt's image."""

FOUND_BY: Final[Mapping[str, str]] = {
    "similarity": "by similarity",
    "image": "by your image",
    "metadata": "by its metadata",
    "earlier": "from the answer before",
}
"""Reasons why an image became a candidate for an answer."""

CASES: Final[Mapping[str, str]] = {
    "answered": "answered",
    "kept_initial": "kept initial",
    "no_reference": "no usable reference",
    "refused": "refused",
    "budget": "budget spent",
    "technical": "failed",
}
"""Statuses of a case of an evaluation."""

PRICES: Final[Mapping[str, str]] = {"free": "free", "known": "price known", "unknown": "price not known"}
"""Knowledge of a backend's prices."""


def label(table: Mapping[str, Label], value: str | None) -> Label:
    """A value's label; a value that the table does not have is called by its own name."""
    return table.get(value or "") or Label((value or "").replace("_", " "))


def decision(value: str | None) -> Label:
    """The label of a decision about a candidate."""
    return label(DECISIONS, value)


def standing(status: str | None, outcome: str | None) -> Label:
    """The label of a run's outcome, or of its status while there is none."""
    return label(OUTCOMES, outcome) if outcome else label(STATUSES, status)


def sought(by: str, concept: str) -> str:
    """The subject of a search: its concept, or the whole prompt."""
    return "the prompt as a whole" if by == "prompt" else concept


def attempt_origin(origin: str, round: int) -> str:
    """The round of an attempt, or "handed in"."""
    return ORIGINS[origin] if origin == "handed_in" else drawing(round)


def cited(accepted: bool, by: str) -> str:
    """The reason why an image was considered for an answer, or was not taken."""
    return FOUND_BY[by] if accepted else DECISIONS["below_threshold"].name


def node(name: str) -> str:
    """The label of a node; a custom node has its own name."""
    return NODES.get(name, name)


def node_done(name: str) -> str:
    """Progress text for a finished node: its label, and no foreign text."""
    return f"{node(name)}: done"


def verdict(*, judged: bool, aligned: bool | None) -> str:
    """A verdict without a checklist: `not aligned`, `no verdict`."""
    if not judged or aligned is None:
        return "no verdict"
    return "aligned" if aligned else "not aligned"
