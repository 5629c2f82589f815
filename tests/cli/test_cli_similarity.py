"""`similarity`: what an encoder sees in a picture, beside the threshold that a run would hold it to."""

from pathlib import Path

import pytest

from imagerag import ImageRAG
from imagerag.tools.sketch.catalogue import product_scene, products
from imagerag.tools.sketch.renderer import draw
from tests.cli.conftest import Imagerag, document, one_line


@pytest.fixture
def widget(tmp_path: Path) -> Path:
    """The catalogue's first picture, a red solid circle."""
    draw(product_scene(products()[0]), 128).save(tmp_path / "widget.png")
    return tmp_path / "widget.png"


def test_it_is_the_cosine_that_a_search_shows(imagerag: Imagerag, widget: Path) -> None:
    found = document(imagerag("similarity", widget, "a red solid circle", "a black solid hexagon", "--json"))
    searched = document(imagerag("search", "a red solid circle", "-k", "1", "--json"))
    first, second = found["results"]
    assert first["similarity"] == pytest.approx(searched["results"][0]["similarity"], abs=1e-3)
    assert (found["threshold"], found["embedder"]) == (searched["threshold"], "sketch")
    assert first["accepted"]
    assert not second["accepted"]


def test_another_encoder_has_no_threshold(imagerag: Imagerag, widget: Path) -> None:
    found = document(imagerag("similarity", widget, "a red solid circle", "--embedder", "sketch", "--json"))
    assert (found["threshold"], found["results"][0]["accepted"]) == (None, None)
    told = imagerag("similarity", widget, "a red solid circle", "--embedder", "sketch").stdout
    assert told.splitlines()[0] == "sketch · no threshold"
    assert told.splitlines()[1].endswith("a red solid circle")


def test_what_cannot_be_compared_is_said(imagerag: Imagerag, widget: Path, tmp_path: Path) -> None:
    (tmp_path / "no.png").write_bytes(b"no image")
    assert imagerag("similarity", widget).exit_code == 2
    assert "say what the image is compared with" in one_line(imagerag("similarity", widget, " "))
    assert "no.png" in one_line(imagerag("similarity", tmp_path / "no.png", "a red circle"))
    assert "tokens" in one_line(imagerag("similarity", widget, "circle " * 500))
    assert "no library 'nowhere'" in one_line(imagerag("similarity", widget, "x", "--library", "nowhere"))


async def test_in_python(home: Path, widget: Path) -> None:
    rag = ImageRAG(home=home)
    by_file = await rag.libraries.similarity(widget, "a red solid circle")
    assert by_file == pytest.approx(await rag.libraries.similarity(widget.read_bytes(), "a red solid circle"))
    assert -1 <= await rag.libraries.similarity(widget, "a black solid hexagon") < by_file <= 1
