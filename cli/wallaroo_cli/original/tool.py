"""Tools that the original's scripts call too, with options of its runtime."""

import click

from wallaroo_cli.original.options import without_pony


class OriginalTool(click.Command):
    """A command that accepts and ignores ``--ponythreads 1``, ``--ponynoblock`` and their like."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse what is left without them."""
        return super().parse_args(ctx, without_pony(args))
