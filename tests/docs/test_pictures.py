"""The pictures of the architecture show what the code says, arrow by arrow."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.docs import pictures
from tests.package import layers

FOLDER = Path(__file__).parents[2] / "docs" / "images"


@pytest.mark.parametrize("draw", [pictures.structure, pictures.graph], ids=lambda draw: draw.__name__)
def test_generated_pictures_are_what_the_code_says(draw: Callable[[], str]) -> None:
    file = FOLDER / f"{draw.__name__}.svg"
    if os.environ.get("IMAGERAG_DOCS_WRITE"):
        file.write_text(draw(), "utf-8")
        return
    assert file.read_text("utf-8") == draw(), f"{file.name} is behind the code; run: make docs"


def test_the_structure_has_an_arrow_for_every_import_and_no_other() -> None:
    """An arrow that is left out is said by a longer way: what can be reached is what the imports reach, no more."""
    shown = pictures.arrows_in((FOLDER / "structure.svg").read_text("utf-8"))
    assert shown == pictures.structure_arrows()
    assert shown <= layers.arrows()
    assert closure(shown) == closure(layers.arrows())
    assert ("tools", "agent") in shown
    assert ("agent", "tools") not in closure(shown)
    assert layers.UNDER_ALL not in {who for who, _ in shown}


def closure(arrows: set[pictures.Arrow]) -> set[pictures.Arrow]:
    """Every pair of which one can be reached from the other."""
    while further := {(a, d) for a, b in arrows for c, d in arrows if b == c} - arrows:
        arrows = arrows | further
    return arrows


def test_every_package_stands_where_its_layer_is() -> None:
    boxes = pictures.package_boxes()
    assert set(boxes) == layers.packages()
    assert all(box.x - box.wide // 2 >= 0 and box.x + box.wide // 2 <= 700 for box in boxes.values())
    for who, whom in pictures.structure_arrows():
        assert boxes[who].top < boxes[whom].top or (who, whom) in {("cli", "mcp"), ("cli", "ui")}


def test_no_straight_arrow_crosses_a_package() -> None:
    boxes = pictures.package_boxes()
    straight = [
        (boxes[who], boxes[whom])
        for who, whom in pictures.structure_arrows()
        if boxes[who].top != boxes[whom].top and (who, whom) not in pictures.SIDEWAYS
    ]
    crossed = [
        (start.name, end.name, box.name)
        for start, end in straight
        for box in boxes.values()
        if box not in (start, end) and pictures.crosses(start, end, box)
    ]
    assert crossed == []


PAGE = FOLDER.parent / "reference" / "architecture.md"


def test_generated_tree_of_packages_is_what_the_packages_say() -> None:
    now = PAGE.read_text("utf-8")
    new = re.sub(
        r"(<!-- packages:begin -->\n).*?(<!-- packages:end -->)",
        lambda at: at[1] + pictures.tree() + at[2],
        now,
        flags=re.S,
    )
    if os.environ.get("IMAGERAG_DOCS_WRITE"):
        PAGE.write_text(new, "utf-8")
        return
    assert now == new, "the tree of packages is behind the code; run: make docs"
    assert pictures.tree() in now


@pytest.mark.parametrize(
    ("what", "package"),
    [
        ("a generator", "tools/generators"),
        ("a judge", "tools/judges"),
        ("a metric", "evals/metrics"),
        ("a node", "agent"),
        ("a section to the run report", "reports/html"),
        ("a command", "cli"),
        ("a tool", "mcp"),
        ("a page", "ui"),
        ("a language", "formatting/texts"),
        ("a value's words", "formatting"),
    ],
)
def test_the_tree_says_where_to_add_what(what: str, package: str) -> None:
    folder = layers.ROOT / layers.PACKAGE / package
    said = layers.purpose(folder)[1]
    assert f"To add {what}," in said
    for file in re.findall(r"`([\w/]+\.py)`", said):
        places = (folder / file, layers.ROOT / layers.PACKAGE / file)
        assert any(place.exists() for place in places), file


def test_the_graph_has_every_edge() -> None:
    shown = pictures.arrows_in((FOLDER / "graph.svg").read_text("utf-8"))
    assert shown == set(pictures.node_arrows())
    assert {("generate", "critique"), ("extract_concepts", "extract_concepts"), ("finish", "__end__")} <= shown
