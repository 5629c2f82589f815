"""The sheet of an answer: the question, the answer, and every picture that was looked at, with its similarity.

A pure function of the answer's record (`imagerag.answer/1`) and of the pictures it names.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from PIL import Image

from imagerag.drawing import SCALE, Color, Icon, Pen, leading, measure
from imagerag.sheet_parts import (
    ACCENT,
    AMBER,
    GREY,
    HAIRLINE,
    INK,
    MUTED,
    PAPER,
    RUST,
    TINT,
    WHITE,
    Document,
    Gallery,
    Load,
)

WIDTH: Final = 1200
MARGIN: Final = 56
INNER: Final = WIDTH - 2 * MARGIN
COLUMNS: Final = 5
GUTTER: Final = 22
SIDE: Final = (INNER - (COLUMNS - 1) * GUTTER) / COLUMNS
"""The side of a picture."""
SHOWN: Final = 20
"""Pictures on one sheet; the record has them all."""
BAR: Final = 5

_BADGES: Final[dict[str, tuple[str, Color, Icon]]] = {
    "answered": ("answered", ACCENT, "tick"),
    "not_held": ("not held", AMBER, "dash"),
    "unreadable": ("not readable", MUTED, "dash"),
    "refused": ("refused", RUST, "cross"),
    "budget_exhausted": ("budget spent", AMBER, "dash"),
    "unavailable": ("unavailable", MUTED, "dash"),
    "failed": ("failed", RUST, "cross"),
}
_BY: Final = {"similarity": "by similarity", "metadata": "by its metadata", "earlier": "from the answer before"}


def answer_sheet(answer: Document, load: Load) -> Image.Image:
    """Draw the sheet of an answer.

    Args:
        answer: the record, an `imagerag.answer/1` document.
        load: gives an image's bytes for its SHA-256; an image it cannot give is shown as an empty frame.

    Returns:
        An RGB image, 2400 pixels wide and as high as it needs to be.
    """
    gallery = Gallery(load)
    height = _Sheet(answer, gallery, Pen()).draw()
    page = Image.new("RGB", (WIDTH * SCALE, round(height * SCALE)), PAPER)
    _Sheet(answer, gallery, Pen(page)).draw()
    return page


@dataclass
class _Sheet:
    answer: Document
    gallery: Gallery
    pen: Pen
    supports: dict[int, str] = field(init=False)
    span: tuple[float, float] = field(init=False)

    def __post_init__(self) -> None:
        self.supports = {one["number"]: one["supports"] for one in self.answer.get("citations") or []}
        known = [one["similarity"] for one in self.answer.get("retrieved") or [] if one["similarity"] is not None]
        threshold = self.answer.get("threshold")
        values = [*known, *([threshold] if threshold is not None else [])]
        self.span = (min(0.0, *values, 0.0), max(*values, 0.1, 0.1) * 1.1) if values else (0.0, 1.0)

    def draw(self) -> float:
        """Draw everything; gives the height."""
        y = self._header(MARGIN - 8) + 34
        retrieved = self.answer.get("retrieved") or []
        y = self._heading(MARGIN, y, self._found(retrieved))
        shown = sorted(retrieved, key=lambda one: one["number"] not in self.supports)[:SHOWN]
        for start in range(0, len(shown), COLUMNS):
            row = shown[start : start + COLUMNS]
            y = max(self._card(one, MARGIN + n * (SIDE + GUTTER), y) for n, one in enumerate(row)) + 24
        if len(retrieved) > SHOWN:
            y = self.pen.text(MARGIN, y - 8, f"and {len(retrieved) - SHOWN} more", 13, MUTED) + 14
        if not retrieved:
            y = self.pen.text(MARGIN, y, "Nothing was found.", 15, MUTED) + 20
        return self._footer(y + 8) + 36

    def _header(self, y: float) -> float:
        label, color, icon = _BADGES.get(str(self.answer.get("outcome")), ("not finished", MUTED, "dash"))
        pill = measure(label, 15) + 54
        left = MARGIN + INNER - pill
        self.pen.box(left, y + 26, pill, 34, color, radius=17)
        self.pen.icon(left + 8, y + 33, 20, icon, color, disc=WHITE)
        self.pen.text(left + 37, y + 32.5, label, 15, WHITE, bold=True)
        self._heading(MARGIN, y, "asked")
        width = INNER - pill - 48
        y = self.pen.text(MARGIN - 1, y + 22, str(self.answer["question"]), 30, INK, width=width, lines=3, bold=True)
        said = str(self.answer.get("answer") or self.answer.get("reason") or "")
        y = self.pen.text(MARGIN, y + 12, said, 17, INK, width=INNER - 120, lines=12)
        without = self.answer.get("without_retrieval")
        return self._without(without, y + 22) if without else y

    def _without(self, without: Document, y: float) -> float:
        """What the same model says without the library, in a card as high as its words."""
        words = str(without.get("answer") or without.get("reason") or "nothing")
        measured = Pen().text(0, 0, words, 15, MUTED, width=INNER - 48, lines=8)
        self.pen.frame(MARGIN, y, INNER, measured + 56, HAIRLINE, WHITE, radius=12, line=1)
        top = self._heading(MARGIN + 24, y + 18, "without the library")
        self.pen.text(MARGIN + 24, top - 2, words, 15, MUTED, width=INNER - 48, lines=8)
        return y + measured + 56

    def _heading(self, x: float, y: float, text: str) -> float:
        self.pen.text(x, y, text.upper(), 12, MUTED, tracking=1.2)
        return y + 24

    def _found(self, retrieved: Sequence[Document]) -> str:
        accepted = sum(bool(one["accepted"]) for one in retrieved)
        threshold = self.answer.get("threshold")
        limit = f", threshold {threshold:.3f}" if threshold is not None else ""
        return f"looked at {len(retrieved)}, accepted {accepted}, cited {len(self.supports)}{limit}"

    def _card(self, one: Document, x: float, y: float) -> float:
        cited = one["number"] in self.supports
        picture = self.gallery(one["id"])
        if cited:
            self.pen.frame(x - 5, y - 5, SIDE + 10, SIDE + 10, ACCENT, PAPER, radius=13, line=2.5)
        self.pen.box(x, y, SIDE, SIDE, TINT, radius=9)
        if picture is None:
            self.pen.text(x, y + SIDE / 2 - 8, "not available", 12, MUTED, width=SIDE, align="center")
        else:
            w, h = (max(2.0, edge * SIDE / max(picture.size)) for edge in picture.size)
            veil = None if one["accepted"] else PAPER
            self.pen.picture(picture, x + (SIDE - w) / 2, y + (SIDE - h) / 2, w, h, radius=9, veil=veil)
        if one["number"]:
            number = str(one["number"])
            wide = max(26.0, measure(number, 14) + 14)
            self.pen.box(x + 8, y + 8, wide, 26, ACCENT if cited else MUTED, radius=13)
            self.pen.text(x + 8, y + 11.5, number, 14, WHITE, width=wide, align="center", bold=True)
        y = self._bar(one, x, y + SIDE + 12, cited)
        title = one["title"] or one["caption"] or one["id"][:12]
        y = self.pen.text(x, y + 6, title, 14.5, INK, width=SIDE, lines=2, bold=cited)
        supports = self.supports.get(one["number"] or 0) or ""
        if supports:
            y = self.pen.text(x, y + 1, supports, 13, ACCENT, width=SIDE, lines=3)
        why = _BY[one["by"]] if one["accepted"] else "not similar enough"
        words = " · ".join(part for part in (why, one["licence"]) if part)
        return self.pen.text(x, y + 1, words, 12, MUTED, width=SIDE, lines=2)

    def _bar(self, one: Document, x: float, y: float, cited: bool) -> float:
        """The similarity as a bar with the threshold on it, and as a number."""
        value, threshold = one["similarity"], self.answer.get("threshold")
        told = f"{value:.3f}" if value is not None else "far"
        wide = SIDE - measure("-0.000", 13) - 10
        middle = y + leading(13) / 2 - BAR / 2
        self.pen.box(x, middle, wide, BAR, HAIRLINE, radius=BAR / 2)
        if value is not None:
            passed = threshold is None or value >= threshold
            color = ACCENT if cited else MUTED if passed else GREY
            self.pen.box(x, middle, max(BAR, self._along(value) * wide), BAR, color, radius=BAR / 2)
        if threshold is not None:
            self.pen.box(x + self._along(threshold) * wide - 0.75, middle - 3.5, 1.5, BAR + 7, INK)
        self.pen.text(x, y, told, 13, INK if cited else MUTED, width=SIDE, align="right", bold=cited)
        return y + leading(13)

    def _along(self, number: float) -> float:
        """Where a similarity is on a bar, from 0 to 1."""
        low, high = self.span
        return max(0.0, min(1.0, (number - low) / (high - low)))

    def _footer(self, y: float) -> float:
        self.pen.rule(MARGIN, y, INNER, HAIRLINE)
        name = measure("imagerag", 13) + 24
        self.pen.text(MARGIN, y + 14, "imagerag", 13, INK, width=INNER, align="right", bold=True)
        cost = self.answer.get("cost_usd")
        told = [
            f"library {self.answer['library']}" if self.answer.get("library") else "",
            f"answered by {self.answer['answerer']}" if self.answer.get("answerer") else "",
            f"{self.answer.get('elapsed_s', 0):.1f} s",
            f"${cost:.4f}" if cost else "",
        ]
        return self.pen.text(MARGIN, y + 14.5, " · ".join(filter(None, told)), 12.5, MUTED, width=INNER - name, lines=3)
