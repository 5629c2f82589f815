"""The contact sheet: one image that tells a whole run.

From left to right: what was drawn first and what the judge missed in it, what was searched and found, and what was
drawn with that. One row per round. A sheet is a pure function of the run's record (`imagerag.run/1`) and of the
images it names; the same record gives the same pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from imagerag.reports.contact_sheet.blocks import SheetBlocks, facts
from imagerag.reports.contact_sheet.canvas import Canvas, leading, wrap
from imagerag.reports.contact_sheet.layout import (
    HAIRLINE,
    INK,
    INNER,
    MARGIN,
    MUTED,
    PAPER,
    WHITE,
    Document,
    Gallery,
    Load,
    render_page,
)

ASIDE = 272
"""The width of the left and the right column; images are this wide and this high."""
GUTTER = 48
MIDDLE = INNER - 2 * (ASIDE + GUTTER)
HERO = 420
"""The side of the image when there is only one."""


def contact_sheet(run: Document, load: Load) -> Image.Image:
    """Draw the contact sheet of a run.

    Args:
        run: the run's record, an `imagerag.run/1` document.
        load: gives an image's bytes for its SHA-256; an image it cannot give is shown as an empty frame.

    Returns:
        An RGB image, 2400 pixels wide and as high as the run needs.
    """
    gallery = Gallery(load)
    return render_page(lambda canvas: _Sheet(run, SheetBlocks(run, gallery, canvas)).draw())


@dataclass(frozen=True)
class LayoutRow:
    """One round: the attempt it starts from, what was searched, the attempt it led to."""

    before: Document | None
    searches: Sequence[Document]
    after: Document | None


def rows_of(attempts: Sequence[Document], searches: Sequence[Document]) -> list[LayoutRow]:
    """The rounds of a run, oldest first.

    A run that searched before it drew opens with a row without a `before`; one that found nothing to redraw with
    closes with a row without an `after`; one attempt and no search is no row at all.
    """
    rows: list[LayoutRow] = []
    before: Document | None = None
    for number in sorted({a["round"] for a in attempts} | {s["round"] for s in searches}):
        round_searches = [s for s in searches if s["round"] == number]
        round_attempts: list[Document | None] = [a for a in attempts if a["round"] == number]
        for after in round_attempts or [None]:
            if before is not None or round_searches:
                rows.append(LayoutRow(before, round_searches, after))
            before, round_searches = after or before, []
    return rows


@dataclass(frozen=True)
class _Sheet:
    run: Document
    parts: SheetBlocks

    @property
    def canvas(self) -> Canvas:
        return self.parts.canvas

    def draw(self) -> float:
        """Draw everything; gives the height."""
        attempts = self.run.get("attempts") or []
        rows = rows_of(attempts, self.run.get("searches") or [])
        y = self._header(MARGIN - 8) + 40
        if not rows:
            y = (self._only(attempts[0], y) if attempts else self._nothing(y)) + 36
        for number, row in enumerate(rows):
            if number:
                self.canvas.rule(MARGIN, y, INNER, HAIRLINE)
                y += 36
            y = self._row(row, y, first=number == 0) + 36
        return self.parts.footer(y, facts(self.run)) + 36

    def _header(self, y: float) -> float:
        status, prompt = self.run.get("status") or "running", self.run.get("prompt") or ""
        y, width = self.parts.top(y, self.run.get("outcome"), "prompt", prompt, status=status)
        reason = str(self.run.get("reason") or "")
        return self.canvas.text(MARGIN, y + 8, reason[:1].upper() + reason[1:], 16, MUTED, width=width, lines=2)

    def _row(self, row: LayoutRow, y: float, *, first: bool) -> float:
        middle, right = MARGIN + ASIDE + GUTTER, MARGIN + INNER - ASIDE
        for x in (middle, right):
            self.canvas.icon(x - GUTTER / 2 - 10, y + 22 + ASIDE / 2 - 10, 20, "arrow", MUTED)
        return max(
            self._before(row.before, MARGIN, y, whole=first),
            self.parts.searches(row.searches, middle, y, MIDDLE),
            self.parts.attempt(row.after, right, y, ASIDE) if row.after else self._not_drawn(right, y),
        )

    def _before(self, attempt: Document | None, x: float, y: float, *, whole: bool) -> float:
        if attempt is None:
            y = self.parts.heading(x, y, "searched first")
            message = "This run looked for references before it drew anything."
            return self.canvas.text(x, y, message, 15, INK, width=ASIDE, lines=4)
        if whole:
            return self.parts.attempt(attempt, x, y, ASIDE)
        y = self.parts.heading(x, y, "still missing")
        self.parts.image(attempt["image"]["sha256"], x, y, 128, radius=8)
        return self.parts.checks(attempt.get("verdict"), x, y + 128 + 16, ASIDE, unmet_only=True)

    def _only(self, attempt: Document, y: float) -> float:
        """A run without a search: the image, and beside it what the judge checked."""
        x = MARGIN + HERO + GUTTER + 16
        bottom = self.parts.attempt(attempt, MARGIN, y, HERO, checks=False)
        top = self.parts.heading(x, y, "what the judge checked")
        return max(bottom, self.parts.checks(attempt.get("verdict"), x, top, MARGIN + INNER - x, size=18))

    def _not_drawn(self, x: float, y: float) -> float:
        y = self.parts.heading(x, y, "not drawn again")
        self.canvas.frame(x, y, ASIDE, ASIDE, HAIRLINE, PAPER, radius=9, line=1)
        reason = str(self.run.get("reason") or "the run ended here")
        reason = f"{reason[:1].upper()}{reason[1:]}"
        rows = len(wrap(reason, 15, ASIDE - 56, 9))
        top = y + (ASIDE - rows * leading(15)) / 2
        self.canvas.text(x + 28, top, reason, 15, MUTED, width=ASIDE - 56, lines=9, align="center")
        return y + ASIDE

    def _nothing(self, y: float) -> float:
        self.canvas.frame(MARGIN, y, INNER, 140, HAIRLINE, WHITE, radius=12, line=1)
        self.canvas.text(MARGIN, y + 58, "No image was drawn.", 17, MUTED, width=INNER, align="center")
        return y + 140
