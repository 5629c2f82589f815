"""A folder with image files that ask for minutes: the others are indexed, those are named, and Ctrl-C ends it."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from imagerag import ImageRAG
from imagerag.tools.testing.mock_openai import tiny_png
from tests import bombs
from tests.processes import IMAGERAG, Python


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(4):
        (folder / f"good-{number}.png").write_bytes(tiny_png(f"picture {number}"))
    return folder


@pytest.fixture
def new_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IMAGERAG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("IMAGERAG_PRESET", "sketch")
    return tmp_path / "home"


async def test_the_good_ones_are_in_and_the_bad_ones_are_named(
    folder: Path, new_home: Path, impatient_decoders: None
) -> None:
    (folder / "scans.jpg").write_bytes(bombs.jpeg_of_scans(40_000))
    (folder / "chunks.png").write_bytes(bombs.png_of_empty_chunks(3_000_000))
    (folder / "comments.gif").write_bytes(bombs.gif_of_comments(30_000_000))
    report = await ImageRAG(preset="sketch", home=new_home).libraries.index(folder, library="shop", embedder="sketch")
    assert report.added == 4
    reasons = {Path(path).name: reason for path, reason in report.skipped}
    assert set(reasons) == {"scans.jpg", "chunks.png", "comments.gif"}
    assert "40,001 scans" in reasons["scans.jpg"]
    assert "far more work than an image" in reasons["chunks.png"]
    assert "far more work than an image" in reasons["comments.gif"]


def test_ctrl_c_ends_it_while_bombs_are_decoded(folder: Path, new_home: Path) -> None:
    for number in range(8):
        (folder / f"comments-{number}.gif").write_bytes(bombs.gif_of_comments(30_000_000 + 2 * number))
    with Python(*IMAGERAG, "index", str(folder), "--library", "shop", "--json", env=dict(os.environ)) as running:
        deadline = time.monotonic() + 60
        while not _decoding(running.pid):
            assert time.monotonic() < deadline, "nothing is decoded"
            time.sleep(0.05)
        running.send_signal(signal.SIGINT)
        assert running.wait(60) == 130
        assert running.stdout is not None
        assert "Traceback" not in running.stdout.read()


def _decoding(pid: int) -> list[int]:
    """The processes that a process has decode, by Linux's list of its children."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        children = task / "children"
        if children.exists():
            found += [int(child) for child in children.read_text().split()]
    return [child for child in found if b"decoding_worker" in Path(f"/proc/{child}/cmdline").read_bytes()]


def test_the_command_says_which_and_why(folder: Path, new_home: Path) -> None:
    (folder / "scans.jpg").write_bytes(bombs.jpeg_of_scans(40_000))
    with Python(*IMAGERAG, "index", str(folder), "--library", "shop", "--json", env=dict(os.environ)) as running:
        told, _ = running.communicate()
    document = json.loads(told)
    assert (document["added"], len(document["skipped"])) == (4, 1)
    assert document["skipped"][0]["path"].endswith("scans.jpg")
