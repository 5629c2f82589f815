"""The live view: thumbnails in whatever way a terminal shows pictures, and plain lines where it shows none."""

import base64
import fcntl
import io
import os
import pty
import re
import struct
import termios
from pathlib import Path
from typing import Any

import pytest
from click import unstyle
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops

from imagerag import ImageRAG
from imagerag.agent.types import ImageRef, Progress
from imagerag.cli.live_view import LiveView
from imagerag.cli.terminal.images import Thumbnail, Way, way_of
from imagerag.cli.terminal.text_width import width
from imagerag.graphs.runs.events import RunEvent
from imagerag.tools.testing.fakes import sample_image
from tests.cli.conftest import HELD, KNOWN, Imagerag
from tests.processes import Python

BLOCKS = re.compile(r"[▀▄]")


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    encoding = "utf-8"  # type: ignore[assignment]

    def isatty(self) -> bool:
        return True


class Latin(Terminal):
    encoding = "latin-1"  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("environment", "way"),
    [
        ({"TERM": "xterm-kitty"}, "kitty"),
        ({"TERM": "xterm-ghostty"}, "kitty"),
        ({"TERM": "xterm-256color", "KITTY_WINDOW_ID": "1"}, "kitty"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"}, "iterm"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "WezTerm", "COLORTERM": "truecolor"}, "iterm"),
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, "blocks"),
        ({"TERM": "xterm-direct"}, "blocks"),
        ({"TERM": "tmux-256color", "KITTY_WINDOW_ID": "1", "TMUX": "/tmp/x"}, "blocks256"),
        ({"TERM": "screen-256color", "TERM_PROGRAM": "iTerm.app", "COLORTERM": "24bit"}, "blocks"),
        ({"TERM": "xterm-256color"}, "blocks256"),
        ({"TERM": "xterm"}, "none"),
        ({"TERM": "dumb", "COLORTERM": "truecolor"}, "none"),
        ({"COLORTERM": "truecolor"}, "none"),
        ({"TERM": "xterm-kitty", "NO_COLOR": "1"}, "none"),
    ],
)
def test_a_terminal_is_known_by_what_it_says_of_itself(environment: dict[str, str], way: Way) -> None:
    assert way_of(Terminal(), environment) == way
    assert way_of(Latin(), environment) == "none"
    assert way_of(io.StringIO(), environment) == "none"


def png(wide: int, high: int, colour: Any = "red", mode: str = "RGB") -> bytes:
    out = io.BytesIO()
    Image.new(mode, (wide, high), colour).save(out, "PNG")
    return out.getvalue()


@given(wide=st.integers(1, 400), high=st.integers(1, 400), way=st.sampled_from(["kitty", "blocks", "blocks256"]))
@settings(max_examples=40, deadline=None)
def test_a_thumbnail_keeps_within_its_box_and_its_shape(wide: int, high: int, way: Way) -> None:
    made = Thumbnail.of(png(wide, high), way, cols=28, rows=14)
    assert 1 <= made.cols <= 28
    assert 1 <= made.rows <= 14
    assert made.cols == 28 or made.rows == 14
    if way != "kitty":
        told = unstyle(made.beside(["one", "two"])).splitlines()
        assert len(told) == max(made.rows, 2)
        assert width(told[0]) == 2 + made.cols + 2 + len("one")


def test_half_blocks_have_the_pictures_colours() -> None:
    two = Image.new("RGB", (28, 28), (10, 20, 30))
    two.paste((200, 100, 50), (0, 0, 28, 1))
    out = io.BytesIO()
    two.save(out, "PNG")
    told = Thumbnail.of(out.getvalue(), "blocks", cols=28, rows=14).beside([])
    assert told.splitlines()[0].startswith("  \x1b[38;2;200;100;50;48;2;10;20;30m▀▀")
    assert "\x1b[38;2;10;20;30;48;2;10;20;30m▀" in told.splitlines()[1]
    indexed = Thumbnail.of(out.getvalue(), "blocks256", cols=28, rows=14).beside([])
    assert indexed.startswith("  \x1b[38;5;167;48;5;16m▀▀")
    assert "38;2;" not in indexed


def test_what_cannot_be_seen_is_the_terminals_own_ground() -> None:
    told = Thumbnail.of(png(28, 28, (0, 0, 0, 0), "RGBA"), "blocks", cols=28, rows=14).beside(["text"])
    assert not BLOCKS.search(told)
    assert told.splitlines()[0].endswith("text")


