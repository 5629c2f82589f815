"""The command reference is made from the commands."""

from collections.abc import Iterator

import click

from imagerag.cli import COMMANDS, main
from tests.docs.generated import check_page

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
    check_page("reference/commands.md", reference())


def test_every_command_is_in_it() -> None:
    told = reference()
    assert [name for name in COMMANDS if f"\n## imagerag {name}\n" not in told] == []
    assert "### imagerag eval run" in told
    assert max(map(len, told.splitlines())) <= 128
