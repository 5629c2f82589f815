"""Errors as a user meets them: one line, one exit code."""

import json
from collections.abc import Mapping
from typing import Final

import click

from imagerag.agent.errors import BudgetExceededError, ImageRAGError, RefusalError, UsageError
from imagerag.agent.record import RunRecord
from imagerag.agent.types import Outcome
from imagerag.cli.view import clean, say

EXIT_CODES: Final[Mapping[Outcome, int]] = {
    Outcome.ALIGNED: 0,
    Outcome.BEST_EFFORT: 3,
    Outcome.NO_USABLE_REFERENCE: 3,
    Outcome.REFUSED: 4,
    Outcome.BUDGET_EXHAUSTED: 5,
    Outcome.JUDGE_UNAVAILABLE: 1,
    Outcome.FAILED: 1,
    Outcome.CANCELLED: 130,
}
STOPPED: Final = 130


def exit_code(record: RunRecord) -> int:
    """The exit code for how a run stands. One that waits for a choice has done what it was asked to: 0."""
    return EXIT_CODES[record.outcome] if record.outcome else 0


def fail(error: Exception, *, as_json: bool) -> int:
    """Say on stderr what went wrong, on stdout too where a program listens, and give the exit code."""
    message, code = _explained(error)
    if as_json:
        say(json.dumps({"schema": "imagerag.error/1", "error": _name(error), "message": message}))
    say(f"imagerag: {message}", err=True)
    return code


def _explained(error: Exception) -> tuple[str, int]:
    if isinstance(error, click.Abort):
        return "stopped", STOPPED
    if isinstance(error, click.ClickException):
        context = getattr(error, "ctx", None)
        hint = f" ({context.command_path} --help)" if isinstance(error, click.UsageError) and context else ""
        return clean(error.format_message()) + hint, error.exit_code
    if isinstance(error, ImageRAGError):
        codes = {UsageError: 2, RefusalError: 4, BudgetExceededError: 5}
        return clean(str(error)), next((code for kind, code in codes.items() if isinstance(error, kind)), 1)
    if isinstance(error, OSError):
        return clean(str(error)), 1
    return clean(f"unexpected {type(error).__name__}: {error} (imagerag --debug … shows where)"), 1


def _name(error: Exception) -> str:
    return "UsageError" if isinstance(error, click.UsageError) else type(error).__name__
