"""The page of a sheet: its colours, its images, and what every sheet has at its top and at its end."""

from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from typing import Any, Final, TypeVar

from PIL import Image

from imagerag.agent.errors import BlobError, UsageError
from imagerag.agent.images.decoding import decode, opaque
from imagerag.agent.images.regions import outlined
from imagerag.agent.types import Region
from imagerag.formatting.labels import ANSWERS, OUTCOMES, Tone, label, standing
from imagerag.formatting.numbers import cosine
from imagerag.reports.contact_sheet.canvas import SCALE, Canvas, Color, Icon, leading, measure
from imagerag.store.images.masks import shown_mask

Document = Mapping[str, Any]
"""A part of a record, as JSON gives it."""

Load = Callable[[str], bytes]
"""Gives an image's bytes for its SHA-256."""

WIDTH: Final = 1200
MARGIN: Final = 56
BAR: Final = 5
"""The height of the bar of a similarity."""
INNER: Final = WIDTH - 2 * MARGIN

PAPER: Color = (250, 249, 246)
WHITE: Color = (255, 255, 255)
TINT: Color = (240, 238, 233)
HAIRLINE: Color = (224, 221, 213)
GREY: Color = (197, 193, 184)
MUTED: Color = (122, 118, 110)
INK: Color = (28, 27, 25)
ACCENT: Color = (15, 118, 105)
AMBER: Color = (176, 118, 22)
RUST: Color = (181, 71, 47)

_TONES: Final[Mapping[Tone, tuple[Color, Icon]]] = {
    "good": (ACCENT, "tick"),
    "warn": (AMBER, "dash"),
    "bad": (RUST, "cross"),
    "calm": (MUTED, "dash"),
}
"""The colour and the sign of a pill."""


def similarity_span(values: Sequence[float | None]) -> tuple[float, float]:
    """The similarities at the ends of a sheet's bars: from 0, or the lowest, to a little above the highest."""
    numbers = [value for value in values if value is not None]
    return (min(0.0, *numbers, 0.0), max(*numbers, 0.1, 0.1) * 1.1) if numbers else (0.0, 1.0)


