"""The pictures of the architecture show what the code says, arrow by arrow."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.docs import pictures

FOLDER = Path(__file__).parents[2] / "docs" / "images"


@pytest.mark.parametrize("draw", [pictures.structure, pictures.graph], ids=lambda draw: draw.__name__)
def test_generated_pictures_are_what_the_code_says(draw: Callable[[], str]) -> None:
    file = FOLDER / f"{draw.__name__}.svg"
    if os.environ.get("IMAGERAG_DOCS_WRITE"):
        file.write_text(draw(), "utf-8")
        return
    assert file.read_text("utf-8") == draw(), f"{file.name} is behind the code; run: make docs"


def test_the_structure_has_an_arrow_for_every_import_and_no_other() -> None:
    shown = pictures.arrows_in((FOLDER / "structure.svg").read_text("utf-8"))
    assert shown == pictures.layer_arrows()
    assert ("imagerag", "agent") in shown
    assert ("agent", "imagerag") not in shown
    assert pictures.UNDER_ALL not in {who for who, _ in shown}


def test_the_graph_has_every_edge() -> None:
    shown = pictures.arrows_in((FOLDER / "graph.svg").read_text("utf-8"))
    assert shown == set(pictures.node_arrows())
    assert {("generate", "critique"), ("extract_concepts", "extract_concepts"), ("finish", "__end__")} <= shown
