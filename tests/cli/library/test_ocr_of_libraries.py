"""`imagerag index --ocr`: what it says, how its words are found and shown, and what happens without the extra."""

from pathlib import Path

import pytest
from PIL import Image

from imagerag.agent import extras
from imagerag.client.client import ImageRAG
from imagerag.graphs.dependencies import Dependencies
from imagerag.tools.ocr import rapidocr_reader
from imagerag.tools.testing.fakes import ScriptedOcrReader
from tests.cli.conftest import Imagerag, document

RED, BLUE = (220, 30, 30), (40, 60, 210)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, colour in (("poster", RED), ("label", BLUE)):
        Image.new("RGB", (32, 32), colour).save(folder / f"{name}.png")
    return folder


def test_words_are_read_found_and_shown(
    imagerag: Imagerag, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = ScriptedOcrReader({RED: "harbour\n\x1b[31mtickets", BLUE: RuntimeError("no memory")})
    monkeypatch.setattr(Dependencies, "ocr_reader", lambda self: reader)
    unread = imagerag("index", pictures, "--library", "mine", "--embedder", "sketch")
    assert "ocr" not in unread.stdout
    refused = imagerag("search", "red", "--library", "mine", "--filter", "ocr~tickets")
    assert refused.exit_code == 2
    assert "imagerag index PATH --ocr" in " ".join(refused.stderr.split())
    assert not reader.calls
    assert imagerag("index", pictures, "--library", "mine", "--ocr", "--dry-run").exit_code == 0
    assert not reader.calls
    result = imagerag("index", pictures, "--library", "mine", "--ocr")
    assert result.exit_code == 0
    assert "1 image read, 1 with words" in result.stdout
    assert "its words could not be read: no memory" in result.stdout
    done = document(imagerag("index", pictures, "--library", "mine", "--ocr", "--json"))
    assert (done["ocr_read"], done["ocr_words"], done["notes"][0]["reason"][-9:]) == (0, 0, "no memory")
    found = document(imagerag("search", "tickets", "--library", "mine", "--filter", "ocr~tickets", "--json"))
    assert [one["ocr"] for one in found["results"]] == ["harbour\n\x1b[31mtickets"]
    assert "harbour" in imagerag("search", "tickets", "--hybrid", "--library", "mine").stdout
    shown = imagerag("search", "red", "--library", "mine", "--html", "found.html").stdout
    assert "\x1b[31mtickets" not in shown
    assert "in the image: harbour" in (tmp_path / "found.html").read_text("utf-8")
    assert document(imagerag("library", "info", "mine", "--json"))["ocr_read"] == 1
    assert "2 images, 1 read by OCR" in imagerag("library", "info", "mine").stdout
    assert "1 image read, 1 with words" in imagerag("library", "stats", "mine").stdout
    own = ImageRAG().libraries.index_sync(pictures, library="own", embedder="sketch", ocr=ScriptedOcrReader({}))
    assert (own.ocr_read, own.ocr_words) == (2, 0)


def test_without_the_extra_nothing_is_indexed(
    imagerag: Imagerag, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rapidocr_reader._engine.cache_clear()
    monkeypatch.setattr(extras, "is_installed", lambda module: False)
    result = imagerag("index", pictures, "--library", "mine", "--embedder", "sketch", "--ocr")
    assert result.exit_code != 0
    assert "ocr" in result.stderr
    assert "mine" not in imagerag("library", "list").stdout
