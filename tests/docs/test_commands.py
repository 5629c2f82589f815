"""The command reference is made from the commands."""

import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from operator import attrgetter
from pathlib import Path

import click

from imagerag import ImageRAG
from imagerag.agent.types import RunConfig, RunSpec
from imagerag.cli import COMMANDS, main
from imagerag.files.run_request import RunOptions
from imagerag.graphs.runs.continuation import ContinueOptions
from imagerag.graphs.runs.fork import ForkOptions
from tests.docs.generated import DOCS, ROOT, check_page

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
    """Of a new process: in this one a command may have been loaded while a test had replaced what its help names."""
    code = "import sys; from tests.docs.test_commands import reference; sys.stdout.buffer.write(reference().encode())"
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
    check_page("reference/commands.md", told.stdout.decode())


def test_every_command_is_in_it() -> None:
    told = reference()
    assert [name for name in COMMANDS if f"\n## imagerag {name}\n" not in told] == []
    assert "### imagerag eval run" in told
    assert max(map(len, told.splitlines())) <= 128


def options(command: click.Command) -> Iterator[str]:
    """The options of a command and of its own commands."""
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            yield from (*parameter.opts, *parameter.secondary_opts)
    if isinstance(command, click.Group):
        ctx = click.Context(command)
        for name in command.list_commands(ctx):
            inner = command.get_command(ctx, name)
            assert inner is not None
            yield from options(inner)


def inline_code(page: Path) -> list[str]:
    """The code inside of a page's sentences; its blocks are run by other tests."""
    return re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.S))


OPTIONS = {
    "generate": set(RunOptions.__annotations__),
    "runs.continue_": {field.name for field in fields(ContinueOptions)},
    "runs.replay": {field.name for field in fields(ForkOptions)} | {*RunSpec.model_fields, *RunConfig.model_fields},
}
"""What the methods that take `**options` make of them."""

PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


def test_options_that_sentences_name_are_options_of_some_command() -> None:
    known = {*options(main), "--help"}
    named = {(page.name, option) for page in PAGES for code in inline_code(page)
             for option in re.findall(r"(?<![\w-])--[a-z][a-z-]*\w", code)}  # fmt: skip
    assert {(page, option) for page, option in named if option not in known} == set()


def test_arguments_that_sentences_name_are_arguments_of_the_client() -> None:
    rag = ImageRAG(preset="sketch")
    unknown = []
    for page in PAGES:
        for code in inline_code(page):
            called = re.fullmatch(r"rag\.([\w.]+)\((.*)\)", code, re.S)
            if called is None:
                continue
            method = attrgetter(called[1])(rag)
            taken = set(inspect.signature(method).parameters)
            taken |= OPTIONS.get(called[1], set())
            unknown += [(page.name, code) for name in re.findall(r"\b(\w+)=", called[2]) if name not in taken]
    assert unknown == []
