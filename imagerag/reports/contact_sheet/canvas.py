"""Canvas of a page: text that wraps, shapes with smooth edges, images with round corners. Knows nothing of runs.

Positions and sizes are in points, from the top left corner; a point is `SCALE` pixels, so that pages stay crisp on
dense screens. Latin text is in Pillow's own font, so that it looks the same on every machine; for other scripts see
`fonts`.
"""

from collections.abc import Iterator
from functools import cache
from typing import Literal

from PIL import Image, ImageDraw, ImageOps

from imagerag.reports.contact_sheet.fonts import font, runs, writable

SCALE = 2
SMOOTH = 4
"""Supersampling factor for smooth edges."""

Color = tuple[int, int, int]
Icon = Literal["tick", "cross", "dash", "arrow"]

_STROKES: dict[Icon, tuple[tuple[tuple[float, float], ...], ...]] = {
    "tick": (((0.27, 0.53), (0.43, 0.69), (0.74, 0.34)),),
    "cross": (((0.32, 0.32), (0.68, 0.68)), ((0.68, 0.32), (0.32, 0.68))),
    "dash": (((0.3, 0.5), (0.7, 0.5)),),
    "arrow": (((0.04, 0.5), (0.96, 0.5)), ((0.62, 0.2), (0.96, 0.5), (0.62, 0.8))),
}
"""Each icon as lines in a unit square."""

# Pillow's font knows ASCII and little more: the signs of ordinary prose are written with what it has.
_SPELLED = str.maketrans({"—": "-", "–": "-", "−": "-", "×": "x", "→": ">", "≥": ">=", "≤": "<=", "•": "·", "ß": "ss"})


class Canvas:
    """Draws on one page.

    A canvas without a page draws nothing but measures everything: a layout is run once without and once with a page, so
    that it never has to be calculated beforehand.
    """

    def __init__(self, page: Image.Image | None = None) -> None:
        self.page = page

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size: float,
        color: Color,
        *,
        width: float | None = None,
        lines: int = 1,
        bold: bool = False,
        align: Literal["left", "center", "right"] = "left",
        tracking: float = 0,
    ) -> float:
        """Write `text` below `y` and give back where it ends.

        Args:
            width: where lines break, and what `align` refers to; None lets the text run.
            lines: how many lines at most; what does not fit ends in an ellipsis.
            tracking: extra space between letters, for small capitals.
        """
        rows = wrap(text, size, width, lines) if width is not None else [plain(text)]
        for row in rows:
            spare = (width or 0) - measure(row, size) - tracking * len(row)
            left = x + {"left": 0, "center": spare / 2, "right": spare}[align]
            self._row(left, y, row, size, color, bold, tracking)
            y += leading(size)
        return y

    def _row(self, x: float, y: float, row: str, size: float, color: Color, bold: bool, tracking: float) -> None:
        if self.page is None:
            return
        draw = ImageDraw.Draw(self.page)
        for piece in row if tracking else [row]:
            # The built-in font has one weight. A hairline around large letters makes them bold; small ones would run
            # together, so they are written twice, one pixel apart.
            stroke = 1 if bold and size >= 20 else 0
            for shift in (0, 1) if bold and not stroke else (0,):
                at = x * SCALE + shift
                for part, path in runs(piece):
                    typeface = font(size * SCALE, path)
                    draw.text((at, y * SCALE), part, color, typeface, stroke_width=stroke)
                    at += typeface.getlength(part)
            x += measure(piece, size) + tracking

    def box(self, x: float, y: float, w: float, h: float, fill: Color, *, radius: float = 0) -> None:
        """A filled rectangle with round corners."""
        if self.page is not None and w > 0 and h > 0:
            size = (max(1, round(w * SCALE)), max(1, round(h * SCALE)))
            self.page.paste(fill, _at(x, y), _rounded(size, round(radius * SCALE)))

    def frame(
        self, x: float, y: float, w: float, h: float, color: Color, inside: Color, *, radius: float, line: float
    ) -> None:
        """A rectangle with an outline of `line` points, filled with `inside`."""
        self.box(x, y, w, h, color, radius=radius)
        self.box(x + line, y + line, w - 2 * line, h - 2 * line, inside, radius=radius - line)

    def rule(self, x: float, y: float, w: float, color: Color, *, dash: float = 0, line: float = 0.5) -> None:
        """A horizontal line, dashed when `dash` is the length of its dashes."""
        step = 2 * dash or w
        while w > 0:
            self.box(x, y, min(dash or w, w), line, color)
            x, w = x + step, w - step

    def icon(self, x: float, y: float, size: float, icon: Icon, color: Color, *, disc: Color | None = None) -> None:
        """A small sign; on a disc of another colour when one is given."""
        if disc is not None:
            self.box(x, y, size, size, disc, radius=size / 2)
        if self.page is not None:
            self.page.paste(color, _at(x, y), _sign(icon, round(size * SCALE), 0.1 if disc else 0.07))

    def image(
        self, image: Image.Image, x: float, y: float, w: float, h: float, *, radius: float, veil: Color | None = None
    ) -> None:
        """An image that fills the box, cut at its longer sides; with a `veil` of that colour over it."""
        if self.page is None:
            return
        size = (round(w * SCALE), round(h * SCALE))
        fitted = ImageOps.fit(image, size, Image.Resampling.LANCZOS)
        if veil is not None:
            fitted = Image.blend(fitted, Image.new("RGB", size, veil), 0.6)
        self.page.paste(fitted, _at(x, y), _rounded(size, round(radius * SCALE)))


