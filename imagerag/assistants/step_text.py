"""What a run is doing, in a few plain words, for whoever waits for it."""

from typing import TYPE_CHECKING

from imagerag.formatting.markdown import line

if TYPE_CHECKING:
    from imagerag.graphs.runs.events import RunEvent


def format_step(event: "RunEvent") -> str:
    """One line of at most 200 characters; empty where there is nothing to tell."""
    import click

    from imagerag.cli.live_text import step_line

    if event.kind == "progress" and event.progress is not None:
        of = f" of {event.progress.of}" if event.progress.of else ""
        return f"drawing: step {event.progress.step}{of}"
    return line(click.unstyle("; ".join(step_line(event))), 200)
