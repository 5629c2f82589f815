"""Confirmation of irreversible actions."""

import sys
from collections.abc import Iterable

import click

from imagerag.agent.errors import UsageError
from imagerag.cli.terminal.output import say_all

yes_option = click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")


def require_terminal(command: str, *, as_json: bool) -> None:
    """Raise an error where no user can confirm.

    Args:
        command: the command to type instead.

    Raises:
        UsageError: the output is for a program, or the input is no terminal.
    """
    if as_json or not sys.stdin.isatty():
        raise UsageError(f"this is for good, and there is nobody to ask; say so: {command}")


def confirm_removal(lines: Iterable[str], what: str, command: str, *, as_json: bool) -> None:
    """Show what would be deleted, and ask for confirmation.

    Args:
        what: how much that is; empty for nothing, of which nobody is asked.

    Raises:
        UsageError: as `require_terminal`.
        click.Abort: the answer is no.
    """
    require_terminal(command, as_json=as_json)
    say_all(lines, err=True)
    if what:
        click.confirm(f"remove {what} for good?", abort=True, err=True)


def confirm(question: str, command: str, *, yes: bool, as_json: bool) -> None:
    """Ask for confirmation, unless `yes` is set.

    Raises:
        UsageError: as `require_terminal`.
        click.Abort: the answer is no.
    """
    if not yes:
        require_terminal(command, as_json=as_json)
        click.confirm(question, abort=True, err=True)
