"""The command line: `imagerag`.

To add a command, write `NAME_command` in a module here and its row in `COMMANDS`. To add an option of `index`, write it
in `index.py`, `client/libraries.py` and `store/library/indexing/ingest.py`.

A command's module is imported when the command is asked for, so that `imagerag --help` stays instant. Commands return
their exit code; errors become one line on stderr (see `exit_codes.py`).
"""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

import click

from imagerag import __version__
from imagerag.agent.environment import environment_value
from imagerag.cli.command_group import FullHelpGroup

COMMANDS: Final[Mapping[str, tuple[str, str]]] = {
    "demo": ("demo", "Run the whole method offline, in a toy world with real parts."),
    "generate": ("generate", "Generate an image, judge it, retrieve references, and generate again."),
    "batch": ("batch", "Run many prompts concurrently; nothing is done or paid twice."),
    "index": ("index", "Index image files into a library."),
    "search": ("search", "Search a library with words or an image."),
    "ask": ("ask", "Answer a question from a library, with citations."),
    "similarity": ("similarity", "Measure the similarity of an image and texts."),
    "library": ("library.group", "List, describe, calibrate and remove libraries."),
    "runs": ("runs_group", "List, mark, save, remove and prune runs."),
    "show": ("runs", "Show what a run did, step by step."),
    "report": ("report", "Write a run as one HTML page."),
    "resume": ("runs", "Finish a run that was stopped, or answer one that waits."),
    "continue": ("continue_cmd", "Start a new run from the result of a finished one."),
    "replay": ("replay", "Fork a run at a step, optionally with changes."),
    "diff": ("diff", "Compare two runs, the first divergence first."),
    "threads": ("threads", "List, show, remove and prune the threads of questions."),
    "eval": ("eval.group", "Measure how good it is."),
    "models": ("models", "List the models that are known by name."),
    "prices": ("prices", "List and set the prices of models."),
    "ui": ("ui", "Open the page: draw, follow runs, choose, compare, keep your library."),
    "mcp": ("mcp", "Serve assistants and editors over MCP."),
    "trust": ("trust", "Trust a folder's imagerag.toml, or a model that a library names."),
    "doctor": ("doctor", "Check settings, keys, backends and stored files."),
}
"""Command → (module it lives in, what it does). The help reads this table and imports no command."""


@dataclass(frozen=True)
class Globals:
    """Options of all commands: the data directory, if given."""

    home: str | None = None


class Commands(FullHelpGroup):
    """A group that imports commands on demand and prints errors on one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands, in the order in which a newcomer meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"imagerag.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, f"{cmd_name}_command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Print the list of commands, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, *rest: Any, **extra: Any) -> Any:
        """Run a command line and exit with its exit code."""
        from imagerag.cli.exit_codes import fail
        from imagerag.formatting.interface_terms import use_home

        arguments = sys.argv[1:] if args is None else list(args)
        if extra.get("standalone_mode") is False:
            return super().main(args, prog_name, *rest, **extra)
        extra["standalone_mode"] = False
        try:
            code = super().main(args, prog_name or "imagerag", *rest, **extra)
        except Exception as error:
            if "--debug" in arguments or os.environ.get("IMAGERAG_DEBUG"):
                raise
            code = fail(error, as_json="--json" in arguments or "--jsonl" in arguments)
        finally:
            use_home(None)
        sys.exit(code or 0)


@click.group(
    "imagerag", cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="imagerag", message="%(prog)s %(version)s")
@click.option("--home", metavar="DIR", help="Folder for libraries, images and runs  [env: IMAGERAG_HOME]")
@click.option("--env-file", metavar="FILE", help="Set variables from FILE  [env: IMAGERAG_ENV_FILE]")
@click.option("--debug", is_flag=True, help="Show where an error came from  [env: IMAGERAG_DEBUG]")
@click.pass_context
def main(ctx: click.Context, home: str | None, env_file: str | None, debug: bool) -> None:
    """Generates an image, judges it, finds what is missing in your own images, and generates again.

    Start with: imagerag demo

    Exit codes: 0 aligned or done, 3 an image that is not aligned, 4 refused, 5 budget spent, 2 wrong use, 1 any other
    error, 130 stopped with Ctrl-C.
    """
    if env_file or environment_value("IMAGERAG_ENV_FILE"):
        from imagerag.graphs.configuration.env_file import load_env_file

        load_env_file(env_file)
    # torch reads this on import: spinning threads would take the processor from decoding.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    home = home if home and home.strip() else None
    ctx.obj = Globals(home)
    if home is not None:
        from imagerag.formatting.interface_terms import use_home

        use_home(os.path.abspath(os.path.expanduser(home)))
    from imagerag.logging_setup import log_to_stderr

    log_to_stderr(environment_value("IMAGERAG_LOG"))
    if os.environ.get("NO_COLOR"):
        ctx.color = False
