"""Every help page and every message at 80 columns: nothing is cut off, nothing is flattened, every error helps."""

import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from imagerag.cli import main
from imagerag.cli.exit_codes import wrapped
from imagerag.formatting.text import clean_lines


def walk(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from walk(found, (*path, name))


PAGES = list(walk(main))


@pytest.mark.parametrize("path", PAGES, ids=" ".join)
def test_a_help_page_fits_and_is_whole(path: tuple[str, ...]) -> None:
    shown = CliRunner(env={"COLUMNS": "80"}).invoke(main, [*path, "--help"])
    assert shown.exit_code == 0
    lines = shown.output.splitlines()
    assert [line for line in lines if len(line) > 80] == []
    assert [line for line in lines if line.rstrip().endswith("...") and not line.startswith("Usage:")] == []


@pytest.mark.parametrize("path", [(), ("eval",), ("library",), ("library", "snapshot"), ("prices",)], ids=" ".join)
def test_a_group_without_a_command_shows_its_help_page(path: tuple[str, ...]) -> None:
    shown = CliRunner(env={"COLUMNS": "80"}).invoke(main, path)
    page = CliRunner(env={"COLUMNS": "80"}).invoke(main, [*path, "--help"])
    assert shown.output == page.output


@pytest.mark.parametrize("path", PAGES, ids=" ".join)
def test_every_option_says_what_it_is_for(path: tuple[str, ...]) -> None:
    command: Any = main
    for name in path:
        command = command.get_command(click.Context(command), name)
    assert command.help
    assert [p.name for p in command.params if isinstance(p, click.Option) and not p.help] == []


def said(imagerag: Any, *arguments: object, code: int = 2) -> str:
    """What an error said, whole; it is the one thing on stderr."""
    done = imagerag(*arguments)
    assert done.exit_code == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr[done.stderr.index("imagerag: ") :]


def test_a_list_of_suites_is_a_list_and_not_one_line(imagerag: Any) -> None:
    told = said(imagerag, "eval", "run", "sketsh", "--out", "out")
    assert "no suite 'sketsh'; did you mean 'sketch'?" in told
    lines = told.splitlines()
    assert len(lines) == 5
    assert all(line.startswith("  ") for line in lines[1:])


def test_a_file_that_is_not_there_is_no_unknown_suite(imagerag: Any) -> None:
    told = said(imagerag, "eval", "run", "prompts.csv", "--out", "out")
    assert told.startswith("imagerag: there is no file or folder 'prompts.csv'")
    assert "no suite" not in told
    assert "no.txt" in said(imagerag, "eval", "run", "prompts:no.txt", "--out", "out")


def test_a_metric_and_an_arm_that_there_are_not(imagerag: Any) -> None:
    told = said(imagerag, "eval", "run", "sketch:6", "--out", "a", "--metrics", "txt:independent")
    assert "no metric 'txt:independent'; did you mean 'text'?" in told
    assert "no arm 'ful'; did you mean 'full'?" in said(
        imagerag, "eval", "run", "sketch:6", "--out", "b", "--arms", "ful"
    )


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ('librarry = "mine"', "imagerag.toml: no setting 'librarry'; did you mean 'library'?"),
        ("library = 3", "imagerag.toml: library: it has to be text, not 3"),
        ('preset = "sketsh"', "imagerag.toml: no preset 'sketsh'; did you mean 'sketch'?"),
    ],
)
def test_a_setting_that_cannot_be_is_told_with_its_file(imagerag: Any, written: str, told: str) -> None:
    Path("imagerag.toml").write_text(written, encoding="utf-8")
    assert told in said(imagerag, "generate", "x")


def test_near_names_of_commands_options_values_libraries_and_runs(imagerag: Any) -> None:
    assert "no command 'genrate'; did you mean 'generate'?" in said(imagerag, "genrate", "x")
    assert "--librray" in said(imagerag, "generate", "x", "--librray", "y")
    assert "Did you mean 'fused'?" in said(imagerag, "generate", "x", "--judge-mode", "fussed")
    assert "no library 'skech'" in said(imagerag, "search", "x", "--library", "skech")
    assert "did you mean 'sketch'?" in said(imagerag, "search", "x", "--library", "skech")
    assert "no generator 'skech'; did you mean 'sketch'?" in said(imagerag, "generate", "x", "--generator", "skech:a")


def test_a_message_on_a_terminal_is_broken_between_words(home: Path) -> None:
    """On a terminal of 80 columns; a command, a path or an id is never broken."""
    controller, terminal = pty.openpty()
    environment = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "imagerag", "eval", "run", "sketsh", "--out", "out"]
    done = subprocess.run(command, stderr=terminal, stdout=subprocess.PIPE, env=environment, check=False)
    os.close(terminal)
    shown = os.read(controller, 65_536).decode()
    os.close(controller)
    assert done.returncode == 2
    lines = shown.splitlines()
    assert lines[0].startswith("imagerag: no suite")
    assert [line for line in lines if len(line) > 80] == []


def test_lines_are_kept_and_long_ones_wrapped() -> None:
    assert clean_lines("a\n  b\x1b[2Jc\n") == "a\n  b [2Jc"
    long = "  " + "word " * 40 + "/a/path/that/stays/whole"
    assert all(len(line) <= 80 for line in wrapped([long], 80))
    assert wrapped([long], 80)[1].startswith("    word")


def test_no_message_has_a_known_fault() -> None:
    """Words that were wrong once: a list without its grammar, and pydantic's own."""
    root = Path(__file__).parents[2]
    wrong = re.compile(r"\['msg'\]|settings that cannot be|there is: \{")
    found = [
        f"{path.relative_to(root)}:{number}"
        for path in (root / "imagerag").rglob("*.py")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if wrong.search(line)
    ]
    assert found == []
