"""Progress text of a run: one line per step for `generate`, every detail for `demo`."""

from collections.abc import Iterator
from typing import Any, cast

from imagerag.agent.types import BUILT_IN_LIBRARY, Search
from imagerag.cli.run_text import attempt_lines, query_title, search_lines, verdict_lines
from imagerag.cli.terminal.output import accent, bold, columns, dim, hanging, rest_of_line, short
from imagerag.client.client import ImageRAG
from imagerag.formatting import labels
from imagerag.formatting.interface_terms import as_commands
from imagerag.graphs.configuration.settings import Settings
from imagerag.graphs.runs.events import RunEvent
from imagerag.reports.event_text import concept_words, ending_words, search_result, step_words
from imagerag.reports.record_text import attempt_title, score_words
from imagerag.store.library.database import is_there


def run_header(settings: Settings, source: str | None = None) -> str:
    """The preset, its origin, and its backends."""
    parts = (
        f"generator {settings.generator} · judge {settings.with_backends.judge} · library {settings.library or 'none'}"
    )
    head = f"preset {bold(settings.preset)} ({source or settings.source}): "
    return "\n".join(hanging(short(parts, 200), columns(), indent=2, head=head))


def first_time(rag: ImageRAG) -> list[str]:
    """A note that the built-in library has to be made first; empty when it exists."""
    if rag.settings.library != BUILT_IN_LIBRARY or is_there(rag.dependencies.home, BUILT_IN_LIBRARY):
        return []
    return [dim("making the built-in library first (this once; it takes some seconds) …")]


def step_line(event: RunEvent) -> list[str]:
    """One line for a step with a visible result."""
    lines = [f"run {event.run_id}"] if event.kind == "started" else []
    if words := step_words(event):
        lines.append(f"  {dim(f'{labels.node(event.node):14}')}  {rest_of_line(words, 18, least=40)}")
    return lines


class VerboseRenderer:
    """Renders every step in full detail; searches that were shown already are not repeated."""

    def __init__(self) -> None:
        self._printed: set[tuple[int, str, str]] = set()

    def __call__(self, event: RunEvent) -> Iterator[str]:
        """Render the lines of one event."""
        update = cast("dict[str, Any]", event.update)
        if event.node in ("generate", "regenerate") and update.get("attempts"):
            attempt = update["attempts"][-1]
            yield from ("", accent(attempt_title(attempt)), *attempt_lines(attempt))
        elif event.node == "critique" and update.get("attempts"):
            verdict = update["attempts"][-1].verdict
            yield from (accent(f"the judge: {score_words(verdict)}"), *verdict_lines(verdict))
        elif event.node == "extract_concepts":
            yield from ("", f"{accent(labels.node(event.node))}  {rest_of_line(concept_words(update), 16)}")
        elif event.node == "shortlist":
            yield from self._searches(update.get("searches") or [])
        elif event.node == "give_up":
            yield from (
                "",
                f"{bold(labels.node(event.node))}  {rest_of_line(as_commands(ending_words(update)), 10)}",
            )

    def _searches(self, searches: list[Search]) -> Iterator[str]:
        for search in searches:
            key = (search.round, search.query.by, search.query.text)
            if key not in self._printed:
                self._printed.add(key)
                yield from (accent(query_title(search.query)), *search_lines(search))
                yield dim(f"  {search_result(search)}")
