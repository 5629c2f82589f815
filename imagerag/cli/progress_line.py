"""How far a drawing is: one line of a terminal that is written over, and nothing to be scrolled past afterwards."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import click

from imagerag.cli.terminal import columns, dim, say, short
from imagerag.graphs.runs.events import RunEvent

_CLEAR = "\r\x1b[K"


@dataclass
class ProgressLine:
    """Shows progress events on stderr. Where that is no terminal, only unfinished pictures are told, a line each.

    Attributes:
        path: where the picture of a SHA-256 is kept.
    """

    path: Callable[[str], Path]
    _shown: bool = field(default=False, init=False)

    def show(self, event: RunEvent) -> None:
        """Show how far it is, instead of what was shown before."""
        progress = event.progress
        if progress is None:
            return
        count = f"{progress.step} of {progress.of}" if progress.of else str(progress.step)
        what = f"unfinished picture {count}" if progress.image else f"step {count}"
        label = dim(f"{_LABELS.get(event.node, event.node):8}")
        if progress.image:
            self.clear()
            say(f"  {label}  {what}: {self.path(progress.image.sha256)}", err=True)
        elif sys.stderr.isatty():
            click.echo(f"{_CLEAR}  {label}  {short(what, max(8, columns() - 14))}", err=True, nl=False)
            self._shown = True

    def clear(self) -> None:
        """Take the line away, before something else is written."""
        if self._shown:
            click.echo(_CLEAR, err=True, nl=False)
            self._shown = False


_LABELS = {"generate": "draw", "regenerate": "redraw"}
