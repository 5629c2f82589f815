"""`imagerag ask --image` and the tools, on the built-in catalogue: a picture finds its product, and stays a picture."""

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from PIL import Image

from imagerag import ImageRAG, InputPolicy, as_tools
from imagerag.assistants.service import ChatService
from imagerag.assistants.tool_inputs import AskLibrary
from imagerag.tools.sketch.catalogue import product_scene, products
from imagerag.tools.sketch.renderer import draw

Imagerag = Callable[..., Result]
WIDGET = products()[0]


@pytest.fixture
def photo(home: Path, tmp_path: Path) -> Path:
    """Widget A as somebody else would have it: another size, saved as JPEG."""
    file = tmp_path / "photo.jpg"
    draw(product_scene(WIDGET), 300).convert("RGB").save(file, quality=70)
    return file


def test_a_picture_finds_its_product(imagerag: Imagerag, photo: Path) -> None:
    result = imagerag("ask", "What does this cost?", "--image", photo, "--by", "image", "--json")
    record = json.loads(result.stdout)
    assert (result.exit_code, record["outcome"], record["by"]) == (0, "answered", "image")
    assert f"{WIDGET.name} [1]: price {WIDGET.price}" in record["answer"]
    cited = record["citations"][0]
    assert (cited["title"], cited["similarity"]) == (WIDGET.name, None)
    assert cited["image_similarity"] >= record["image_threshold"]
    assert [image["media_type"] for image in record["images"]] == ["image/jpeg"]
    assert base64.b64encode(photo.read_bytes())[:60].decode() not in result.stdout


def test_no_byte_of_it_is_in_what_a_thread_keeps(imagerag: Imagerag, home: Path, photo: Path) -> None:
    assert imagerag("ask", "What is this?", "--image", photo, "--thread", "mine").exit_code == 0
    data = photo.read_bytes()
    kept = [file.read_bytes() for file in home.glob("*.sqlite*")]
    assert kept
    for bytes_ in kept:
        assert data[:200] not in bytes_
        assert base64.b64encode(data)[:200] not in bytes_
    blobs = [file for file in (home / "blobs").rglob("*") if file.is_file()]
    assert data in [file.read_bytes() for file in blobs]


def test_the_sheet_and_the_document_show_it(imagerag: Imagerag, photo: Path, tmp_path: Path) -> None:
    sheet, page = tmp_path / "sheet.png", tmp_path / "answer.html"
    result = imagerag("ask", "Which of ours is this?", "--image", photo, "--sheet", sheet, "--out", page)
    assert result.exit_code == 0, result.output
    with Image.open(io.BytesIO(sheet.read_bytes())) as drawn:
        assert drawn.width == 2400
    html = page.read_text(encoding="utf-8")
    assert html.count("data:image/jpeg;base64,") >= 2
    assert "your image" in html
    assert WIDGET.name in html


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--image", "nowhere.png"], "cannot read the image 'nowhere.png'"),
        (["--image", "text.txt"], "not an image"),
        (["--by", "image"], "needs an image: --image FILE"),
        (["--image", "photo.jpg", "--out", "photo.gif"], "ends in .html or .md"),
    ],
)
def test_what_is_no_picture_is_said_in_one_line(
    imagerag: Imagerag, photo: Path, tmp_path: Path, arguments: list[str], words: str
) -> None:
    (tmp_path / "text.txt").write_text("no image")
    result = imagerag("ask", "what?", *arguments)
    assert result.exit_code == 2
    assert words in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr


def test_the_last_answer_of_a_thread_is_shown_again(imagerag: Imagerag, home: Path, tmp_path: Path) -> None:
    asked = imagerag("ask", "the cheapest star", "--thread", "mine", "--json")
    again = imagerag("ask", "--thread", "mine", "--json", "--out", tmp_path / "a.md")
    first, second = json.loads(asked.stdout), json.loads(again.stdout)
    assert (again.exit_code, second["answer"], second["turn"]) == (0, first["answer"], 1)
    assert "the cheapest star" in (tmp_path / "a.md").read_text(encoding="utf-8")
    assert imagerag("ask").exit_code == 2
    assert "no thread 'other'" in imagerag("ask", "--thread", "other").stderr


async def test_a_tool_reads_what_its_policy_allows_and_answers_without_pixels(home: Path, photo: Path) -> None:
    allowed = photo.parent / "allowed"
    allowed.mkdir()
    (allowed / "photo.jpg").write_bytes(photo.read_bytes())
    service = ChatService(ImageRAG(preset="sketch", home=home), inputs=InputPolicy.of([allowed]))
    answer = await service.ask_library(AskLibrary(question="What does this cost?", images=["photo.jpg"], by="image"))
    assert not answer.is_error
    assert f"price {WIDGET.price}" in answer.text
    assert answer.data["citations"][0]["image_similarity"] > 0.9
    whole = json.dumps([answer.text, answer.data, answer.document])
    assert base64.b64encode(photo.read_bytes())[:40].decode() not in whole
    outside = await service.ask_library(AskLibrary(question="What is this?", images=[str(photo)]))
    assert outside.is_error
    assert "is not a file below" in outside.text


async def test_langchain_hands_the_picture_on(home: Path, photo: Path) -> None:
    tools = {tool.name: tool for tool in as_tools(ImageRAG(preset="sketch", home=home), inputs=InputPolicy.of(["."]))}
    text = await tools["ask_library"].ainvoke({"question": "What does this cost?", "images": photo.name})
    assert f"price {WIDGET.price}" in str(text)
    assert "base64" not in str(text)


def test_which_of_several_pictures_cannot_be_read_is_said(imagerag: Imagerag, photo: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(photo.read_bytes()[:700])
    result = imagerag("ask", "What is this?", "--image", photo, "--image", cut)
    assert result.exit_code == 2
    assert str(cut) in result.stderr
    assert "damaged or cut short" in result.stderr


def test_where_no_threshold_between_pictures_is_known_one_is_named(imagerag: Imagerag, photo: Path) -> None:
    imagerag("index", photo, "--library", "alone", "--embedder", "sketch")
    asked = ["ask", "Which of ours is this?", "--image", photo, "--library", "alone"]
    result = imagerag(*asked)
    assert result.exit_code == 3
    assert "--by image --threshold 0.9" in result.stdout + result.stderr
    assert imagerag(*asked, "--by", "image", "--threshold", "0.9").exit_code == 0


@pytest.mark.parametrize("given", [lambda file: file, str, Path.read_bytes], ids=["path", "text", "bytes"])
def test_one_picture_needs_no_list(photo: Path, given: Callable[[Path], Any]) -> None:
    record = ImageRAG(preset="sketch").ask_sync("What does this cost?", images=given(photo), by="image")
    assert [source.title for source in record.citations] == [WIDGET.name]
