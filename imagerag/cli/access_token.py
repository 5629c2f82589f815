"""The access token of a server, from an option, a file or the environment."""

import os
import stat
from pathlib import Path

import click

from imagerag.agent.environment import environment_value
from imagerag.agent.errors import UsageError
from imagerag.cli.terminal.output import say

token_option = click.option("--token", metavar="T", help="The token itself. The process list shows it: prefer a file.")


def access_token(token: str | None, file: str | None, variable: str) -> str | None:
    """The access token, from an option, a file or the environment; warns where others can read it.

    Raises:
        UsageError: it was given twice, or the file cannot be read or is empty.
    """
    if token and file:
        raise UsageError("--token and --token-file: give one of them")
    if token:
        say(f"imagerag: --token shows in the process list: use --token-file FILE, or {variable}", err=True)
        return token
    if not file:
        return environment_value(variable)
    path = Path(file).expanduser()
    try:
        with path.open(encoding="utf-8") as opened:
            token, mode = opened.read(4096).strip(), os.fstat(opened.fileno()).st_mode
    except (OSError, ValueError) as error:
        raise UsageError(f"--token-file {file} cannot be read: {getattr(error, 'strerror', error)}") from error
    if not token:
        raise UsageError(f"--token-file {file} is empty: write the token into it")
    if os.name == "posix" and mode & (stat.S_IRGRP | stat.S_IROTH):
        say(f"imagerag: others can read {file}: chmod 600 {file}", err=True)
    return token