def test_kitty_gets_one_png_in_chunks_and_the_text_beside() -> None:
    noise = Image.effect_noise((280, 280), 90)
    out = io.BytesIO()
    noise.save(out, "PNG")
    told = Thumbnail.of(out.getvalue(), "kitty", cols=28, rows=14).beside(["one", "", "three"])
    chunks = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", told)
    assert chunks[0][0] == "a=T,f=100,q=2,C=1,c=28,r=14,m=1"
    assert [keys for keys, _ in chunks[1:]] == ["m=1"] * (len(chunks) - 2) + ["m=0"]
    assert all(len(data) <= 4096 for _, data in chunks)
    with Image.open(io.BytesIO(base64.b64decode("".join(data for _, data in chunks)))) as sent:
        assert sent.size == (280, 280)
    assert told.startswith("\n" * 14 + "\x1b[14A\x1b[2C\x1b7")
    assert told.endswith("\x1b8\r\x1b[32Cone\n\n\x1b[32Cthree\n" + "\n" * 11)


def test_iterm_gets_one_file_and_is_told_its_cells() -> None:
    told = Thumbnail.of(png(64, 32), "iterm", cols=14, rows=7).beside(["one"])
    found = re.search(r"\x1b\]1337;File=inline=1;size=(\d+);width=14;height=4;preserveAspectRatio=0:(.*)\x07", told)
    assert found
    assert len(base64.b64decode(found[2])) == int(found[1])


def pictures(told: str) -> list[tuple[Image.Image, int, int]]:
    """What a terminal shows that takes kitty's and iTerm's protocols by the letter: pictures, and the cells of each."""
    sequence = r"\x1b_G([^;\x1b]*);([^\x1b]*)\x1b\\|\x1b\]1337;File=([^:\x07]*):([^\x07]*)\x07"
    sent = re.findall(sequence, told)
    assert len(sent) == told.count("\x1b_G") + told.count("\x1b]1337;"), "one that is not closed, or has no data"
    shown, asked, data = list[tuple[Image.Image, int, int]](), dict[str, str](), ""
    for keys, chunk, arguments, file in sent:
        if arguments:
            given = dict(pair.split("=", 1) for pair in arguments.split(";"))
            raw = base64.b64decode(file, validate=True)
            assert (given["inline"], int(given["size"])) == ("1", len(raw))
            shown.append((Image.open(io.BytesIO(raw)), int(given["width"]), int(given["height"])))
            continue
        given = dict(pair.split("=", 1) for pair in keys.split(","))
        more = given.pop("m", "0") == "1"
        assert len(chunk) <= 4096
        assert not more or len(chunk) % 4 == 0
        assert not (asked and given), "later chunks have no other keys"
        asked, data = asked or given, data + chunk
        if not more:
            assert (asked["a"], asked["f"]) == ("T", "100")
            raw = base64.b64decode(data, validate=True)
            shown.append((Image.open(io.BytesIO(raw)), int(asked["c"]), int(asked["r"])))
            asked, data = {}, ""
    assert not data, "an image whose last chunk is missing"
    return shown


@pytest.mark.parametrize("way", ["kitty", "iterm"])
@pytest.mark.parametrize(("size", "cells"), [((64, 32), (28, 7)), ((300, 900), (9, 14)), ((1, 1), (28, 14))])
def test_the_picture_that_is_sent_is_the_one_that_was_given(
    way: Way, size: tuple[int, int], cells: tuple[int, int]
) -> None:
    given = Image.effect_noise(size, 90).convert("RGB")
    out = io.BytesIO()
    given.save(out, "PNG")
    ((sent, cols, rows),) = pictures(Thumbnail.of(out.getvalue(), way, cols=28, rows=14).beside(["text"]))
    assert (cols, rows) == cells
    assert sent.format == "PNG"
    wanted = given.resize(sent.size, Image.Resampling.LANCZOS)
    assert ImageChops.difference(sent.convert("RGB"), wanted).getbbox() is None


@pytest.mark.parametrize("arguments", [["--terminal-images", "off"], []])
def test_without_a_terminal_there_are_plain_lines(imagerag: Imagerag, arguments: list[str]) -> None:
    result = imagerag("generate", KNOWN, *arguments)
    assert not BLOCKS.search(result.stderr)
    assert re.search(r"^  judge +\d of \d met$", result.stderr, re.M)
    assert "\x1b" not in result.stderr


