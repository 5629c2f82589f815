"""Next steps for assistants, in terms of their tools: one table for runs, causes and answers."""

from collections.abc import Mapping
from typing import Final

_LACKING: Final = (
    "ask the user for an image of what is missing (generate_image takes it in subjects); or search_references with "
    "other words and continue_run(run_id, add_images=[id])"
)

AFTER_RUN: Final[Mapping[str, str]] = {
    "aligned": "give the image to the user; for a change: continue_run(run_id, feedback=what to change).",
    "best_effort": (
        "show it and say what is missing; continue_run(run_id, more_rounds=2), with exclude_images=[number] "
        "where a reference misled it or add_images=[id] from search_references; or leave it at this."
    ),
    "no_usable_reference": f"{_LACKING}; or leave it at this.",
    "refused": "tell the user; only another prompt can help, the same one will be refused again.",
    "budget_exhausted": (
        "ask the user whether to spend more; then continue_run with more max_calls, max_cost_usd or deadline_s."
    ),
    "judge_unavailable": "view_image and judge it yourself; say to the user that it was not checked.",
    "failed": "try once more; if it fails again, tell the user the reason.",
    "cancelled": "continue_run(run_id) goes on from the best image.",
}
"""Outcome of a run → next step of an assistant."""

AFTER_CAUSE: Final[Mapping[str, str]] = {
    "takes_none": "tell the user that this generator takes no reference images; another one has to be configured",
    "no_room": "call generate_image as before with fewer subjects, or tell the user that the generator takes no more",
    "no_library": "ask the user for an image of what is missing; call generate_image as before with it in subjects",
    "empty_library": "tell the user that the library is empty: imagerag index PATH --library NAME fills it",
    "filtered": "call generate_image as before without the filter that the reason names, if the user agrees",
    "excluded": "continue_run(run_id, add_images=[id]) with one that was never to be used, if the user agrees",
    "rejected_by_hand": f"continue_run(run_id, add_images=[id]) with one of those that were offered; or {_LACKING}",
    "already_used": _LACKING,
    "rejected_by_reranker": f"continue_run(run_id, add_images=[id]) with one that the reranker left out; or {_LACKING}",
    "missing_file": "tell the user that files of the library are gone; imagerag index PATH --library NAME follows them",
    "unclear_feedback": (
        "ask the user which thing is meant; then continue_run(run_id of the run before, feedback=words that name it)"
    ),
    "below_threshold": f"call generate_image as before with a lower threshold, if one was set; or {_LACKING}",
}
"""Cause of a missing reference → next step of an assistant. `agent/next_steps.py` has those of a person."""

AFTER_ANSWER: Final[Mapping[str, str]] = {
    "answered": "for a follow-up question pass thread.",
    "not_held": "say so to the user and do not guess; other words, passed with thread, may find more.",
    "unreadable": "ask once more, in other words.",
    "refused": "tell the user; do not ask the same.",
    "budget_exhausted": "tell the user.",
    "unavailable": "tell the user; later may work.",
    "failed": "try once more, then tell the user the reason.",
    "cancelled": "ask again if the user still wants to know.",
}
"""Outcome of a question to a library → next step of an assistant."""
