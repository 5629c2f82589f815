"""Error messages and exit codes of the command line."""

import json
import os
import re
import sys
from collections.abc import Sequence
from typing import Final

import click

from imagerag.agent.errors import BudgetExceededError, ImageRAGError, RefusalError, UsageError
from imagerag.agent.run_record import RunRecord
from imagerag.cli.terminal.output import columns, message_lines, say
from imagerag.formatting.interface_terms import as_commands, in_field_names, option_names
from imagerag.formatting.labels import OUTCOMES, STOPPED
from imagerag.formatting.messages import near
from imagerag.formatting.text import clean_lines

_BESIDE: Final = ("concurrency", "deadline_s", "more_rounds")
"""Parameters of runs beside those of `RunConfig`."""


def exit_code(record: RunRecord) -> int:
    """The exit code for the status of a run; 0 for a run that waits for a choice, as requested."""
    return OUTCOMES[record.outcome].exit_code if record.outcome else 0


def fail(error: Exception, *, as_json: bool) -> int:
    """Print an error on stderr, with `--json` also on stdout, and return the exit code."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        say(error.format_message(), err=True)
        return 2
    message, code = _explained(error)
    if as_json:
        from imagerag.schemas.commands import ErrorDocument

        say(json.dumps(ErrorDocument(error=_name(error), message=as_commands(message)).as_json()))
    print_failure(message)
    return code


def print_failure(message: str) -> None:
    """Print a message on stderr after the program's name; in a terminal it is wrapped, with lists as lines, and
    commands on lines of their own.

    The variable COLUMNS overrides the width, as for all output.
    """
    lines = f"imagerag: {message}".splitlines()
    shown_to_people = sys.stderr.isatty() or "COLUMNS" in os.environ
    say("\n".join(wrapped(lines, columns()) if shown_to_people else map(as_commands, lines)), err=True)


def wrapped(lines: Sequence[str], width: int) -> list[str]:
    """Lines of at most `width` columns, wrapped between words; continuation lines are indented. A command is not
    split."""
    return [part for line in lines for part in _wrapped(line, width)]


def _wrapped(line: str, width: int) -> list[str]:
    text = line.lstrip()
    head = line[: len(line) - len(text)]
    return message_lines(text, width, indent=len(head) + 2, head=head)


def _explained(error: Exception) -> tuple[str, int]:
    if isinstance(error, click.Abort):
        return clean_lines(f"stopped: {error}" if str(error) else "stopped"), STOPPED
    if isinstance(error, click.ClickException):
        context = getattr(error, "ctx", None)
        hint = f" ({context.command_path} --help)" if isinstance(error, click.UsageError) and context else ""
        return clean_lines(error.format_message()).removesuffix(".") + _meant(error) + _usage(
            error
        ) + hint, error.exit_code
    if isinstance(error, ImageRAGError):
        refused, spent = OUTCOMES["refused"].exit_code, OUTCOMES["budget_exhausted"].exit_code
        codes = {UsageError: 2, RefusalError: refused, BudgetExceededError: spent}
        code = next((code for kind, code in codes.items() if isinstance(error, kind)), 1)
        return clean_lines(_in_options(str(error)) if isinstance(error, UsageError) else str(error)), code
    if isinstance(error, OSError):
        from imagerag.store.storage_errors import storage_error

        if error.filename and (storage_failure := storage_error(error, error.filename)):
            return clean_lines(str(storage_failure)), 1
        where = f": {error.filename}" if error.filename else ""
        return clean_lines(f"{error.strerror or error}{where}"), 1
    return clean_lines(f"unexpected {type(error).__name__}: {error} (imagerag --debug … shows where)"), 1


def _in_options(message: str) -> str:
    """What is wrong with values of a run, named as their options are."""
    from imagerag.agent.types import RunConfig

    return in_field_names(message, option_names([*RunConfig.model_fields, *_BESIDE]))


def _meant(error: click.ClickException) -> str:
    """The valid choice most similar to a wrong value; empty where none is similar."""
    param = getattr(error, "param", None)
    match = re.match(r"'([^']*)' is not one of", error.message)
    if param is None or not isinstance(param.type, click.Choice) or not match:
        return ""
    guess = near(match[1], map(str, param.type.choices))
    return f" Did you mean {guess!r}?" if guess else ""


def _usage(error: click.ClickException) -> str:
    """The arguments of a command, after an error about their number."""
    context = getattr(error, "ctx", None)
    is_missing = isinstance(error, click.MissingParameter) and isinstance(error.param, click.Argument)
    if context is None or not (is_missing or error.message.startswith("Got unexpected extra argument")):
        return ""
    arguments = [one for one in context.command.collect_usage_pieces(context) if one != "[OPTIONS]"]
    return f": {' '.join([context.command_path, *arguments])}" if arguments else "; it takes options only"


def _name(error: Exception) -> str:
    return "UsageError" if isinstance(error, click.UsageError) else type(error).__name__
