"""A command whose first argument is the name of a library; the error for arguments in another order shows the right
one."""

import os
import shlex
from typing import Any

import click

from imagerag.agent.errors import ImageRAGError, UsageError
from imagerag.agent.retrieval.search_queries import split_name
from imagerag.cli import Globals


class LibraryCommand(click.Command):
    """A command of `imagerag library`."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, if its arguments can be meant in this order."""
        check_order(ctx)
        return super().invoke(ctx)


def check_order(ctx: click.Context) -> None:
    """Check that the first argument, a library's name, is no file's, and that no later one names the library.

    Raises:
        UsageError: it is; with the command that was probably meant.
    """
    arguments = [one for one in ctx.command.params if isinstance(one, click.Argument)]
    if not arguments or arguments[0].name != "name":
        return
    name, *rest = (value for one in arguments for value in _several(ctx.params[str(one.name)]))
    globals_ = ctx.ensure_object(Globals)
    if is_library(globals_, name):
        return
    library = next((value for value in rest if is_library(globals_, value)), None)
    if library is None and not _is_file(name):
        return
    ordered = [library or "NAME", name, *(value for value in rest if value != library)]
    line = shlex.join([*ctx.command_path.split(), *ordered])
    raise UsageError(f"{name!r} is not a library, whose name comes first: {line}")


def is_library(globals_: Globals, name: str) -> bool:
    """Whether there is a library of that name, or a snapshot of one."""
    from imagerag.store.data_dir import DataDir
    from imagerag.store.library.database import is_there

    try:
        return is_there(DataDir.find(globals_.home), split_name(name)[0])
    except ImageRAGError:
        return False


def _several(value: Any) -> tuple[str, ...]:
    return value if isinstance(value, tuple) else (value,)


def _is_file(name: str) -> bool:
    """Whether a name can only be a file's, or is one's."""
    return os.sep in name or os.path.isfile(name)
