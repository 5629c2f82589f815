"""The sheet of an answer: the question, the answer, and every image that was looked at, with its similarity.

A pure function of the answer's record (`imagerag.answer/1`) and of the images it names.
"""

from collections.abc import Sequence
from typing import Final

from PIL import Image

from imagerag.formatting.labels import FOUND_BY, decision
from imagerag.formatting.numbers import cosine, dollars, seconds
from imagerag.reports.contact_sheet.canvas import Canvas, measure
from imagerag.reports.contact_sheet.layout import (
    ACCENT,
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
    Page,
    render_page,
    similarity_span,
)

COLUMNS: Final = 5
GUTTER: Final = 22
SIDE: Final = (INNER - (COLUMNS - 1) * GUTTER) / COLUMNS
"""The side of an image."""
SHOWN: Final = 20
"""Images on one sheet; the record has them all."""
OWN: Final = 180
"""The side of an image that the question came with; eight of them fit beside each other."""


def answer_sheet(answer: Document, load: Load) -> Image.Image:
    """Draw the sheet of an answer.

    Args:
        answer: the record, an `imagerag.answer/1` document.
        load: gives an image's bytes for its SHA-256; an image it cannot give is shown as an empty frame.

    Returns:
        An RGB image, 2400 pixels wide and as high as it needs to be.
    """
    gallery = Gallery(load)
    return render_page(lambda canvas: _Sheet(answer, gallery, canvas).draw())


class _Sheet(Page):
    capitals = 12.0

    def __init__(self, answer: Document, gallery: Gallery, canvas: Canvas) -> None:
        super().__init__(gallery, canvas)
        self.answer = answer
        self.supports: dict[int, str] = {one["number"]: one["supports"] for one in answer.get("citations") or []}
        similarities = [
            one.get(kind) for one in answer.get("retrieved") or [] for kind in ("similarity", "image_similarity")
        ]
        limits = [answer.get("threshold"), answer.get("image_threshold")]
        self.span = similarity_span([*similarities, *limits])

    def draw(self) -> float:
        """Draw everything; gives the height."""
        y = self._header(MARGIN - 8) + 34
        retrieved = self.answer.get("retrieved") or []
        y = self.heading(MARGIN, y, self._retrieval_text(retrieved))
        cards = sorted(retrieved, key=lambda one: one["number"] not in self.supports)[:SHOWN]
        y = self.grid(cards, self._card, y, columns=COLUMNS, step=SIDE + GUTTER, count=len(retrieved))
        if not retrieved:
            y = self.canvas.text(MARGIN, y, "Nothing was found.", 15, MUTED) + 20
        return self.footer(y + 8, self._facts()) + 36

    def _header(self, y: float) -> float:
        y, _ = self.top(y, self.answer.get("outcome"), "asked", str(self.answer["question"]))
        text = str(self.answer.get("answer") or self.answer.get("reason") or "")
        y = self._own(y)
        y = self.canvas.text(MARGIN, y + 12, text, 17, INK, width=INNER - 120, lines=12)
        without = self.answer.get("baseline_answer")
        return self._without(without, y + 22) if without else y

    def _own(self, y: float) -> float:
        """The person's own images, which the question came with or goes on about."""
        image_ids = [image["sha256"] for image in self.answer.get("images") or []]
        own = list(dict.fromkeys([*image_ids, *(self.answer.get("shown") or [])]))
        if not own:
            return y
        y = self.heading(MARGIN, y + 18, "your image" if len(own) == 1 else "your images")
        for n, sha256 in enumerate(own):
            self.image(sha256, MARGIN + n * (OWN + GUTTER), y, OWN, radius=9)
        return y + OWN + 8

    def _without(self, without: Document, y: float) -> float:
        """The same model's answer without the library, in a card."""
        words = str(without.get("answer") or without.get("reason") or "nothing")
        measured = Canvas().text(0, 0, words, 15, MUTED, width=INNER - 48, lines=8)
        self.canvas.frame(MARGIN, y, INNER, measured + 56, HAIRLINE, WHITE, radius=12, line=1)
        top = self.heading(MARGIN + 24, y + 18, "without the library")
        self.canvas.text(MARGIN + 24, top - 2, words, 15, MUTED, width=INNER - 48, lines=8)
        return y + measured + 56

    def _retrieval_text(self, retrieved: Sequence[Document]) -> str:
        accepted = sum(bool(one["accepted"]) for one in retrieved)
        threshold = self.answer.get("threshold")
        between = self.answer.get("image_threshold")
        limit = f", threshold {cosine(threshold)}" if threshold is not None else ""
        limit += f", between images {cosine(between)}" if between is not None else ""
        return f"looked at {len(retrieved)}, accepted {accepted}, cited {len(self.supports)}{limit}"

    def _card(self, one: Document, x: float, y: float) -> float:
        cited = one["number"] in self.supports
        if cited:
            self.canvas.frame(x - 5, y - 5, SIDE + 10, SIDE + 10, ACCENT, PAPER, radius=13, line=2.5)
        self.image(one["id"], x, y, SIDE, radius=9, veil=None if one["accepted"] else PAPER)
        if one["number"]:
            number = str(one["number"])
            wide = max(26.0, measure(number, 14) + 14)
            self.canvas.box(x + 8, y + 8, wide, 26, ACCENT if cited else MUTED, radius=13)
            self.canvas.text(x + 8, y + 11.5, number, 14, WHITE, width=wide, align="center", bold=True)
        y = self._bar(one, x, y + SIDE + 12, cited)
        title = one["title"] or one["caption"] or one["id"][:12]
        y = self.canvas.text(x, y + 6, title, 14.5, INK, width=SIDE, lines=2, bold=cited)
        supports = self.supports.get(one["number"] or 0) or ""
        if supports:
            y = self.canvas.text(x, y + 1, supports, 13, ACCENT, width=SIDE, lines=3)
        why = FOUND_BY[one["by"]] if one["accepted"] else decision("below_threshold").name
        words = " · ".join(part for part in (why, one["licence"]) if part)
        return self.canvas.text(x, y + 1, words, 12, MUTED, width=SIDE, lines=2)

    def _bar(self, one: Document, x: float, y: float, cited: bool) -> float:
        value, threshold = one["similarity"], self.answer.get("threshold")
        if one["by"] == "image":
            value, threshold = one["image_similarity"], self.answer.get("image_threshold")
        return self.bar(value, threshold, x, y, SIDE, span=self.span, strong=cited)

    def _facts(self) -> str:
        spent = dollars(
            self.answer.get("cost_usd"), self.answer.get("assumed_usd", 0.0), self.answer.get("unsettled_usd", 0.0)
        )
        parts = [
            f"library {self.answer['library']}" if self.answer.get("library") else "",
            f"answered by {self.answer['answerer']}" if self.answer.get("answerer") else "",
            seconds(self.answer.get("elapsed_s", 0)),
            spent,
        ]
        return " · ".join(filter(None, parts))
