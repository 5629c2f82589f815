"""A run as it happens: one line per step for `generate`, the whole story for `demo`."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, cast

from imagerag.agent.retrieval.escalation import ask_params
from imagerag.agent.types import BUILT_IN_LIBRARY, Concept, Query, RunResult, Search, Subject, UsedReference
from imagerag.cli.run_text import (
    attempt_lines,
    query_title,
    score_words,
    search_lines,
    verdict_lines,
)
from imagerag.cli.terminal import accent, bold, columns, dim, short
from imagerag.client.client import ImageRAG
from imagerag.formatting import labels
from imagerag.formatting.numbers import cosine
from imagerag.graphs.runs.events import RunEvent
from imagerag.graphs.settings import Settings
from imagerag.reports.step_text import NAMED_NOTHING, NOTHING_NEW, attempt_title


def run_header(settings: Settings, source: str | None = None) -> str:
    """Which preset is in use and where that was said, and what it stands for."""
    parts = f"generator {settings.generator} · judge {settings.judge} · library {settings.library or 'none'}"
    return f"preset {bold(settings.preset)} ({source or settings.source}): {short(parts, 200)}"


def first_time(rag: ImageRAG) -> list[str]:
    """A warning that the built-in library has to be made first, when it has."""
    if rag.settings.library != BUILT_IN_LIBRARY or BUILT_IN_LIBRARY in asyncio.run(rag.libraries()):
        return []
    return [dim("making the built-in library first (this once; it takes some seconds) …")]


def step_line(event: RunEvent) -> Iterator[str]:
    """One line for each step that did something."""
    if event.kind == "started":
        yield f"run {event.run_id}"
    if event.kind != "step":
        return
    update = cast("dict[str, Any]", event.update)
    told = _BRIEF.get(event.node)
    words = told(update) if told else ""
    if words:
        yield f"  {dim(f'{labels.node(event.node):14}')}  {short(words, max(40, columns() - 18))}"


def _drawn(update: dict[str, Any]) -> str:
    return attempt_title(update["attempts"][-1]) if update.get("attempts") else ""


def _judged(update: dict[str, Any]) -> str:
    return score_words(update["attempts"][-1].verdict) if update.get("attempts") else ""


def _named(update: dict[str, Any]) -> str:
    concepts: list[Concept] = update.get("concepts") or []
    names = "; ".join(concept.text for concept in concepts) or NAMED_NOTHING
    return ": ".join(filter(None, (ask_params(update.get("calls") or []), names)))


def _captioned(update: dict[str, Any]) -> str:
    queries: list[Query] = update.get("queries") or []
    return "; ".join(f"“{query.text}”" for query in queries) or NOTHING_NEW


def _found(update: dict[str, Any]) -> str:
    searches: list[Search] = update.get("searches") or []
    last_resort = [search for search in searches if search.query.by == "prompt"]
    newest = max((search.query.ask for search in searches), default=0)
    results = "; ".join(_result(s) for s in last_resort or searches if last_resort or s.query.ask == newest)
    return f"{labels.SEARCHES['prompt']}: {results}" if last_resort and len(searches) > len(last_resort) else results


def _result(search: Search) -> str:
    taken = [candidate for candidate in search.candidates if candidate.decision == "taken"]
    if taken:
        return "took " + ", ".join(f"{c.title or c.image.sha256[:12]} ({cosine(c.similarity)})" for c in taken)
    offered = sum(candidate.decision == "offered" for candidate in search.candidates)
    if offered:
        return f"{offered} to choose from"
    best = max(search.candidates, key=lambda one: one.similarity - (search.threshold_of(one) or 0.0), default=None)
    if best is None:
        return "found nothing"
    wanted = search.threshold_of(best)
    limit = "" if wanted is None else f", threshold {cosine(wanted)}"
    return f"took none of {len(search.candidates)} (best {cosine(best.similarity)}{limit})"


def _chosen(update: dict[str, Any]) -> str:
    chosen: list[UsedReference] = update.get("chosen") or []
    edited: list[Subject] = update.get("subjects") or []
    told = [f"edits {own.name or own.image.sha256[:12]}" for own in edited]
    took = ", ".join(reference.title or reference.image.sha256[:12] for reference in chosen)
    return "; ".join([f"you took {took or 'none'}", *told])


def _ended(update: dict[str, Any]) -> str:
    ending: RunResult | None = update.get("ending")
    return f"{labels.standing(None, ending.outcome).name}: {ending.reason}" if ending else ""


_BRIEF: dict[str, Callable[[dict[str, Any]], str]] = {
    "generate": _drawn,
    "critique": _judged,
    "extract_concepts": _named,
    "write_captions": _captioned,
    "shortlist": _found,  # it tells of the searches, decided
    "select": _chosen,
    "regenerate": _drawn,
    "give_up": _ended,
    "finish": _ended,
}


class VerboseRenderer:
    """Tells every step with everything in it; searches that were told already are not told again."""

    def __init__(self) -> None:
        self._told: set[tuple[int, str, str]] = set()

    def __call__(self, event: RunEvent) -> Iterator[str]:
        """The lines for one event."""
        update = cast("dict[str, Any]", event.update)
        if event.node in ("generate", "regenerate") and update.get("attempts"):
            attempt = update["attempts"][-1]
            yield from ("", accent(attempt_title(attempt)), *attempt_lines(attempt))
        elif event.node == "critique" and update.get("attempts"):
            verdict = update["attempts"][-1].verdict
            yield from (accent(f"the judge: {score_words(verdict)}"), *verdict_lines(verdict))
        elif event.node == "extract_concepts":
            yield from ("", f"{accent(labels.node(event.node))}  {short(_named(update), columns() - 16)}")
        elif event.node == "shortlist":
            yield from self._searches(update.get("searches") or [])
        elif event.node == "give_up":
            yield from ("", f"{bold(labels.node(event.node))}  {short(_ended(update), columns() - 10)}")

    def _searches(self, searches: list[Search]) -> Iterator[str]:
        for search in searches:
            key = (search.round, search.query.by, search.query.text)
            if key not in self._told:
                self._told.add(key)
                yield from (accent(query_title(search.query)), *search_lines(search))
                yield dim(f"  {_result(search)}")
