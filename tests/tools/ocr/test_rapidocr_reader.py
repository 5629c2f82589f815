"""OCR: words that are written over an image are read, offline, with a confidence."""

import pytest
from PIL import Image, ImageDraw, ImageFont

from imagerag.agent import extras
from imagerag.agent.errors import MissingExtraError
from imagerag.agent.ports import OcrResult
from imagerag.tools.ocr import rapidocr_reader
from imagerag.tools.ocr.rapidocr_reader import RapidOcrReader


def written(text: str) -> Image.Image:
    image = Image.new("RGB", (320, 64), (236, 224, 200))
    ImageDraw.Draw(image).text((12, 16), text, font=ImageFont.load_default(28), fill="black")
    return image


def test_words_are_read_with_their_confidence() -> None:
    pytest.importorskip("rapidocr")
    reader = RapidOcrReader()
    seen = reader.read(written("harbour"))
    assert seen.text == "harbour"
    assert seen.confidence > 0.9
    assert reader.read(Image.new("RGB", (64, 64), "white")) == OcrResult("", 0.0)


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    rapidocr_reader._engine.cache_clear()
    monkeypatch.setattr(extras, "is_installed", lambda module: False)
    with pytest.raises(MissingExtraError, match="ocr"):
        RapidOcrReader()
