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


def format_search(report: SearchReport) -> str:
    """The hits of a search, best first, and what to do with them."""
    if not report.hits:
        why = line(report.note, 600) or "it is empty, or the filters leave nothing"
        return (
            f"Nothing found in library {quoted(report.library, 60)}: {why}.\n"
            "Next: search with fewer filters, or tell the user that the library has no such image."
        )
    means = _MEANS.get(report.by, "a run uses by itself what reaches")
    limit = "" if report.threshold is None else f"; {means} {cosine(report.threshold)}"
    if report.by in ("image", "captions") and report.threshold is None:
        limit = f"; no threshold {'between images' if report.by == 'image' else 'of captions'} is known here"
    if report.by == "terms":
        limit = f"; {NOT_CALIBRATED}"
    of = f"{counted(len(report.hits), 'image')} of library {quoted(report.library, 60)}"
    head = [f"{of}, most similar first{limit} ({FOREIGN}):"]
    if report.terms:
        head.append(f"Terms, and in brackets what each adds: {quoted(', '.join(report.terms), 300)}")
    if note := line(report.note, 200):
        head.append(f"Note: {note}")
    tail = ["Next: view_image to look at one; continue_run(run_id, add_images=[id]) to draw with it."]
    return fitted(head, [_hit(hit, room=62 if len(report.hits) <= 8 else 34) for hit in report.hits], tail, more="more")


def _hit(hit: ReferenceReport, *, room: int) -> str:
    mark = {True: " passes", False: f" {labels.decision('below_threshold').name}", None: ""}[hit.accepted]
    similarity = cosine(hit.similarity or 0)
    if hit.contributions:
        mark = f" ({' '.join(map(difference, hit.contributions))})"
    if hit.found_by:
        mark += f" [{hit.found_by}]"
    return f" {hit.number}. {hit.uri} {similarity}{mark} {image_name(hit.title or hit.caption, hit.licence, room=room)}"


def format_answer(report: AnswerReport) -> str:
    """An answer with what supports it; that the images do not hold it is said first."""
    ended = labels.ANSWERS[report.outcome]
    head = [f"{ended.name}: {ended.meaning}."]
    if report.answer:
        head.append(f"Answer: {quoted(report.answer, 800)}")
    if report.reason and report.reason != report.answer:
        head.append(f"Reason: {quoted(report.reason, 200)}")
    if report.baseline_answer is not None:
        head.append(f"Without the library the model says: {quoted(report.baseline_answer, 250)}")
    if report.citations:
        head.append(f"Supported by ({FOREIGN}):")
    spent = cost_words(report.cost_usd, report.has_unknown_cost, report.assumed_usd, report.unsettled_usd)
    cost = f"Cost: {spent} ({model_calls(report.calls, report.cached_calls)})"
    tail = [cost, f"thread: {report.thread_id}", f"Next: {AFTER_ANSWER[report.outcome]}"]
    return fitted(head, [_citation_text(cited) for cited in report.citations], tail, more="more cited")


def _citation_text(cited: ReferenceReport) -> str:
    supported = f" for {quoted(cited.supports, 80)}" if cited.supports else ""
    return f" [{cited.number}] {cited.uri}{supported}: {image_name(cited.title, cited.licence)}"


def format_image(image: ReportedImage) -> str:
    """An image by its id, size and file."""
    lines = [f"{image.uri}, {image.width}x{image.height}, {line(image.media_type, 40)}"]
    if image.path and image.path == line(image.path, 1_000):
        lines.append(f"File: {image.path}")
    return "\n".join(lines)
