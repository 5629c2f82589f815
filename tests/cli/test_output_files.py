"""A file that is to be written is checked before anything is drawn, and nothing is written over unasked."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from imagerag import ImageRAG
from imagerag.agent.errors import UsageError
from imagerag.agent.images.decoding import decode
from imagerag.tools.testing.mock_openai import MockOpenAIServer, MockResponse, tiny_png
from tests.cli.conftest import KNOWN, Imagerag, document, one_line


@pytest.fixture
def server() -> Iterator[MockOpenAIServer]:
    with MockOpenAIServer() as loopback:
        yield loopback


def encoded(form: str, **options: Any) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (64, 64), (200, 30, 40)).save(out, form, **options)
    return out.getvalue()


def drawn(server: MockOpenAIServer, answer: bytes, *more: str) -> list[str]:
    """A command that draws over HTTP and gets this answer."""
    server.enqueue("images.generate", MockResponse(images=(answer,)))
    return ["generate", KNOWN, "--generator", f"openai:gpt-image-2@{server.base_url}", "--max-rounds", "0", *more]


@pytest.mark.parametrize("option", ["--out", "--sheet"])
def test_a_file_that_is_there_is_not_written_over_unasked(imagerag: Imagerag, tmp_path: Path, option: str) -> None:
    (tmp_path / "moon.png").write_bytes(b"mine")
    told = one_line(result := imagerag("generate", KNOWN, option, "moon.png"))
    assert (result.exit_code, "moon.png is there already" in told, "--overwrite" in told) == (2, True, True)
    assert (tmp_path / "moon.png").read_bytes() == b"mine"
    for order in (["--overwrite", option, "moon.png"], [option, "moon.png", "--overwrite"]):
        assert imagerag("generate", KNOWN, *order).exit_code in (0, 3)
        assert decode((tmp_path / "moon.png").read_bytes()).width > 0


def test_a_folder_that_is_not_there_is_no_file(imagerag: Imagerag, tmp_path: Path) -> None:
    result = imagerag("generate", KNOWN, "--out", "pictures/")
    assert (result.exit_code, "there is no such folder" in one_line(result)) == (2, True)
    assert not (tmp_path / "pictures.png").exists()


def test_a_foreign_file_where_the_sidecar_goes_is_not_written_over(imagerag: Imagerag, tmp_path: Path) -> None:
    (tmp_path / "moon.png.json").write_text('{"mine": 1}')
    for name in ("moon.png", "moon"):
        result = imagerag("generate", KNOWN, "--out", name)
        assert (result.exit_code, "moon.png.json is there already" in one_line(result)) == (2, True)
    assert json.loads((tmp_path / "moon.png.json").read_text()) == {"mine": 1}


def test_what_is_read_is_never_what_is_written(imagerag: Imagerag, tmp_path: Path) -> None:
    (tmp_path / "dog.png").write_bytes(tiny_png("dog"))
    for subject in ("dog.png", "dog=./dog.png", "=dog.png"):
        result = imagerag("generate", KNOWN, "--subject", subject, "--out", "dog.png", "--overwrite")
        assert (result.exit_code, "is what is read" in one_line(result)) == (2, True)
    result = imagerag("generate", KNOWN, "--out", "one.png", "--sheet", "./one.png")
    assert "written twice" in one_line(result)
    assert (tmp_path / "dog.png").read_bytes() == tiny_png("dog")


@pytest.mark.parametrize(
    "name", ["moon.xyz", "moon.png/inside.png", "x" * 300 + ".png", "/proc/moon.png", "/dev/null/a.png"]
)
def test_what_cannot_be_written_is_refused_before(
    imagerag: Imagerag, tmp_path: Path, server: MockOpenAIServer, name: str
) -> None:
    (tmp_path / "moon.png").write_bytes(b"mine")
    result = imagerag(*drawn(server, tiny_png("moon"), "--out", name))
    assert (result.exit_code, server.count()) == (2, 0)
    assert one_line(result)


@pytest.mark.parametrize("form", ["WEBP", "JPEG", "MPO", "AVIF", "BMP", "TIFF", "GIF", "PNG"])
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_an_answer_in_any_format_becomes_what_the_file_is_named(
    imagerag: Imagerag, tmp_path: Path, server: MockOpenAIServer, form: str, suffix: str
) -> None:
    more: dict[str, Any] = {"save_all": True, "append_images": [Image.new("RGB", (64, 64))]} if form == "MPO" else {}
    answer = encoded(form, **more)
    record = document(imagerag(*drawn(server, answer, "--out", f"moon{suffix}", "--json")))
    assert record["run_id"]
    file = decode((tmp_path / f"moon{suffix}").read_bytes())
    assert file.media_type == {".png": "image/png", ".jpg": "image/jpeg"}[suffix]
    pixel = file.image.getpixel((5, 5))
    assert max(abs(a - b) for a, b in zip(pixel, (200, 30, 40), strict=True)) < 12
    original = record["attempts"][0]["original"]
    assert (original is not None) == (form in ("AVIF", "BMP", "TIFF"))
    if original:
        assert original["media_type"] == f"image/{form.lower()}"


def test_an_answer_with_a_broken_exif_chunk_is_a_picture(
    imagerag: Imagerag, tmp_path: Path, server: MockOpenAIServer
) -> None:
    plain = encoded("JPEG")
    answer = plain[:2] + b"\xff\xe1\x00\x0cExif\0\0junk" + plain[2:]
    record = document(imagerag(*drawn(server, answer, "--out", "moon.png", "--json")))
    assert decode((tmp_path / "moon.png").read_bytes()).media_type == "image/png"
    assert record["attempts"][0]["image"]["width"] == 64


def test_a_file_that_can_no_longer_be_written_loses_no_run(
    imagerag: Imagerag, tmp_path: Path, server: MockOpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from imagerag.agent.errors import UsageError

    async def full(*_: Any) -> None:
        raise UsageError("cannot write moon.png: No space left on device")

    monkeypatch.setattr("imagerag.files.export.write_file", full)
    result = imagerag(*drawn(server, tiny_png("moon"), "--out", "moon.png", "--json"))
    record = document(result)
    assert (result.exit_code != 2, bool(record["run_id"]), "No space left" in result.stderr) == (True, True, True)
    assert Path(record["image"]["path"]).is_file()


def test_a_report_is_written_anew_over_itself_and_over_nothing_else(imagerag: Imagerag, tmp_path: Path) -> None:
    assert imagerag("generate", KNOWN).exit_code in (0, 3)
    (tmp_path / "mine.html").write_text("<p>mine</p>")
    assert imagerag("report", "last", "--out", "mine.html").exit_code == 2
    assert (tmp_path / "mine.html").read_text() == "<p>mine</p>"
    for _ in range(2):
        assert imagerag("report", "last", "--out", "page.html").exit_code == 0


def test_a_demo_writes_over_an_earlier_demo_and_over_nothing_else(imagerag: Imagerag, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "final.png").write_bytes(b"mine")
    told = one_line(result := imagerag("demo", "--out", out))
    assert (result.exit_code, "final.png is there already" in told, "--overwrite" in told) == (2, True, True)
    assert [file.name for file in out.iterdir()] == ["final.png"]
    assert imagerag("demo", "--out", out, "--overwrite").exit_code == 0
    assert (out / "final.png").read_bytes() != b"mine"
    assert imagerag("demo", "--out", out).exit_code == 0


@pytest.mark.parametrize("name", ["heart.png", "heart.png.json"])
async def test_saving_from_python_writes_over_what_was_saved_there_and_over_nothing_else(
    home: Path, tmp_path: Path, name: str
) -> None:
    rag = ImageRAG(preset="sketch", home=home)
    record = await rag.generate(KNOWN, max_rounds=0)
    (tmp_path / name).write_bytes(b'{"mine": true}')
    with pytest.raises(UsageError, match=rf"{name} is there already, and not ours: .*overwrite=True"):
        await rag.runs.save(record, tmp_path / "heart.png")
    assert (tmp_path / name).read_bytes() == b'{"mine": true}'
    await rag.runs.save(record, tmp_path / "heart.png", overwrite=True)
    await rag.runs.save(record, tmp_path / "heart.png")
    assert (tmp_path / "heart.png").read_bytes().startswith(b"\x89PNG")
