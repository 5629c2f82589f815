"""A run's events in words, one line each, for whoever follows it: terminal, assistants, MCP progress."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from imagerag.agent.retrieval.escalation import ask_params
from imagerag.agent.types import Concept, Query, RunResult, Search, Subject, UsedReference
from imagerag.formatting import labels
from imagerag.formatting.text import image_name
from imagerag.reports.record_text import attempt_title, score_words, similarity_text, taken_text
from imagerag.reports.step_text import NAMED_NOTHING, NOTHING_NEW

if TYPE_CHECKING:
    from imagerag.graphs.runs.events import RunEvent


def step_words(event: "RunEvent") -> str:
    """Text of a finished step; empty for other events."""
    words = NODE_EVENTS.get(event.node) if event.kind == "step" else None
    return words(cast("dict[str, Any]", event.update)) if words else ""


def progress_words(event: "RunEvent") -> str:
    """Progress of a generation; empty where the generator reports none."""
    if event.progress is None:
        return ""
    of = f" of {event.progress.of}" if event.progress.of else ""
    return f"step {event.progress.step}{of}"


def _attempt_text(update: dict[str, Any]) -> str:
    return attempt_title(update["attempts"][-1]) if update.get("attempts") else ""


def _score_text(update: dict[str, Any]) -> str:
    return score_words(update["attempts"][-1].verdict) if update.get("attempts") else ""


def concept_words(update: dict[str, Any]) -> str:
    """The missing concepts that a step named, and how it asked for them where it asked again."""
    concepts: list[Concept] = update.get("concepts") or []
    names = "; ".join(concept.text for concept in concepts) or NAMED_NOTHING
    return ": ".join(filter(None, (ask_params(update.get("calls") or []), names)))


def _captioned(update: dict[str, Any]) -> str:
    queries: list[Query] = update.get("queries") or []
    return "; ".join(f"“{query.text}”" for query in queries) or NOTHING_NEW


def _searches_text(update: dict[str, Any]) -> str:
    searches: list[Search] = update.get("searches") or []
    last_resort = [search for search in searches if search.query.by == "prompt"]
    newest = max((search.query.ask for search in searches), default=0)
    results = "; ".join(search_result(s) for s in last_resort or searches if last_resort or s.query.ask == newest)
    return f"{labels.SEARCHES['prompt']}: {results}" if last_resort and len(searches) > len(last_resort) else results


def search_result(search: Search) -> str:
    """The result of a decided search: references taken or offered, or the best candidate's similarity."""
    references = [candidate for candidate in search.candidates if candidate.decision == "taken"]
    if references:
        return taken_text(references)
    offered = sum(candidate.decision == "offered" for candidate in search.candidates)
    if offered:
        return f"{offered} to choose from"
    failed = "; the web failed" if any(one.error for one in search.web) else ""
    best = max(search.candidates, key=lambda one: one.similarity - (search.threshold_of(one) or 0.0), default=None)
    if best is None:
        return f"found nothing{failed}"
    return f"took none of {len(search.candidates)} (best {similarity_text(best, search)}){failed}"


def _references_text(update: dict[str, Any]) -> str:
    references: list[UsedReference] = update.get("chosen") or []
    edited: list[Subject] = update.get("subjects") or []
    parts = [f"edits {image_name(own.name, own.image.sha256)}" for own in edited]
    took = ", ".join(image_name(reference.title, reference.image.sha256) for reference in references)
    return "; ".join([f"you took {took or 'none'}", *parts])


def ending_words(update: dict[str, Any]) -> str:
    """The outcome of a run and its reason; empty for other steps."""
    result: RunResult | None = update.get("result")
    if result is None:
        return ""
    name = labels.standing(None, result.outcome).name
    return result.reason if result.reason.startswith(name) else f"{name}: {result.reason}"


NODE_EVENTS: Final[Mapping[str, Callable[[dict[str, Any]], str]]] = {
    "generate": _attempt_text,
    "critique": _score_text,
    "extract_concepts": concept_words,
    "write_captions": _captioned,
    "shortlist": _searches_text,  # it tells of the searches, decided
    "select": _references_text,
    "regenerate": _attempt_text,
    "give_up": ending_words,
    "finish": ending_words,
}
