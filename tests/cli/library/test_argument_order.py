"""Names and files in another order than a command takes them: the error shows the command that was meant."""

from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import Result

from imagerag.cli.library.library_command import LibraryCommand
from imagerag.tools.testing.fakes import sample_image
from tests.command_lines import COMMANDS

Imagerag = Callable[..., Result]


@pytest.fixture
def folder(home: Path, tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(sample_image("a"))
    return tmp_path / "photos"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("library add photos/a.png sketch", "first: imagerag library add sketch photos/a.png"),
        ("library add photos/a.png photos/b.png", "first: imagerag library add NAME photos/a.png photos/b.png"),
        ("library remove photos sketch --yes", "first: imagerag library remove sketch photos"),
        ("library update photos/a.png sketch --title x", "first: imagerag library update sketch photos/a.png"),
        ("library export out sketch", "first: imagerag library export sketch out"),
        ("library rename shop sketch", "first: imagerag library rename sketch shop"),
        ("library snapshot create v1 sketch", "first: imagerag library snapshot create sketch v1"),
        ("library verify photos/a.png", "first: imagerag library verify NAME photos/a.png"),
        ("library add photos/a.png", "Missing argument 'FILE...': imagerag library add NAME FILE..."),
        ("library info sketch more", "Got unexpected extra argument (more): imagerag library info NAME"),
        ("index sketch photos", "--library NAME; did you mean imagerag index photos --library sketch?"),
        ("runs save out last", "--out: imagerag runs save last --out out"),
        ("runs prune 30d", "Got unexpected extra argument (30d); it takes options only"),
    ],
)
def test_the_command_that_was_meant_is_shown(imagerag: Imagerag, folder: Path, typed: str, meant: str) -> None:
    result = imagerag(*typed.split())
    assert result.exit_code == 2
    assert meant in result.stderr


def test_a_folder_to_add_is_one_to_index(imagerag: Imagerag, folder: Path) -> None:
    assert imagerag("index", "photos", "--library", "shop", "--embedder", "sketch").exit_code == 0
    refused = imagerag("library", "add", "shop", "photos").stderr
    assert refused == "imagerag: photos is a folder, whose images are added by imagerag index photos --library shop\n"
    assert imagerag("library", "add", "shop", "nosuch.png").stderr == "imagerag: there is no file nosuch.png\n"


def test_every_command_that_begins_with_a_library_checks_the_order() -> None:
    def begins_with_library(command: click.Command) -> bool:
        arguments = [one for one in command.params if isinstance(one, click.Argument)]
        return bool(arguments) and arguments[0].name == "name"

    taking = {name: command for name, command in COMMANDS.items() if begins_with_library(command)}
    assert len(taking) > 15
    assert [name for name, command in taking.items() if not isinstance(command, LibraryCommand)] == []
