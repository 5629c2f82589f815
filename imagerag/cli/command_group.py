"""A group of commands whose list says the whole first sentence of each, and cuts none off."""

import click


class FullHelpGroup(click.Group):
    """A group as click's, but for its list of commands."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands with what they do, wrapped instead of cut off."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, one.get_short_help_str(limit=1000)) for name, one in commands if one])
