"""The live view: each attempt as a thumbnail with its checklist beside it, and the references that were taken."""

import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

import click

from imagerag.agent.errors import ImageRAGError
from imagerag.agent.threads import in_thread
from imagerag.agent.types import Attempt, ImageRef, Progress, UsedReference, Verdict
from imagerag.cli.terminal.images import Thumbnail, Way, room_beside, way_of
from imagerag.cli.terminal.output import accent, bold, columns, dim, short, tick
from imagerag.client.client import ImageRAG
from imagerag.formatting.numbers import cosine
from imagerag.formatting.text import image_name
from imagerag.graphs.runs.events import RunEvent
from imagerag.reports.record_text import attempt_title, score_words

if TYPE_CHECKING:
    from imagerag.store.library.library import Library

BOX: Final = (28, 14)
"""Cells of an attempt's thumbnail at most; those of what goes into it are half as large."""
SMALL: Final = (14, 7)
NARROW: Final = 60
"""Columns below which attempts are small too."""


@dataclass
class LiveView:
    """Shows the images of events on stderr. Events without images are shown by the normal progress lines.

    Attributes:
        way: image protocol of the terminal.
        library: library of the references, if not that of the settings.
    """

    rag: ImageRAG
    way: Way
    library: str | None = None

    @classmethod
    def from_options(cls, rag: ImageRAG, live: str, *, library: str | None = None) -> "LiveView | None":
        """Make a live view, if one is requested and stderr can show it."""
        way: Way = way_of(sys.stderr) if live == "auto" else "none" if live == "off" else cast(Way, live)
        return None if way == "none" else cls(rag, way, library)

    async def show(self, event: RunEvent) -> bool:
        """Show an event as images instead of text; returns whether that was possible."""
        update = cast("dict[str, Any]", event.update)
        if event.kind == "progress" and event.progress and event.progress.image:
            return await self._unfinished(event.progress)
        if event.kind == "step" and event.node == "critique" and update.get("attempts"):
            return await self._show_attempt(update["attempts"][-1])
        return False

    async def add(self, event: RunEvent) -> None:
        """Show the images for the text of an event: the chosen references."""
        if event.kind == "step" and event.node in ("shortlist", "select"):
            await self._show_references(cast("dict[str, Any]", event.update).get("chosen") or [])

    async def _show_attempt(self, attempt: Attempt) -> bool:
        cols, rows = BOX if columns() >= NARROW else SMALL
        thumbnail = await self._thumbnail(attempt.image, cols, rows)
        if thumbnail is None:
            return False
        room = room_beside(columns(), thumbnail)
        head = [bold(short(attempt_title(attempt), room)), _score(attempt.verdict), ""]
        self._write(thumbnail, [*head, *_checklist(attempt.verdict, room, rows - len(head))])
        return True

    async def _unfinished(self, progress: Progress) -> bool:
        assert progress.image is not None, "asked before"
        thumbnail = await self._thumbnail(progress.image, *SMALL)
        if thumbnail is None:
            return False
        count = f"{progress.step} of {progress.of}" if progress.of else str(progress.step)
        self._write(thumbnail, [dim(short(f"unfinished image {count}", room_beside(columns(), thumbnail)))])
        return True

    async def _show_references(self, references: list[UsedReference]) -> None:
        for reference in references:
            thumbnail = await self._thumbnail(reference.image, *SMALL)
            if thumbnail is not None:
                self._write(thumbnail, list(_credit(reference, room_beside(columns(), thumbnail))))

    async def _thumbnail(self, image: ImageRef, cols: int, rows: int) -> Thumbnail | None:
        with suppress(ImageRAGError, OSError, ValueError):
            data = await self._bytes(image.sha256)
            return await in_thread(Thumbnail.of, data, self.way, cols=cols, rows=rows)
        return None

    async def _bytes(self, sha256: str) -> bytes:
        """The bytes of an image of the run or the library.

        Raises:
            ImageRAGError: the image is missing or damaged.
        """
        with suppress(ImageRAGError):
            return await self.rag.runs.image_bytes(sha256)
        library: Library = await self.rag.libraries.open(self.library)
        return await library.image_bytes(sha256)

    def _write(self, thumbnail: Thumbnail, lines: list[str]) -> None:
        click.echo(f"\n{thumbnail.beside(lines)}\n", err=True, nl=False, color=True)


def _score(verdict: Verdict | None) -> str:
    words = score_words(verdict)
    return accent(words) if verdict and verdict.aligned else words


def _checklist(verdict: Verdict | None, room: int, rows: int) -> Iterator[str]:
    """The checklist, unmet requirements first, in at most `rows` lines."""
    if verdict is None:
        return
    checks = sorted(verdict.checks, key=lambda check: check.met)
    visible = checks if len(checks) <= rows else checks[: rows - 1]
    for check in visible:
        yield f"{tick(check.met)} {short(check.requirement.text, max(1, room - 2))}"
    if len(visible) < len(checks):
        yield dim(short(f"… and {len(checks) - len(visible)} more", room))
    if not checks and verdict.reason:
        yield dim(short(verdict.reason, room))


def _credit(reference: UsedReference, room: int) -> Iterator[str]:
    yield accent(short(image_name(reference.title, reference.image.sha256), room))
    yield short(f"for {reference.concept}", room)
    if reference.similarity is not None:
        yield dim(short(f"cosine {cosine(reference.similarity)}", room))
    if reference.licence or reference.author:
        yield dim(short(" · ".join(filter(None, (reference.licence, reference.author))), room))
