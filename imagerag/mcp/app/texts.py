"""Temporary table; see imagerag/formatting/texts."""

from typing import Any

from imagerag.formatting import labels
EN = {
    "running": "drawing", "drawing": "Drawing …", "searching": "Searching the library …", "step": "Last step: {step}",
    "failed": "failed", "cancelled": "cancelled", "cancelled_meaning": "The call was cancelled.",
    "nothing": "There is nothing to show.", "no_image": "image not available", "result": "Result",
    "result_of": "Result for: {prompt}", "nothing_drawn": "Nothing was drawn.", "missing": "Not found in the image",
    "met": "met", "not_met": "not met", "not_judged": "not judged yet", "no_verdict": "no verdict",
    "is_aligned": "aligned", "not_aligned": "not aligned", "met_of": "{met} of {all} met",
    "attempts": "Attempts", "attempt": "attempt {n}", "drawn_alone": "from the prompt alone",
    "drawn_with.one": "with {n} reference", "drawn_with.other": "with {n} references", "checklist": "checklist",
    "references": "References", "web_sources": "Sources the model found on the web", "similarity": "similarity",
    "threshold": "threshold", "stands_for": "for {concept}", "own_image": "your own image",
    "licence": "licence {licence}", "no_licence": "licence unknown", "open_page": "open {site}",
    "passed_over.one": "{n} candidate passed over", "passed_over.other": "{n} candidates passed over",
    "run": "run", "cost": "cost", "unknown": "not known", "number": "image {n}",
    "which.one": "Which image may be used? At most {n}.", "which.other": "Which images may be used? At most {n}, the first is the best.",
    "picked": "{n} of {most} chosen", "use_these": "Use these", "use_none": "None of them",
    "below": "below", "reaches": "reaches", "found.one": "{n} image", "found.other": "{n} images",
    "limit": "a run uses by itself what reaches {limit}", "library": "library {library}",
    "nothing_found": "Nothing was found.", "pick": "Images to draw with",
    "other_references": "Other references", "other_seed": "Another seed", "download": "Download",
    "not_downloaded": "The host did not download it.", "refused_by_host": "That did not work:",
    "passed_on": "The assistant has been told.", "model_knows": "The assistant knows of this result.",
    "message_choose": "Use the references {numbers} for this run.", "message_none": "Use none of these references.",
    "message_use": "Draw with these library images:", "message_other": "Draw again with other references.",
    "message_done": "The user went on in the app, and this came of it:",
}
DE: dict[str, str] = {}


def app_texts() -> dict[str, Any]:
    def rows(table: Any) -> Any:
        return {k: v._asdict() if isinstance(v, labels.Label) else {"name": v, "meaning": ""} for k, v in table.items()}

    names = ("OUTCOMES", "STATUSES", "NODES", "DECISIONS", "KINDS")
    return {"en": {**EN, "labels": {name: rows(getattr(labels, name)) for name in names}}}
