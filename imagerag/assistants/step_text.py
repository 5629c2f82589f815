"""Words for a run's progress, as MCP and LangChain report it."""

from typing import TYPE_CHECKING

from imagerag.formatting import labels
from imagerag.formatting.markdown import line
from imagerag.reports.event_text import progress_words, step_words

if TYPE_CHECKING:
    from imagerag.graphs.runs.events import RunEvent


def format_step(event: "RunEvent") -> str:
    """One line of at most 200 characters; empty where there is nothing to tell."""
    if event.kind == "started":
        return line(f"run {event.run_id}", 200)
    words = progress_words(event) or step_words(event)
    return line(f"{labels.node(event.node)}: {words}", 200) if words else ""
