"""What the values of each enum are called, in one table per enum. Every door takes its words from here.

To word a new value, add its row here. Keys are the values as documents hold them, so that this module imports no
floor above and can be used on all of them; a test compares them with the types.
"""

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from imagerag.formatting.numbers import drawing

Tone = Literal["good", "warn", "bad", "calm"]


class Label(NamedTuple):
    """How a value is worded at every door.

    Attributes:
        name: a few words, for a column or a badge.
        meaning: a clause.
        tone: how it is coloured.
        exit_code: of a command that ends so.
        next_step: what a person does now; `{run_id}` stands for the run.
        tool_step: what an assistant does now, in terms of its tools.
    """

    name: str
    meaning: str = ""
    tone: Tone = "calm"
    exit_code: int = 0
    next_step: str = ""
    tool_step: str = ""


STOPPED: Final = 130
"""The exit code of what was stopped with Ctrl-C."""

_LACKING: Final = (
    "ask the user for a picture of what is missing (generate_image takes it in subjects); or search_references with "
    "other words and continue_run(run_id, add_images=[id])"
)

OUTCOMES: Final[Mapping[str, Label]] = {
    "aligned": Label(
        "aligned",
        "the judge found everything the prompt asks for",
        "good",
        tool_step="give the picture to the user; for a change: continue_run(run_id, prompt=the whole new prompt).",
    ),
    "best_effort": Label(
        "best effort",
        "the rounds are spent and something is still missing",
        "warn",
        3,
        "allow more rounds: imagerag continue {run_id} --more-rounds 3",
        "show it and say what is missing; continue_run(run_id, more_rounds=2), with without=[number] where a reference "
        "misled it or use=[id] from search_references; or leave it at this.",
    ),
    "no_usable_reference": Label(
        "no usable reference",
        "something is missing, and no reference was left to draw with",
        "warn",
        3,
        "or accept the best attempt as it is",
        f"{_LACKING}; or leave it at this.",
    ),
    "refused": Label(
        "refused",
        "a model declined for reasons of content policy; that is final",
        "bad",
        4,
        "change the prompt: asking the same again does not help",
        "tell the user; only another prompt can help, the same one will be refused again.",
    ),
    "budget_exhausted": Label(
        "budget spent",
        "the allowed calls, money or time are spent",
        "warn",
        5,
        "allow more: imagerag continue {run_id} with --max-calls, --max-cost-usd or --deadline-s",
        "ask the user whether to spend more; then continue_run with more max_calls, max_cost_usd or deadline_s.",
    ),
    "judge_unavailable": Label(
        "judge unavailable",
        "nobody checked the picture: neither right nor wrong",
        "calm",
        1,
        "look at the image yourself, or try another judge with --judge",
        "view_image and judge it yourself; say to the user that it was not checked.",
    ),
    "failed": Label(
        "failed",
        "an error ended the run",
        "bad",
        1,
        "see what happened: imagerag show {run_id}",
        "try once more; if it fails again, tell the user the reason.",
    ),
    "cancelled": Label(
        "cancelled",
        "the run was stopped",
        "calm",
        STOPPED,
        tool_step="continue_run(run_id) goes on from the best picture.",
    ),
}
"""How a run ended."""

CAUSES: Final[Mapping[str, str]] = {
    "takes_none": "tell the user that this generator takes no reference pictures; another one has to be configured",
    "no_room": "call generate_image with fewer subjects, or tell the user that this generator takes no more pictures",
    "no_library": "ask the user for a picture of what is missing, and pass it to generate_image in subjects",
    "empty_library": "tell the user that the library is empty: imagerag index PATH --library NAME fills it",
    "filtered": "call generate_image without the filter that the reason names, if the user agrees",
    "excluded": "continue_run(run_id, add_images=[id]) with one that was never to be used, if the user agrees",
    "rejected_by_hand": f"continue_run(run_id, add_images=[id]) with one of those that were offered; or {_LACKING}",
    "already_used": _LACKING,
    "rejected_by_reranker": f"continue_run(run_id, add_images=[id]) with one that the reranker left out; or {_LACKING}",
    "below_threshold": f"call generate_image with a lower threshold, if one was set; or {_LACKING}",
}
"""What stood in the way of a reference → what an assistant does now. What a person does depends on the run
(`agent/next_steps.py`)."""

