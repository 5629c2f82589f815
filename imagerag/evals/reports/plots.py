"""SVG plots by matplotlib (extra `evals`): points with error bars, lines, a dashed baseline.

The background is transparent. Text and axes are dark grey, or light grey under a dark colour scheme, both inline in a
page and in an `img`.
"""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from xml.etree import ElementTree

from imagerag.agent.extras import require_extra
from imagerag.formatting.numbers import score

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PALETTE: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's colours for the colour-blind, those that are readable on light and on dark."""
MARKS: Final = ("o", "s", "D", "^", "v")
INK: Final = "#010203"
"""Stands for `currentColor`, which matplotlib does not know, until the SVG is written."""
STYLE: Final = ".plot{color:#444}@media(prefers-color-scheme:dark){.plot{color:#c9c5bc}}"
SVG: Final = "{http://www.w3.org/2000/svg}"
_COUNTED: Final = re.compile(r".*_\d+")


@dataclass(frozen=True)
class Point:
    """A point, with half the length of its error bar and a label that shows on hover."""

    x: float
    y: float
    error: float = 0.0
    label: str = ""


@dataclass(frozen=True)
class Plot:
    """A plot.

    Attributes:
        series: name → points; they are connected by a line where `joined`.
        base: a value of y for a dashed line, and its label.
        logarithmic: whether the x axis is logarithmic.
        styled: names whose order decides colours and marks, so that an arm has the same ones in every plot of a page;
            by default those of the series.
    """

    title: str
    x: str
    y: str
    series: Mapping[str, Sequence[Point]]
    base: tuple[str, float] | None = None
    joined: bool = False
    logarithmic: bool = False
    styled: Sequence[str] = ()

    def svg(self) -> str:
        """Render the plot as one SVG element; the same plot gives the same bytes.

        Raises:
            MissingExtraError: matplotlib is not installed.
        """
        require_extra("matplotlib", "a plot", "evals")
        import matplotlib as mpl
        from matplotlib.figure import Figure

        out, few = io.StringIO(), {"Date": None, "Creator": None, "Format": None, "Type": None}
        with mpl.rc_context({**_LOOK, "svg.hashsalt": self.title}):
            figure = Figure(figsize=(5.8, 3.6), layout="constrained")
            self._draw(figure.add_subplot())
            figure.savefig(out, format="svg", transparent=True, metadata=few)
        return self._bare_svg(out.getvalue())

    def _draw(self, axes: "Axes") -> None:
        axes.set_title(self.title, loc="left", fontsize=11, fontweight="bold")
        axes.set_xlabel(self.x)
        axes.set_ylabel(self.y)
        axes.grid(axis="y", alpha=0.18)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        for number, (name, points) in enumerate(self._sorted().items()):
            style = self.styled.index(name) if name in self.styled else number
            colour, mark = PALETTE[style % len(PALETTE)], MARKS[(style + style // len(PALETTE)) % len(MARKS)]
            x, y, errors = [p.x for p in points], [p.y for p in points], [p.error for p in points]
            # The leading blank: matplotlib omits labels from a legend that begin with "_".
            container = axes.errorbar(
                x, y, yerr=errors if any(errors) else None, label=f" {name}", color=colour, marker=mark,
                markersize=6, linestyle="-" if self.joined else "", linewidth=1.8, elinewidth=1.4,
            )  # fmt: skip
            container[0].set_gid(f"series-{number}")
        if self.logarithmic:
            places = sorted({p.x for points in self.series.values() for p in points})
            axes.set_xscale("log")
            axes.set_xticks(places, [f"{place:g}" for place in places])
            axes.minorticks_off()
        if self.base:
            name, value = self.base
            axes.axhline(value, color=INK, linestyle=(0, (5, 4)), linewidth=1.3)
            axes.annotate(name, (1, value), (-2, 3), axes.get_yaxis_transform(), "offset points", ha="right")
        axes.margins(0.08)
        if len(self.series) > 1:
            columns = max(1, min(len(self.series), 62 // (max(map(len, self.series)) + 6)))
            axes.figure.legend(loc="outside lower center", ncols=columns, handlelength=1.2, frameon=False, fontsize=9)

    def _sorted(self) -> dict[str, list[Point]]:
        return {name: sorted(points, key=lambda p: p.x) for name, points in self.series.items()}

    def _bare_svg(self, text: str) -> str:
        """The bare SVG element, with a name, labels of its points, and the page's colour instead of a fixed one."""
        for prefix, space in (("", SVG[1:-1]), ("xlink", "http://www.w3.org/1999/xlink")):
            ElementTree.register_namespace(prefix, space)
        root = ElementTree.fromstring(text)
        for metadata in root.findall(f"{SVG}metadata"):
            root.remove(metadata)
        for number, (name, points) in enumerate(self._sorted().items()):
            marks = root.findall(f".//{SVG}g[@id='series-{number}']//{SVG}use")
            for mark, point in zip(marks, points, strict=True):
                ElementTree.SubElement(mark, f"{SVG}title").text = (
                    point.label or f"{name}: {point.x:g}, {score(point.y)}"
                )
        for element in root.iter():
            # matplotlib numbers ids from the same start in every plot, and a page holds several plots.
            if _COUNTED.fullmatch(element.get("id", "")) or element.get("id", "").startswith("series-"):
                del element.attrib["id"]
        root.attrib |= {"class": "plot", "role": "img", "aria-label": self.title}
        style = ElementTree.Element(f"{SVG}style")
        style.text = STYLE
        root.insert(0, style)
        return ElementTree.tostring(root, encoding="unicode").replace(INK, "currentColor")


_LOOK: Final[Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color", "grid.color"), INK),
}
