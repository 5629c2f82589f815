"""Lines that people read at 80 columns: reasons are whole, columns are aligned, nothing speaks without a name."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.conftest import Imagerag


def jpeg(exif: bytes = b"") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (64, 48), "red").save(out, "JPEG", **({"exif": exif} if exif else {}))
    return out.getvalue()


def test_the_reason_why_a_file_was_skipped_is_whole(
    imagerag: Imagerag, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "good.jpg").write_bytes(jpeg())
    (folder / "a-name-that-is-not-short-at-all-of-a-photo.jpg").write_bytes(b"%PDF-1.4\n" + bytes(64))
    told = imagerag("index", folder, "--library", "mine").stdout
    assert (
        "not an image we read (PNG, JPEG, WebP, GIF, BMP, TIFF, AVIF, JPEG 2000, PSD, HEIC, camera RAW and others)"
        in (" ".join(told.split()))
    )
    assert all(len(line) <= 80 for line in told.splitlines() if "speed" not in line and "weights" not in line)


def test_the_threshold_between_pictures_stands_in_its_column(
    imagerag: Imagerag, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    (tmp_path / "one.jpg").write_bytes(jpeg())
    imagerag("index", tmp_path / "one.jpg", "--library", "mine")
    lines = imagerag("library", "info", "mine").stdout.splitlines()[1:]
    told = " ".join(" ".join(lines).split())
    assert "images between images: not measured, it has too few of them (1), or its encoder" in told
    assert "imagerag library dedupe mine --threshold 0.97" in [line.strip() for line in lines]
    assert all(len(line) <= 80 for line in lines)
    labelled = [line for line in lines if line[2] != " "]
    assert len({len(line) - len(line[2:].lstrip("abcdefghijklmnopqrstuvwxyz").lstrip()) for line in labelled}) == 1


def test_the_lists_that_found_an_image_are_whole_below_it(
    imagerag: Imagerag, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "a-name-that-is-not-short-at-all.jpg").write_bytes(jpeg())
    said = {"caption": "waterproof black hiking boots of a daybird", "licence": "CC-BY-SA-4.0 with an exception"}
    (folder / "a-name-that-is-not-short-at-all.json").write_text(json.dumps(said))
    imagerag("index", folder, "--library", "mine", "--embedder", "sketch", "--caption-embedder", "own")
    search = ("search", "black hiking boots of a daybird", "--library", "mine", "--hybrid")
    head, result, *lists = imagerag(*search).stdout.splitlines()
    assert "CC-BY" in result
    assert "words 1 (black, hiking, boots, daybird)" in " ".join(" ".join(lists).split())
    assert "caption 1" in " ".join(" ".join(lists).split())
    assert all(len(line) <= 80 for line in (head, result, *lists))


@pytest.mark.parametrize(
    "command",
    [("remove", "mine"), ("update", "mine@v1", "--title", "x"), ("update", "mine@nope", "--title", "x"),
     ("stats", "mine@nope")],
)  # fmt: skip
def test_an_error_is_broken_at_the_width_that_is_asked_for(
    imagerag: Imagerag, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    told = imagerag("library", *command).stderr.splitlines()
    assert told[0].startswith("imagerag:")
    broken = [line for line in told if len(line) > 80 and not line.startswith("    imagerag ")]
    assert all(len(line.split()) == 1 for line in broken), "a long path has a line of its own, as a command has"


def test_broken_metadata_says_nothing_without_a_name(tmp_path: Path) -> None:
    """In a process of its own: pytest sets the filters of warnings anew."""
    cut = b"Exif\0\0II*\0\x08\0\0\0\x05\0\x12\x01\x03\0\x01\0\0\0\x06\0"
    (tmp_path / "cut.jpg").write_bytes(jpeg(cut))
    code = (
        "import sys; from imagerag.agent.images.decoding import decode; "
        "print(decode(open(sys.argv[1], 'rb').read()).exif)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "cut.jpg")], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "True"
    assert done.stderr == ""
