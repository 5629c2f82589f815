"""The pictures of the architecture, drawn from the code: packages from the imports, the graph from the graph."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from imagerag.agent.nodes import Nodes
from imagerag.graphs.generation import build_workflow
from tests.package import layers

Arrow = tuple[str, str]
Place = tuple[int, int]

ACROSS: Final[Mapping[str, tuple[int, int]]] = {
    "cli": (73, 108), "mcp": (494, 90), "ui": (596, 80), "chat": (283, 90), "assistants": (431, 124),
    "client": (385, 108), "batch": (177, 108), "evals": (283, 196), "reports": (382, 184), "diagnostics": (89, 116),
    "files": (216, 96), "schemas": (375, 96), "logging_setup": (634, 122), "http_server": (501, 112),
    "graphs": (304, 124), "tools": (353, 262), "store": (597, 184), "agent": (507, 262), "formatting": (435, 124),
}  # fmt: skip
"""Package → its middle and its width; how high it stands is said by its layer, how high it is by what is inside."""
SIDEWAYS: Final[Mapping[Arrow, str]] = {
    ("chat", "reports"): "V{below}H520V{above}H382V{top}",
    ("logging_setup", "agent"): "V{below}H694V{middle}H{right}", ("cli", "schemas"): "V{below}H545V{above}H375V{top}",
}  # fmt: skip
"""Arrows that turn a corner, because something stands in their way."""
NODES: Final[Mapping[str, Place]] = {
    "__start__": (90, 40), "generate": (90, 130), "critique": (90, 230), "finish": (90, 430), "__end__": (90, 520),
    "extract_concepts": (330, 230), "write_captions": (570, 230), "retrieve": (570, 330), "shortlist": (570, 430),
    "select": (330, 430), "regenerate": (330, 330),
}  # fmt: skip
WAYS: Final[Mapping[Arrow, str]] = {
    ("__start__", "retrieve"): "M165 40H690V330H647", ("extract_concepts", "retrieve"): "M405 245L493 318",
    ("retrieve", "shortlist"): "M560 350V408", ("shortlist", "retrieve"): "M585 410V352",
    ("shortlist", "regenerate"): "M495 420L407 342", ("regenerate", "critique"): "M255 320L167 242",
    ("shortlist", "finish"): "M570 450C570 500 240 500 167 442",
    ("select", "generate"): "M265 410C205 380 205 170 167 138",
    ("shortlist", "generate"): "M645 430H672V85H130V108",
}  # fmt: skip
"""The arrows that do not go straight; what is not here does, so that a new one is never left out."""
WORDS: Final = {"__start__": "start", "__end__": "end"}
BOX: Final = (150, 40)
_FONT: Final = 'font-family="ui-sans-serif, system-ui, sans-serif" font-size="14"'
_HEAD: Final = (
    '<marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    '<path d="M0 0 8 4 0 8z" fill="#7d8b8a"/></marker>'
)


def structure_arrows() -> set[Arrow]:
    """(who, whom) of every import between packages, but for those that a longer way says already."""
    arrows = layers.arrows()
    return {one for one in arrows if not _leads(arrows - {one}, *one)}


def _leads(arrows: set[Arrow], start: str, end: str) -> bool:
    """Whether a way of arrows leads from one package to another."""
    seen, at = {start}, [start]
    while at:
        here = at.pop()
        further = {whom for who, whom in arrows if who == here} - seen
        seen |= further
        at += further
    return end in seen


def node_arrows() -> dict[Arrow, bool]:
    """(from, to) of the generation graph, and whether a decision leads there."""
    drawn = build_workflow(Nodes.for_diagram()).compile().get_graph()
    return {
        (edge.source, edge.target): edge.conditional
        for edge in drawn.edges
        if "error_handler" not in edge.source + edge.target
    }


def structure() -> str:
    """The packages on their layers, and what imports what."""
    boxes = package_boxes()
    arrows = [_package_arrow(boxes, arrow) for arrow in sorted(structure_arrows())]
    high = max(box.bottom for box in boxes.values()) + 14
    return _document(700, high, arrows, [box.drawn() for box in boxes.values()], "The packages and their imports")


@dataclass(frozen=True)
class Box:
    """A package in the picture: its name, and under it the packages inside."""

    name: str
    x: int
    top: int
    wide: int
    lines: tuple[str, ...]

    @property
    def high(self) -> int:
        """How high it is."""
        return 30 + 15 * len(self.lines) + (4 if self.lines else 0)

    @property
    def bottom(self) -> int:
        """Where it ends."""
        return self.top + self.high

    def drawn(self) -> str:
        """It as SVG."""
        small = "".join(
            f'<text x="{self.x}" y="{self.top + 36 + 15 * n}" text-anchor="middle" font-size="12" fill="#33524e">'
            f"{line}</text>"
            for n, line in enumerate(self.lines)
        )
        return (
            f'<g id="{self.name}"><rect x="{self.x - self.wide // 2}" y="{self.top}" width="{self.wide}" '
            f'height="{self.high}" rx="8" fill="#e6f2f0" stroke="#00897b"/>'
            f'<text x="{self.x}" y="{self.top + 20}" text-anchor="middle" fill="#12302c">{self.name}</text>{small}</g>'
        )


def package_boxes() -> dict[str, Box]:
    """The packages in their places, the highest layer on top."""
    boxes: dict[str, Box] = {}
    top = 10
    for names in layers.LAYERS:
        for package in names:
            x, wide = ACROSS[package]
            inside = " ".join(path.name for path in layers.inside(package))
            boxes[package] = Box(package, x, top, wide, tuple(textwrap.wrap(inside, int(wide / 6.6))))
        top = max(boxes[package].bottom for package in names) + 26
    return boxes


def _package_arrow(boxes: Mapping[str, Box], arrow: Arrow) -> str:
    start, end = (boxes[name] for name in arrow)
    if start.top == end.top and any(
        min(start.x, end.x) < box.x < max(start.x, end.x) for box in boxes.values() if box.top == start.top
    ):  # over what stands between
        way = f"M{start.x} {start.top}V{start.top - 7}H{end.x}V{end.top - 2}"
    elif start.top == end.top:
        turn = 1 if end.x > start.x else -1
        way = f"M{start.x + turn * start.wide // 2} {start.top + 15}H{end.x - turn * (end.wide // 2 + 2)}"
    elif corner := SIDEWAYS.get(arrow):
        way = f"M{start.x} {start.bottom}" + corner.format(
            below=start.bottom + 12, above=end.top - 13, top=end.top - 2, middle=end.top + 15,
            right=end.x + end.wide // 2 + 2,
        )  # fmt: skip
    else:
        way = f"M{start.x} {start.bottom}L{_landing(start, end)} {end.top - 2}"
    return f'<path data-from="{arrow[0]}" data-to="{arrow[1]}" d="{way}"/>'


def crosses(start: Box, end: Box, box: Box) -> bool:
    """Whether the straight arrow between two packages goes through a third."""
    x, reach = _landing(start, end), end.top - start.bottom
    across = [start.x + (x - start.x) * (y - start.bottom) / reach for y in (box.top, box.bottom)]
    between = start.bottom < box.bottom and box.top < end.top
    return between and min(across) < box.x + box.wide // 2 and max(across) > box.x - box.wide // 2


def tree() -> str:
    """Every package and the packages inside, the highest layer first: what each is for, and how to add to it."""
    lines = []
    for package in (package for names in layers.LAYERS for package in names):
        folder = layers.ROOT / layers.PACKAGE / package
        lines.append(_entry(package if folder.is_dir() else f"{package}.py", folder if folder.is_dir() else None, 0))
        for inner in layers.inside(package):
            lines.append(_entry(inner.name, inner, 1))
            lines += [_entry(deep.parent.name, deep.parent, 2) for deep in sorted(inner.glob("*/__init__.py"))]
    return "\n".join(lines) + "\n"


def _entry(name: str, folder: Path | None, depth: int) -> str:
    first, how = layers.purpose(folder or layers.ROOT / layers.PACKAGE / name)
    return textwrap.fill(
        f"{'    ' * depth}* **`{name}`** {first} {how}".rstrip(),
        118,
        subsequent_indent=f"{'    ' * depth}  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _landing(start: Box, end: Box) -> int:
    """Where an arrow reaches a package: as straight below where it comes from as the package is wide."""
    edge = end.wide // 2 - 14
    return max(end.x - edge, min(end.x + edge, start.x))


def graph() -> str:
    """The generation graph."""
    return _svg(700, 550, NODES, dict(sorted(node_arrows().items())), "The generation graph")


def _svg(wide: int, high: int, places: Mapping[str, Place], arrows: Mapping[Arrow, bool], title: str) -> str:
    ways = [_arrow(places, arrow, dashed=dashed) for arrow, dashed in arrows.items()]
    return _document(wide, high, ways, [_box(name, place) for name, place in places.items()], title)


def _document(wide: int, high: int, arrows: Sequence[str], boxes: Sequence[str], title: str) -> str:
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" role="img" {_FONT}>',
        f"<title>{title}</title>",
        f"<defs>{_HEAD}</defs>",
        '<g fill="none" stroke="#7d8b8a" stroke-width="1.4" marker-end="url(#head)">',
        *arrows,
        "</g>",
        *boxes,
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _box(name: str, place: Place) -> str:
    (x, y), (wide, high) = place, BOX
    rim = high // 2 if name in WORDS else 8
    return (
        f'<g id="{name}"><rect x="{x - wide // 2}" y="{y - high // 2}" width="{wide}" height="{high}" rx="{rim}" '
        f'fill="#e6f2f0" stroke="#00897b"/><text x="{x}" y="{y + 5}" text-anchor="middle" fill="#12302c">'
        f"{WORDS.get(name, name)}</text></g>"
    )


def _arrow(places: Mapping[str, Place], arrow: Arrow, *, dashed: bool) -> str:
    style = ' stroke-dasharray="5 4"' if dashed else ""
    way = WAYS.get(arrow) or _straight(places[arrow[0]], places[arrow[1]])
    return f'<path data-from="{arrow[0]}" data-to="{arrow[1]}"{style} d="{way}"/>'


def _straight(start: Place, end: Place) -> str:
    """From rim to rim; from a box to itself, a loop above it."""
    (x1, y1), (x2, y2), (wide, high) = start, end, (BOX[0] // 2, BOX[1] // 2)
    if start == end:
        top = y1 - high
        return f"M{x1 - 25} {top}C{x1 - 40} {top - 50} {x1 + 40} {top - 50} {x1 + 25} {top - 2}"
    if abs(y2 - y1) >= abs(x2 - x1) / 4:
        turn = 1 if y2 > y1 else -1
        return f"M{x1} {y1 + turn * high}L{x2} {y2 - turn * (high + 2)}"
    turn = 1 if x2 > x1 else -1
    return f"M{x1 + turn * wide} {y1}L{x2 - turn * (wide + 2)} {y2}"


def arrows_in(svg: str) -> set[Arrow]:
    """The arrows that a picture shows."""
    import xml.etree.ElementTree as ET

    root: Any = ET.fromstring(svg)
    found: Sequence[Any] = root.findall(".//*[@data-from]")
    return {(one.get("data-from"), one.get("data-to")) for one in found}
