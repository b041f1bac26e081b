"""Questions to the user at the terminal."""

import click

from wallaroo.errors import ClusterError


def confirm(question: str, unchanged: str) -> None:
    """Ask; raise ``ClusterError`` with ``unchanged`` unless the answer is yes."""
    try:
        click.confirm(question, abort=True, err=True)
    except click.Abort:
        raise ClusterError(unchanged, hint="answer y, or add --yes in a script") from None