class Gallery:
    """The images of a sheet, each decoded once; None for one that cannot be had. Masks are light where an image may
    change."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._seen: dict[tuple[str, bool], Image.Image | None] = {}

    def __call__(self, sha256: str, *, mask: bool = False, region: Any = None) -> Image.Image | None:
        """An image, or a mask; of an image also with the box of a region, a `Region` or what its JSON has."""
        image = self._decoded(sha256, mask)
        return image if image is None or region is None else outlined(image, Region.model_validate(region))

    def _decoded(self, sha256: str, mask: bool) -> Image.Image | None:
        if (sha256, mask) not in self._seen:
            try:
                image = decode(self._load(sha256), side=WIDTH).image
                self._seen[sha256, mask] = shown_mask(image) if mask else opaque(image)
            except (BlobError, LookupError, OSError, UsageError):
                self._seen[sha256, mask] = None
        return self._seen[sha256, mask]


def render_page(layout: Callable[[Canvas], float]) -> Image.Image:
    """A page as high as what `layout` draws: measured first, with a canvas that has no page."""
    page = Image.new("RGB", (WIDTH * SCALE, round(layout(Canvas()) * SCALE)), PAPER)
    layout(Canvas(page))
    return page


def png(page: Image.Image) -> bytes:
    """A page as the bytes of a file."""
    out = BytesIO()
    page.save(out, "PNG")
    return out.getvalue()


T = TypeVar("T")


class Page:
    """Draws what sheets have in common. Every method that gives a number gives the `y` at which its part ends."""

    capitals = 11.0
    """The size of small headings."""

    def __init__(self, gallery: Gallery, canvas: Canvas) -> None:
        self.gallery = gallery
        self.canvas = canvas

    def heading(self, x: float, y: float, text: str) -> float:
        """A small heading in capitals."""
        self.canvas.text(x, y, text.upper(), self.capitals, MUTED, tracking=1.2)
        return y + 24

    def image(
        self,
        sha256: str,
        x: float,
        y: float,
        side: float,
        *,
        radius: float,
        veil: Color | None = None,
        mask: bool = False,
        region: Any = None,
    ) -> None:
        """An image, or a mask, as a whole, inside a square; of an image also with the box of a region."""
        image = self.gallery(sha256, mask=mask, region=region)
        self.canvas.box(x, y, side, side, TINT, radius=radius)
        if image is None:
            self.canvas.text(x, y + side / 2 - 8, "not available", 12, MUTED, width=side, align="center")
            return
        w, h = (max(2.0, edge * side / max(image.size)) for edge in image.size)
        self.canvas.image(image, x + (side - w) / 2, y + (side - h) / 2, w, h, radius=radius, veil=veil)

    def grid(
        self,
        cards: Sequence[T],
        draw: Callable[[T, float, float], float],
        y: float,
        *,
        columns: int,
        step: float,
        count: int,
    ) -> float:
        """Cards in rows, and how many are not shown.

        Args:
            draw: draws a card at x and y; gives the `y` at which it ends.
            step: from one card's left edge to the next one's.
            count: of all cards, those that are not shown included.
        """
        for start in range(0, len(cards), columns):
            row = cards[start : start + columns]
            y = max(draw(one, MARGIN + n * step, y) for n, one in enumerate(row)) + 24
        if count > len(cards):
            y = self.canvas.text(MARGIN, y - 8, f"and {count - len(cards)} more", 13, MUTED) + 14
        return y

    def top(
        self, y: float, outcome: str | None, heading: str, prompt: str, *, status: str = "running"
    ) -> tuple[float, float]:
        """Draw the prompt, and the outcome on the right. Returns the bottom, and the width left of the badge."""
        stands = (
            label(ANSWERS, outcome) if outcome in ANSWERS and outcome not in OUTCOMES else standing(status, outcome)
        )
        color, icon = _TONES[stands.tone]
        pill = measure(stands.name, 15) + 54
        left = MARGIN + INNER - pill
        self.canvas.box(left, y + 26, pill, 34, color, radius=17)
        self.canvas.icon(left + 8, y + 33, 20, icon, color, disc=WHITE)
        self.canvas.text(left + 37, y + 32.5, stands.name, 15, WHITE, bold=True)
        self.heading(MARGIN, y, heading)
        room = INNER - pill - 48
        return self.canvas.text(MARGIN - 1, y + 22, prompt, 30, INK, width=room, lines=3, bold=True), room

    def bar(
        self,
        value: float | None,
        threshold: float | None,
        x: float,
        y: float,
        width: float,
        *,
        span: tuple[float, float],
        strong: bool,
    ) -> float:
        """A similarity as a bar with the threshold on it, and as a number.

        Args:
            span: the similarities at the bar's ends.
            strong: whether it stands out.
        """

        def along(number: float) -> float:
            return max(0.0, min(1.0, (number - span[0]) / (span[1] - span[0])))

        wide = width - measure("-0.000", 13) - 10
        middle = y + leading(13) / 2 - BAR / 2
        self.canvas.box(x, middle, wide, BAR, HAIRLINE, radius=BAR / 2)
        if value is not None:
            passed = threshold is None or value >= threshold
            color = ACCENT if strong else MUTED if passed else GREY
            self.canvas.box(x, middle, max(BAR, along(value) * wide), BAR, color, radius=BAR / 2)
        if threshold is not None:
            self.canvas.box(x + along(threshold) * wide - 0.75, middle - 3.5, 1.5, BAR + 7, INK)
        label = cosine(value) if value is not None else "far"
        self.canvas.text(x, y, label, 13, INK if strong else MUTED, width=width, align="right", bold=strong)
        return y + leading(13)

    def footer(self, y: float, text: str) -> float:
        """The small print."""
        self.canvas.rule(MARGIN, y, INNER, HAIRLINE)
        name = measure("imagerag", 13) + 24
        self.canvas.text(MARGIN, y + 14, "imagerag", 13, INK, width=INNER, align="right", bold=True)
        return self.canvas.text(MARGIN, y + 14.5, text, 12.5, MUTED, width=INNER - name, lines=3)