STATUSES: Final[Mapping[str, Label]] = {
    "running": Label("not finished", "the run has not finished, or its process was stopped", "calm"),
    "interrupted": Label("waits for a choice", "the run waits for its references to be chosen", "warn"),
    "ended": Label("ended", "the run has ended", "calm"),
}
"""How a run stands that has no outcome yet."""

JOBS: Final[Mapping[str, Label]] = {"queued": Label("waits for its turn", "other runs go first"), **STATUSES}
"""How a run stands that a server makes for a client."""

STEP_STATUSES: Final[Mapping[str, Label]] = {
    "done": Label("done", "", "good"),
    "failed": Label("failed", "failed", "bad"),
    "pending": Label("not finished", "not finished: here the run stands"),
    "waiting": Label("waits for a choice", "waits for you to choose", "warn"),
}
"""How one step of a run stands."""

ANSWERS: Final[Mapping[str, Label]] = {
    "answered": Label("answered", "the pictures hold this", "good", tool_step="for a follow-up question pass thread."),
    "not_held": Label(
        "not held",
        "the library's pictures do not hold the answer",
        "warn",
        3,
        tool_step="say so to the user and do not guess; other words, passed with thread, may find more.",
    ),
    "unreadable": Label(
        "not readable", "the model gave no readable answer", "calm", 1, tool_step="ask once more, in other words."
    ),
    "refused": Label(
        "refused",
        "a model declined for reasons of content policy",
        "bad",
        4,
        tool_step="tell the user; do not ask the same.",
    ),
    "budget_exhausted": Label(
        "budget spent", "the allowed calls, money or time are spent", "warn", 5, tool_step="tell the user."
    ),
    "unavailable": Label(
        "unavailable",
        "the model that answers could not be reached",
        "calm",
        1,
        tool_step="tell the user; later may work.",
    ),
    "failed": Label("failed", "an error ended it", "bad", 1, tool_step="try once more, then tell the user the reason."),
    "cancelled": Label(
        "cancelled",
        "the question was stopped before its end",
        "calm",
        STOPPED,
        tool_step="ask again if the user still wants to know.",
    ),
}
"""How a question to a library ended."""

BATCH_LINES: Final[Mapping[str, Label]] = {
    "done": Label("done", "run to its end", "good"),
    "failed": Label("failed", "an error ended the run", "bad", 1),
    "invalid": Label("cannot be run", "cannot be run as they are", "bad", 1),
}
"""What became of a line of a batch."""

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

SEARCHES: Final[Mapping[str, str]] = {
    "caption": "with a caption",
    "concept": "with the concept's own words",
    "prompt": "with the prompt itself",
}
"""What a library was searched with."""

SEARCHED_BY: Final[Mapping[str, str]] = {"words": "words", "image": "picture", "both": "picture and words"}
"""What a question searches its library with."""

FILTERS: Final[Mapping[str, tuple[str, str]]] = {
    "licences": ("the licence filter", "--licence"),
    "tags": ("the tag filter", "--tag"),
    "filter": ("the metadata filter", "--filter"),
    "excluded": ("the list of pictures never to be used", ""),
    "filters": ("the filters together", "the filters"),
}
"""What can keep an image out of a search → what it is called, and the option that sets it."""

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


def sought(by: str, concept: str) -> str:
    """What a search was for."""
    return "the prompt as a whole" if by == "prompt" else concept


def drawn(origin: str, round: int) -> str:
    """When an attempt was drawn; that it was handed in, where it was not."""
    return ORIGINS[origin] if origin == "handed_in" else drawing(round)


def cited(accepted: bool, by: str) -> str:
    """How a picture came to be looked at for an answer, or why it was not taken."""
    return FOUND_BY[by] if accepted else DECISIONS["below_threshold"].name


def node(name: str) -> str:
    """What a node is called; one of somebody's own by its own name."""
    return NODES.get(name, name)


def done(name: str) -> str:
    """That a node is done, for whoever waits for a run: its name and none of the foreign words that it dealt with."""
    return f"{node(name)}: done"


def verdict(*, judged: bool, aligned: bool | None) -> str:
    """A verdict without a checklist: `not aligned`, `no verdict`."""
    if not judged or aligned is None:
        return "no verdict"
    return "aligned" if aligned else "not aligned"
