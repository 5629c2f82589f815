"""A command group whose help shows the complete first sentence of each command."""

import click


class FullHelpGroup(click.Group):
    """A click group with an untruncated list of commands."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Print the commands with their descriptions, wrapped instead of truncated."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, one.get_short_help_str(limit=1000)) for name, one in commands if one])
