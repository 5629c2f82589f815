"""A command group whose help shows the complete first sentence of each command, and whose error for an unknown command
suggests one."""

from collections.abc import Mapping
from typing import Final

import click

VERBS: Final[Mapping[str, tuple[str, ...]]] = {
    "add": ("add", "set", "index"),
    "backup": ("export", "save", "snapshot create"),
    "change": ("update", "set"),
    "clean": ("prune", "optimize"),
    "create": ("create", "run", "index", "generate"),
    "delete": ("remove",),
    "describe": ("info", "show", "list"),
    "draw": ("generate",),
    "find": ("search",),
    "history": ("runs",),
    "list": ("list", "library list", "runs"),
    "mark": ("mark",),
    "move": ("rename",),
    "query": ("search", "ask"),
    "rerun": ("replay", "resume"),
    "serve": ("ui", "mcp"),
    "settings": ("doctor",),
    "test": ("eval",),
    "validate": ("verify", "doctor"),
}
"""Verbs of other programs → commands of this one, the likeliest first."""

_SAME: Final[Mapping[str, str]] = {
    "rm": "delete", "del": "delete", "remove": "delete", "drop": "delete", "erase": "delete", "destroy": "delete",
    "ls": "list", "show-all": "list", "all": "list", "mv": "move", "rename": "move", "cp": "backup", "copy": "backup",
    "dump": "backup", "save": "backup", "export": "backup", "show": "describe", "info": "describe", "get": "describe",
    "view": "describe", "cat": "describe", "stat": "describe", "inspect": "describe", "new": "create",
    "make": "create", "init": "create", "build": "create", "import": "add", "insert": "add", "put": "add",
    "append": "add", "load": "add", "scan": "add", "reindex": "add", "edit": "change", "modify": "change",
    "update": "change", "set": "change", "tag": "change", "gc": "clean", "cleanup": "clean", "purge": "clean",
    "vacuum": "clean", "prune": "clean", "compact": "clean", "fsck": "validate", "verify": "validate",
    "check": "validate", "star": "mark", "favourite": "mark", "favorite": "mark", "paint": "draw", "imagine": "draw",
    "image": "draw", "retry": "rerun", "restart": "rerun", "redo": "rerun", "fork": "rerun", "log": "history",
    "logs": "history", "config": "settings", "configure": "settings", "status": "settings", "server": "serve",
    "web": "serve", "gui": "serve", "start": "serve", "bench": "test", "benchmark": "test", "evaluate": "test",
}  # fmt: skip
"""Verbs that mean another one of `VERBS`."""


class FullHelpGroup(click.Group):
    """A click group with an untruncated list of commands."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Print the commands with their descriptions, wrapped instead of truncated."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, one.get_short_help_str(limit=1000)) for name, one in commands if one])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the requested command; the error for an unknown one suggests one that does it."""
        from imagerag.formatting.messages import unknown

        names = self.list_commands(ctx)
        if args and args[0] not in names and not args[0].startswith("-"):
            ctx.fail(unknown("command", args[0], names, meant=_meant(ctx, self, args[0])))
        return super().resolve_command(ctx, args)


def _meant(ctx: click.Context, group: click.Group, name: str) -> list[str]:
    """The command that a verb of another program stands for: of the group, else of the program; at the top two at most,
    also those of groups. Empty where it is no such verb, and no command of the program has the name."""
    verb = name.casefold()
    verb = _SAME.get(verb, verb)
    wanted = dict.fromkeys((*VERBS.get(verb, ()), name.casefold()))
    root = ctx.find_root()
    program = root.command
    assert isinstance(program, click.Group)
    if verb == "list" and group.invoke_without_command:
        return [ctx.command_path]
    if own := [command for command in wanted if _find(group, ctx, command)]:
        return own[: 2 if group is program else 1]
    if group is not program:
        return [f"{root.info_name} {command}" for command in wanted if _find(program, root, command)][:1]
    groups = [(one, program.get_command(root, one)) for one in program.list_commands(root)]
    return [
        f"{root.info_name} {one} {command}"
        for command in wanted
        for one, inner in groups
        if isinstance(inner, click.Group) and _find(inner, root, command)
    ][:2]


def _find(group: click.Group, ctx: click.Context, command: str) -> bool:
    """Whether a group has a command, which may be one of a group in it."""
    name, _, rest = command.partition(" ")
    found = group.get_command(ctx, name)
    return found is not None and (not rest or (isinstance(found, click.Group) and _find(found, ctx, rest)))
