"""The command line, run in this process, against a home that holds the built-in library."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from imagerag.cli import main
from tests.conftest import copied

KNOWN = "a blue striped square on a mint background"
"""What the painter draws at once."""

HELD = "a red solid heart and a blue split crescent on a mint background"
"""What it cannot draw without the library."""

ABSENT = "a black solid hexagon"
"""What neither the painter nor the library knows."""

Imagerag = Callable[..., Result]


@pytest.fixture
def home(sketch_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own with the built-in library in it, and no settings from outside."""
    for name in ("PRESET", "GENERATOR", "JUDGE", "EMBEDDER", "LIBRARY", "DEBUG"):
        monkeypatch.delenv(f"IMAGERAG_{name}", raising=False)
    home = tmp_path / "home"
    copied(sketch_home, home)
    monkeypatch.setenv("IMAGERAG_HOME", str(home))
    monkeypatch.chdir(tmp_path)
    return home


@pytest.fixture
def imagerag(home: Path) -> Imagerag:
    """Runs a command line; nothing of what it prints is a terminal's."""

    def run(*arguments: object, stdin: str | bytes | None = None) -> Result:
        return CliRunner().invoke(main, [str(argument) for argument in arguments], input=stdin)

    return run


def document(result: Result) -> dict[str, Any]:
    """The one JSON document on stdout."""
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def one_line(result: Result) -> str:
    """What an error said: a single line on stderr, after the progress."""
    said = [line for line in result.stderr.splitlines() if line.startswith("imagerag: ")]
    assert len(said) == 1, result.stderr
    assert "Traceback" not in result.stderr
    return said[0]
