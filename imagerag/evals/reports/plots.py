"""Plots as SVG, drawn without a plotting library: points with error bars, lines, a dashed base.

Colours are of the page they are shown on (`currentColor` and CSS variables), so they work on light and dark alike.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import floor, log10
from typing import Final

from imagerag.formatting.numbers import score

WIDTH: Final = 560
HEIGHT: Final = 320
LEGEND: Final = 18
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 34, 52
PALETTE: Final = ("#2a6fb0", "#c2571a", "#2f8f5b", "#8b4fb3", "#b23a48", "#6b7280")
MARKS: Final = ("circle", "square", "diamond")


@dataclass(frozen=True)
class Point:
    """A point, with the half length of its error bar and a label that shows when one points at it."""

    x: float
    y: float
    error: float = 0.0
    label: str = ""


@dataclass(frozen=True)
class Plot:
    """What is drawn.

    Attributes:
        series: name → points; more than one point are joined where `joined`.
        base: a value of y that gets a dashed line, and what it is called.
        logarithmic: of x.
    """

    title: str
    x: str
    y: str
    series: Mapping[str, Sequence[Point]]
    base: tuple[str, float] | None = None
    joined: bool = False
    logarithmic: bool = False
    named: bool = False

    def svg(self) -> str:
        """The plot as one SVG element."""
        points = [point for some in self.series.values() for point in some]
        xs, ys = _Axis.of([self._x(p.x) for p in points], LEFT, WIDTH - RIGHT), self._ys(points)
        entries = self._entries()
        height = HEIGHT + (LEGEND * (entries[-1][2] + 1) if entries else 0)
        parts = [
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
                f'height="{height}" role="img" aria-label="{escape(self.title)}" font-size="12" '
                'font-family="system-ui, sans-serif" '
                'fill="currentColor" color="#444">'
            ),
            f'<text x="{LEFT}" y="18" font-size="14" font-weight="600">{escape(self.title)}</text>',
            *self._grid(xs, ys),
        ]
        if self.base:
            name, value = self.base
            at = ys.at(value)
            parts += [
                (
                    f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}" stroke="currentColor" '
                    'stroke-dasharray="6 5" stroke-width="1.5"/>'
                ),
                f'<text x="{WIDTH - RIGHT}" y="{at - 5:.1f}" text-anchor="end">{escape(name)}</text>',
            ]
        for at_series, (name, some) in enumerate(self.series.items()):
            parts += self._series(at_series, name, some, xs, ys)
        return "\n".join([*parts, *self._legend(), "</svg>"])

    def _x(self, value: float) -> float:
        return log10(max(value, 1e-12)) if self.logarithmic else value

    def _ys(self, points: Sequence[Point]) -> "_Axis":
        ends = [end for p in points for end in (p.y - p.error, p.y + p.error)]
        return _Axis.of([*ends, *([self.base[1]] if self.base else [])], HEIGHT - BOTTOM, TOP)

    def _grid(self, xs: "_Axis", ys: "_Axis") -> list[str]:
        bottom, middle = HEIGHT - BOTTOM, (LEFT + WIDTH - RIGHT) / 2
        parts = []
        for value in ys.ticks:
            at = ys.at(value)
            parts += [
                (
                    f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}" stroke="currentColor" '
                    'opacity="0.15"/>'
                ),
                f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{value:g}</text>',
            ]
        shown = sorted({p.x for some in self.series.values() for p in some}) if self.logarithmic else xs.ticks
        for value in shown:
            at = xs.at(self._x(value))
            parts.append(f'<text x="{at:.1f}" y="{bottom + 18}" text-anchor="middle">{value:g}</text>')
        return [
            *parts,
            f'<text x="{middle:.0f}" y="{HEIGHT - 12}" text-anchor="middle">{escape(self.x)}</text>',
            (
                f'<text transform="translate(14 {(TOP + bottom) / 2:.0f}) rotate(-90)" text-anchor="middle">'
                f"{escape(self.y)}</text>"
            ),
        ]

    def _series(self, number: int, name: str, points: Sequence[Point], xs: "_Axis", ys: "_Axis") -> list[str]:
        colour = PALETTE[number % len(PALETTE)]
        placed = [(xs.at(self._x(p.x)), ys.at(p.y), p) for p in sorted(points, key=lambda p: p.x)]
        parts = []
        if self.joined and len(placed) > 1:
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in placed)
            parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for x, y, point in placed:
            if point.error:
                low, high = ys.at(point.y - point.error), ys.at(point.y + point.error)
                parts.append(f'<path d="M{x:.1f} {low:.1f}V{high:.1f}" stroke="{colour}" stroke-width="1.5"/>')
            told = escape(point.label or f"{name}: {point.x:g}, {score(point.y)}")
            parts.append(f"<g><title>{told}</title>{_mark(_kind(number), x, y, colour)}</g>")
            if self.named:
                end = x > WIDTH * 0.7
                where = f'x="{x + (-8 if end else 8):.1f}" y="{y - 6:.1f}" text-anchor="{"end" if end else "start"}"'
                parts.append(f'<text {where} font-size="11">{escape(name)}</text>')
        return parts

    def _legend(self) -> list[str]:
        parts = []
        for number, (name, x, row) in enumerate(self._entries()):
            y = HEIGHT + row * LEGEND
            parts.append(_mark(_kind(number), x, y, PALETTE[number % len(PALETTE)]))
            parts.append(f'<text x="{x + 9}" y="{y + 4}" font-size="11">{escape(name)}</text>')
        return parts

    def _entries(self) -> list[tuple[str, int, int]]:
        """What the legend below the plot says: name, pixels from the left, row."""
        if self.named or len(self.series) < 2:
            return []
        found, at, row = [], LEFT, 0
        for name in self.series:
            wide = 7 * len(name) + 26
            if at > LEFT and at + wide > WIDTH:
                at, row = LEFT, row + 1
            found.append((name, at, row))
            at += wide
        return found


def _kind(number: int) -> str:
    """The mark of a series: no two have mark and colour in common before there are eighteen."""
    return MARKS[(number + number // len(PALETTE)) % len(MARKS)]


def _mark(kind: str, x: float, y: float, colour: str) -> str:
    if kind == "square":
        return f'<rect x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8" fill="{colour}"/>'
    if kind == "diamond":
        return f'<path d="M{x:.1f} {y - 5.5:.1f}l5.5 5.5l-5.5 5.5l-5.5 -5.5z" fill="{colour}"/>'
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{colour}"/>'


@dataclass(frozen=True)
class _Axis:
    """From values to pixels, with round ticks."""

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float], start: float, end: float) -> "_Axis":
        low, high = min(values), max(values)
        room = (high - low) * 0.08 or abs(high) * 0.1 or 0.5
        low, high = low - room, high + room
        step = _round_step((high - low) / 5)
        first = floor(low / step) + 1
        ticks = tuple(round(n * step, 10) for n in range(first, first + 12) if n * step <= high)
        return cls(low, high, start, end, ticks)

    def at(self, value: float) -> float:
        """Where a value is, in pixels."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def _round_step(step: float) -> float:
    size = 10.0 ** floor(log10(step))
    return next(size * nice for nice in (1, 2, 5, 10) if step <= size * nice * 1.0001)
