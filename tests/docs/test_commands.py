"""The command reference is made from the commands, and the page on configuration names all that can be set."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from imagerag.cli import COMMANDS, main
from imagerag.graphs.settings import Settings

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "commands.md"
CONFIGURATION = ROOT / "docs" / "reference" / "configuration.md"
HEAD = """# Commands

Every command with its options, as `imagerag COMMAND --help` tells them. What can also be set in a file or a variable
is in [configuration](configuration.md); what is printed with `--json` is in [JSON documents](json-documents.md).

"""


def pages(command: click.Command, ctx: click.Context) -> Iterator[str]:
    """A command's help, then that of its own commands."""
    with ctx.scope():
        told = click.formatting.HelpFormatter(width=80, max_width=80)
        command.format_help(ctx, told)
        level = "#" * max(2, len(ctx.command_path.split()))
        yield f"{level} {ctx.command_path}\n\n```text\n{told.getvalue().rstrip()}\n```\n"
        if isinstance(command, click.Group):
            for name in command.list_commands(ctx):
                inner = command.get_command(ctx, name)
                assert inner is not None
                if not inner.hidden:
                    yield from pages(inner, click.Context(inner, info_name=name, parent=ctx))


def reference() -> str:
    """The whole page."""
    return HEAD + "\n".join(pages(main, click.Context(main, info_name="imagerag", **main.context_settings)))


def test_generated_reference_of_commands_is_what_the_commands_say() -> None:
    if os.environ.get("IMAGERAG_DOCS_WRITE"):
        PAGE.write_text(reference(), "utf-8")
        return
    assert PAGE.read_text("utf-8") == reference(), "the reference of commands is behind the code; run: make docs"


def test_every_command_is_in_it() -> None:
    told = reference()
    assert [name for name in COMMANDS if f"\n## imagerag {name}\n" not in told] == []
    assert "### imagerag eval run" in told
    assert max(map(len, told.splitlines())) <= 128


def variables() -> set[str]:
    """The variables of ours that the code names, and those that settings are read from."""
    named = {
        found
        for file in (ROOT / "imagerag").rglob("*.py")
        for found in re.findall(r"\bIMAGERAG_[A-Z_]+[A-Z]\b", file.read_text("utf-8"))
    }
    return named | {f"IMAGERAG_{name.upper()}" for name in fields()}


def fields() -> list[str]:
    return [name for name in Settings.model_fields if name not in ("source", "origins")]


@pytest.mark.parametrize("name", sorted(variables()))
def test_every_variable_is_told(name: str) -> None:
    assert f"`{name}`" in CONFIGURATION.read_text("utf-8")


@pytest.mark.parametrize("name", fields())
def test_every_setting_is_told(name: str) -> None:
    assert f"`{name}`" in CONFIGURATION.read_text("utf-8")


def test_no_variable_is_told_that_there_is_not() -> None:
    told = set(re.findall(r"`(IMAGERAG_[A-Z_]+)`", CONFIGURATION.read_text("utf-8")))
    assert told <= variables()
