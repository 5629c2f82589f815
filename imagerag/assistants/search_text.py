"""Text for search results, answers and images, within the tool's length limit."""

from typing import Final

from imagerag.assistants.run_text import FOREIGN, cost_words, image_name
from imagerag.assistants.tool_outputs import AnswerReport, ReferenceReport, ReportedImage, SearchReport
from imagerag.formatting import labels
from imagerag.formatting.assistant_steps import AFTER_ANSWER
from imagerag.formatting.messages import NOT_CALIBRATED
from imagerag.formatting.numbers import cosine, counted, difference, model_calls
from imagerag.formatting.quoting import fitted, line, quoted

_MEANS: Final = {"image": "the same thing from", "captions": "the caption says the same from"}
"""Meaning of a threshold, where it is not that of a run."""


def format_search(found: SearchReport) -> str:
    """The hits of a search, best first, and what to do with them."""
    if not found.hits:
        why = line(found.note, 600) or "it is empty, or the filters leave nothing"
        return (
            f"Nothing found in library {quoted(found.library, 60)}: {why}.\n"
            "Next: search with fewer filters, or tell the user that the library has no such image."
        )
    means = _MEANS.get(found.by, "a run uses by itself what reaches")
    limit = "" if found.threshold is None else f"; {means} {cosine(found.threshold)}"
    if found.by in ("image", "captions") and found.threshold is None:
        limit = f"; no threshold {'between images' if found.by == 'image' else 'of captions'} is known here"
    if found.by == "terms":
        limit = f"; {NOT_CALIBRATED}"
    of = f"{counted(len(found.hits), 'image')} of library {quoted(found.library, 60)}"
    head = [f"{of}, most similar first{limit} ({FOREIGN}):"]
    if found.terms:
        head.append(f"Terms, and in brackets what each adds: {quoted(', '.join(found.terms), 300)}")
    if note := line(found.note, 200):
        head.append(f"Note: {note}")
    tail = ["Next: view_image to look at one; continue_run(run_id, add_images=[id]) to draw with it."]
    return fitted(head, [_hit(hit, room=62 if len(found.hits) <= 8 else 34) for hit in found.hits], tail, more="more")


def _hit(hit: ReferenceReport, *, room: int) -> str:
    mark = {True: " passes", False: f" {labels.decision('below_threshold').name}", None: ""}[hit.accepted]
    similarity = cosine(hit.similarity or 0)
    if hit.contributions:
        mark = f" ({' '.join(map(difference, hit.contributions))})"
    if hit.found_by:
        mark += f" [{hit.found_by}]"
    return f" {hit.number}. {hit.uri} {similarity}{mark} {image_name(hit.title or hit.caption, hit.licence, room=room)}"


def format_answer(found: AnswerReport) -> str:
    """An answer with what supports it; that the images do not hold it is said first."""
    ended = labels.ANSWERS[found.outcome]
    head = [f"{ended.name}: {ended.meaning}."]
    if found.answer:
        head.append(f"Answer: {quoted(found.answer, 800)}")
    if found.reason and found.reason != found.answer:
        head.append(f"Reason: {quoted(found.reason, 200)}")
    if found.baseline_answer is not None:
        head.append(f"Without the library the model says: {quoted(found.baseline_answer, 250)}")
    if found.citations:
        head.append(f"Supported by ({FOREIGN}):")
    spent = cost_words(found.cost_usd, found.has_unknown_cost, found.assumed_usd, found.unsettled_usd)
    cost = f"Cost: {spent} ({model_calls(found.calls, found.cached_calls)})"
    tail = [cost, f"thread: {found.thread_id}", f"Next: {AFTER_ANSWER[found.outcome]}"]
    return fitted(head, [_cited(cited) for cited in found.citations], tail, more="more cited")


def _cited(cited: ReferenceReport) -> str:
    supported = f" for {quoted(cited.supports, 80)}" if cited.supports else ""
    return f" [{cited.number}] {cited.uri}{supported}: {image_name(cited.title, cited.licence)}"


def format_image(image: ReportedImage) -> str:
    """An image by its id, size and file."""
    lines = [f"{image.uri}, {image.width}x{image.height}, {line(image.media_type, 40)}"]
    if image.path and image.path == line(image.path, 1_000):
        lines.append(f"File: {image.path}")
    return "\n".join(lines)
