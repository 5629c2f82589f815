"""Progress line: one line of a terminal that is overwritten."""

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from imagerag.cli.terminal.output import count, dim, printable, rest_of_line, say
from imagerag.graphs.runs.events import RunEvent

if TYPE_CHECKING:
    from rich.progress import Progress
    from rich.status import Status


def can_redraw() -> bool:
    """Whether stderr is a terminal on which a line can be overwritten."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


class StatusLine:
    """A status line with a spinner on stderr; nothing where lines cannot be overwritten.

    It has to be closed before any other output and at the end, as it hides the cursor.
    """

    def __init__(self) -> None:
        self._status: Status | None = None

    def show(self, text: str) -> None:
        """Show a text in place of the earlier one."""
        if not can_redraw():
            return
        from rich.console import Console
        from rich.status import Status
        from rich.text import Text

        line = Text.from_ansi(printable(text, sys.stderr.encoding or "utf-8"))  # brackets in the text are not markup
        if self._status is None:
            self._status = Status(line, console=Console(stderr=True), spinner="line", spinner_style="cyan")
            self._status.start()
        else:
            self._status.update(line)

    def close(self) -> None:
        """Remove the line; `show` draws it again."""
        if self._status is not None:
            self._status.stop()
            self._status = None


@dataclass
class ProgressLine:
    """Shows progress events on stderr. Without a terminal, only partial images are reported, one line each.

    Attributes:
        path: returns the path of the image with a SHA-256.
    """

    path: Callable[[str], Path]
    _line: StatusLine = field(default_factory=StatusLine, init=False)

    def show(self, event: RunEvent) -> None:
        """Show the progress in place of the earlier one."""
        progress = event.progress
        if progress is None:
            return
        number = f"{progress.step} of {progress.of}" if progress.of else str(progress.step)
        label = dim(f"{_LABELS.get(event.node, event.node):8}")
        if progress.image:
            self.close()
            say(f"  {label}  unfinished image {number}: {self.path(progress.image.sha256)}", err=True)
        else:
            self._line.show(f"{label}  {rest_of_line(f'step {number}', 14)}")

    def close(self) -> None:
        """Remove the line before other output."""
        self._line.close()


_LABELS = {"generate": "draw", "regenerate": "redraw"}


class FileProgress:
    """Progress of files: a bar with rate and remaining time in a terminal, else a line per tenth.

    Args:
        visible: False only counts.
        noun: what is counted.

    Attributes:
        done, of: number of files done, and of all files.
    """

    def __init__(self, *, visible: bool = True, noun: str = "file") -> None:
        self._noun = noun
        self.done = self.of = 0
        self._shown = visible
        self._tenth = 0
        self._first = 0, 0.0
        self._bar: Progress | None = None

    def __call__(self, files: int, of: int) -> None:
        """Update the number of files done; called after every batch."""
        self.done, self.of = files, of
        if not self._shown:
            return
        if can_redraw():
            self._draw(files, of)
        elif (tenth := 10 * files // max(of, 1)) > self._tenth:
            self._tenth = tenth
            say(f"  {files:,} of {count(of, self._noun)}", err=True)

    def _draw(self, files: int, of: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        from imagerag.formatting.numbers import rate

        if self._bar is None:
            progress = TextColumn(f"  {{task.completed:,}} of {{task.total:,}} {self._noun}s")
            bar = BarColumn(complete_style="cyan", finished_style="cyan", pulse_style="cyan")
            columns = (progress, bar, TextColumn("{task.fields[rate]}"), TimeRemainingColumn(compact=True))
            self._bar = Progress(*columns, console=Console(stderr=True), refresh_per_second=4)
            self._bar.start()
            self._bar.add_task("", total=of, rate="")
            self._first = files, time.monotonic()
        since = time.monotonic() - self._first[1]
        speed = rate((files - self._first[0]) / since, f"{self._noun}s") if since > 1 else ""
        self._bar.update(self._bar.task_ids[0], completed=files, total=of, rate=speed)
        if files == of:
            self.close()

    def close(self) -> None:
        """Leave the bar and restore the cursor before other output."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
