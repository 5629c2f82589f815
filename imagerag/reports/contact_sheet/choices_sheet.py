"""The references a run offers, on one page: numbered as in its question, with title, similarity and licence."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from PIL import Image

from imagerag.formatting.numbers import cosine
from imagerag.formatting.web_credits import licence_text
from imagerag.reports.contact_sheet.canvas import SCALE, Canvas, measure
from imagerag.reports.contact_sheet.layout import ACCENT, HAIRLINE, INK, MUTED, PAPER, WHITE, Gallery, Load

MARGIN: Final = 32
TILE: Final = 200
GAP: Final = 20
PER_ROW: Final = 4
WORDS: Final = 62
"""The height of the words under an image."""


def choices_sheet(question: Mapping[str, Any], load: Load) -> Image.Image:
    """Draw the page.

    Args:
        question: a waiting run's, as its record has it.
        load: gives an image's bytes for its SHA-256; an image it cannot give is shown as an empty frame.
    """
    offered: Sequence[Mapping[str, Any]] = question.get("candidates") or []
    across = max(1, min(len(offered), PER_ROW))
    rows = -(-len(offered) // PER_ROW)
    width = max(2 * MARGIN + across * TILE + (across - 1) * GAP, 420)
    top = _heading(Canvas(), question, len(offered), width)
    height = top + rows * (TILE + WORDS + GAP) - GAP + MARGIN
    page = Image.new("RGB", (round(width * SCALE), round(height * SCALE)), PAPER)
    canvas, gallery = Canvas(page), Gallery(load)
    _heading(canvas, question, len(offered), width)
    for place, one in enumerate(offered):
        x = MARGIN + place % PER_ROW * (TILE + GAP)
        y = top + place // PER_ROW * (TILE + WORDS + GAP)
        _tile(canvas, x, y, one, gallery(str(one["id"]), region=one.get("region")))
    return page


def _heading(canvas: Canvas, question: Mapping[str, Any], offered: int, width: float) -> float:
    inner = width - 2 * MARGIN
    y = canvas.text(MARGIN, MARGIN - 6, str(question.get("prompt", "")), 17, INK, width=inner, lines=3, bold=True)
    message = f"{offered} to choose from, at most {question.get('limit', 0)} of them"
    return canvas.text(MARGIN, y + 2, message, 12, MUTED, width=inner) + 14


def _tile(canvas: Canvas, x: float, y: float, one: Mapping[str, Any], image: Image.Image | None) -> None:
    canvas.frame(x, y, TILE, TILE, HAIRLINE, WHITE, radius=8, line=0.75)
    if image is not None:
        canvas.image(_whole(image), x + 6, y + 6, TILE - 12, TILE - 12, radius=5)
    number = str(one["number"])
    wide = max(26, measure(number, 15) + 14)
    canvas.box(x, y, wide, 26, ACCENT, radius=8)
    canvas.text(x, y + 3, number, 15, WHITE, width=wide, align="center", bold=True)
    y = canvas.text(x, y + TILE + 6, str(one["title"] or one["id"][:12]), 13, INK, width=TILE, bold=True)
    y = canvas.text(x, y, f"cosine {cosine(float(one['similarity']))}", 12, ACCENT, width=TILE)
    licence = licence_text(str(one["licence"])) or "licence not known"
    page = urlsplit(str((one.get("web") or {}).get("page", ""))).hostname  # the whole address does not fit
    canvas.text(x, y, " · ".join(filter(None, (licence, page))), 12, MUTED, width=TILE)


def _whole(image: Image.Image) -> Image.Image:
    """The image on a square, uncut: one chooses by all of it."""
    side = max(image.size)
    square = Image.new("RGB", (side, side), WHITE)
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return square
