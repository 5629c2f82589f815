"""The pictures of the architecture, drawn from the code: layers from the imports, the graph from the graph."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from imagerag.agent.nodes import Nodes
from imagerag.graphs.generation import build_workflow
from tests.package.test_imports import BELOW, imports, layer_of, modules

Arrow = tuple[str, str]
Place = tuple[int, int]

LAYERS: Final[Mapping[str, Place]] = {
    "imagerag": (350, 40), "evals": (350, 120), "graphs": (350, 200), "tools": (190, 290), "store": (510, 290),
    "agent": (350, 380), "formatting": (600, 40),
}  # fmt: skip
NODES: Final[Mapping[str, Place]] = {
    "__start__": (90, 40), "generate": (90, 130), "critique": (90, 230), "finish": (90, 430), "__end__": (90, 520),
    "extract_concepts": (330, 230), "write_captions": (570, 230), "retrieve": (570, 330), "shortlist": (570, 430),
    "select": (330, 430), "regenerate": (330, 330),
}  # fmt: skip
WAYS: Final[Mapping[Arrow, str]] = {
    ("imagerag", "tools"): "M275 40L180 268", ("evals", "tools"): "M275 120L195 268",
    ("imagerag", "store"): "M425 40L520 268", ("evals", "store"): "M425 120L505 268",
    ("imagerag", "graphs"): "M425 48C460 80 460 160 427 196", ("evals", "agent"): "M425 128C720 128 720 380 427 380",
    ("imagerag", "agent"): "M275 32C-60 32 -60 380 273 380",
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


UNDER_ALL: Final = "formatting"
"""It imports nothing and everybody may import it: six arrows to it would say nothing and hide the others."""


def layer_arrows() -> set[Arrow]:
    """(who, whom) of every import between layers that there really is, those of `UNDER_ALL` left out."""
    found = {
        (folder, layer)
        for folder in BELOW
        for path in modules(folder)
        for _, module in imports(path)
        if (layer := layer_of(module)) is not None
    }
    return {(who, whom) for who, whom in found if who != whom and whom != UNDER_ALL}


def node_arrows() -> dict[Arrow, bool]:
    """(from, to) of the generation graph, and whether a decision leads there."""
    drawn = build_workflow(Nodes.unbound()).compile().get_graph()
    return {
        (edge.source, edge.target): edge.conditional
        for edge in drawn.edges
        if "error_handler" not in edge.source + edge.target
    }


def structure() -> str:
    """The layers, and an arrow for every pair of which one imports the other."""
    return _svg(700, 420, LAYERS, dict.fromkeys(sorted(layer_arrows()), False), "The layers and their imports")


def graph() -> str:
    """The generation graph."""
    return _svg(700, 550, NODES, dict(sorted(node_arrows().items())), "The generation graph")


def _svg(wide: int, high: int, places: Mapping[str, Place], arrows: Mapping[Arrow, bool], title: str) -> str:
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" role="img" {_FONT}>',
        f"<title>{title}</title>",
        f"<defs>{_HEAD}</defs>",
        '<g fill="none" stroke="#7d8b8a" stroke-width="1.4" marker-end="url(#head)">',
        *(_arrow(places, arrow, dashed=dashed) for arrow, dashed in arrows.items()),
        "</g>",
        *(_box(name, place) for name, place in places.items()),
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