def measure(text: str, size: float) -> float:
    """The width of one line of `text`, in points."""
    return sum(font(size * SCALE, path).getlength(part) for part, path in runs(text)) / SCALE


def leading(size: float) -> float:
    """The distance from one line of text to the next, in points."""
    return round(size * 1.38)


def plain(text: str) -> str:
    """`text` as one line that can be written: white space joined, control signs dropped, accents without glyph folded,
    and what no font here has named by its script."""
    return writable(" ".join(text.translate(_SPELLED).split()))


def wrap(text: str, size: float, width: float, lines: int) -> list[str]:
    """Break `text` into at most `lines` lines of `width` points; the last ends in an ellipsis when there is more."""
    rows: list[str] = []
    row = ""
    # Nobody sees more than this, and a model's answer may be endless.
    for word in _pieces(plain(text[: 600 * lines]), size, width):
        longer = f"{row} {word}" if row else word
        if row and measure(longer, size) > width:
            rows.append(row)
            if len(rows) == lines:
                return [*rows[:-1], _shortened(longer, size, width)]
            longer = word
        row = longer
    return [*rows, row] if row else rows


def _pieces(text: str, size: float, width: float) -> Iterator[str]:
    """The words of `text`, those wider than a line cut into pieces that fit."""
    for word in text.split():
        while word and measure(word, size) > width:
            fits = next(n for n in range(1, len(word) + 1) if n == len(word) or measure(word[: n + 1], size) > width)
            yield word[:fits]
            word = word[fits:]
        if word:
            yield word


def _shortened(row: str, size: float, width: float) -> str:
    while row and measure(f"{row.rstrip()}…", size) > width:
        row = row[:-1]
    return f"{row.rstrip(' ,.;:')}…"


def _at(x: float, y: float) -> tuple[int, int]:
    return round(x * SCALE), round(y * SCALE)


@cache
def _disc(size: int) -> Image.Image:
    large = Image.new("L", (size * SMOOTH, size * SMOOTH))
    ImageDraw.Draw(large).ellipse((0, 0, size * SMOOTH - 1, size * SMOOTH - 1), fill=255)
    return large.resize((size, size), Image.Resampling.BOX)


def _rounded(size: tuple[int, int], radius: int) -> Image.Image:
    """A mask of a rectangle with round corners: only the corners need smooth edges."""
    width, height = size
    mask = Image.new("L", size, 255)
    radius = min(radius, width // 2, height // 2)
    if radius > 0:
        disc = _disc(2 * radius)
        for left, x in ((0, 0), (radius, width - radius)):
            for top, y in ((0, 0), (radius, height - radius)):
                mask.paste(disc.crop((left, top, left + radius, top + radius)), (x, y))
    return mask


@cache
def _sign(icon: Icon, size: int, weight: float) -> Image.Image:
    side = size * SMOOTH
    large = Image.new("L", (side, side))
    draw = ImageDraw.Draw(large)
    thick = max(1, round(side * weight))
    for stroke in _STROKES[icon]:
        points = [(x * side, y * side) for x, y in stroke]
        draw.line(points, fill=255, width=thick, joint="curve")
        for x, y in (points[0], points[-1]):
            draw.ellipse((x - thick / 2, y - thick / 2, x + thick / 2, y + thick / 2), fill=255)
    return large.resize((size, size), Image.Resampling.BOX)
