"""Confirmation of irreversible actions."""

import sys

import click

from imagerag.agent.errors import UsageError

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


def confirm(question: str, command: str, *, yes: bool, as_json: bool) -> None:
    """Ask for confirmation, unless `yes` is set.

    Raises:
        UsageError: as `require_terminal`.
        click.Abort: the answer is no.
    """
    if not yes:
        require_terminal(command, as_json=as_json)
        click.confirm(question, abort=True, err=True)