def test_a_way_that_is_asked_for_is_taken_and_quiet_is_quiet(imagerag: Imagerag) -> None:
    asked = imagerag("generate", HELD, "--terminal-images", "blocks", "--max-rounds", "1")
    told = unstyle(asked.stderr)
    assert len(BLOCKS.findall(told)) > 400
    assert re.search(r"▀  attempt 1, drawn from the prompt alone", told)
    assert re.search(r"▀  . a red solid heart", told)
    assert re.search(r"▀  cosine 0\.\d+", told)
    assert not BLOCKS.search(asked.stdout)
    assert imagerag("generate", KNOWN, "--terminal-images", "blocks", "--quiet").stderr == ""
    assert imagerag("generate", KNOWN, "--terminal-images", "sixel").exit_code == 2


def on_terminal(code: str, argument: Path, environment: dict[str, str], columns: int = 100) -> str:
    """What a script writes to a pseudo-terminal of this width."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    unset = ("NO_COLOR", "COLORTERM", "KITTY_WINDOW_ID", "TERM_PROGRAM", "TMUX", "COLUMNS")
    kept = {name: value for name, value in os.environ.items() if name not in unset}
    terminal = {"stdin": follower, "stdout": follower, "stderr": follower}
    process = Python("-c", code, argument, **terminal, env={**kept, **environment})
    os.close(follower)
    told = bytearray()
    while True:
        try:
            data = os.read(leader, 65_536)
        except OSError:  # Linux's way to say that the other end is closed
            break
        if not data:
            break
        told += data
    os.close(leader)
    assert process.wait(timeout=60) == 0, told.decode()
    return told.decode()


SCRIPT = """
import asyncio, sys
from imagerag import ImageRAG
from imagerag.cli.run_follower import RunOutputs, follow_run
from imagerag.cli.live_view import LiveView
from imagerag.tools.testing.fakes import ScriptedGenerator, ScriptedJudge
rag = ImageRAG(preset="sketch", generator="mine", judge="mine", library="", home=sys.argv[1])
rag.dependencies.use("generator", "mine", ScriptedGenerator())
rag.dependencies.use("judge", "mine", ScriptedJudge([]))
sys.exit(follow_run(RunOutputs(rag, live=LiveView.from_options(rag, "auto")),
    rag.stream("a heart with a name that is long", seed=1)))
"""


@pytest.mark.parametrize(
    ("environment", "columns", "wanted", "unwanted"),
    [
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, 100, "38;2;", "\x1b_G"),
        ({"TERM": "xterm-256color"}, 40, "38;5;", "38;2;"),
        ({"TERM": "xterm-kitty"}, 100, "\x1b_Ga=T", "▀"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"}, 100, "\x1b]1337;File=", "▀"),
        ({"TERM": "dumb"}, 100, "judge", "▀"),
    ],
)
def test_on_a_terminal(environment: dict[str, str], columns: int, wanted: str, unwanted: str, tmp_path: Path) -> None:
    told = on_terminal(SCRIPT, tmp_path, environment, columns)
    assert wanted in told
    assert unwanted not in told
    drawn = sample_image("a heart with a name that is long//1")
    for shown_, cols, rows in pictures(told):
        assert 0 < cols < columns
        assert 0 < rows < 40
        with Image.open(io.BytesIO(drawn)) as image:
            assert shown_.convert("RGB").getpixel((9, 9)) == image.convert("RGB").getpixel((9, 9))
    assert len(pictures(told)) == ("\x1b" in wanted)
    if "▀" in told:
        shown = [line for line in unstyle(told).splitlines() if "▀" in line]
        assert max(map(width, shown)) <= columns


async def test_unfinished_pictures_are_shown_as_they_come(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rag = ImageRAG(preset="sketch", home=tmp_path)
    image = await rag.dependencies.blobs.put(png(64, 64))
    live = LiveView(rag, "blocks")
    event = RunEvent(run_id="r", sequence=1, kind="progress", progress=Progress(step=1, of=3, image=image))
    assert await live.show(event)
    assert "unfinished image 1 of 3" in unstyle(capsys.readouterr().err)


async def test_a_picture_that_is_lost_leaves_the_plain_line(tmp_path: Path) -> None:
    live = LiveView(ImageRAG(preset="sketch", library="", home=tmp_path), "blocks")
    gone = ImageRef(sha256="0" * 64, media_type="image/png", width=8, height=8)
    event = RunEvent(run_id="r", sequence=1, kind="progress", progress=Progress(step=1, image=gone))
    assert not await live.show(event)
