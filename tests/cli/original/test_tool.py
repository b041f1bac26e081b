"""Tools that scripts of the original call with options of its runtime."""

import click
import pytest

from wallaroo_cli.original.client import external
from wallaroo_cli.receive import main as receiver
from wallaroo_cli.send import main as sender

PONY = [
    ["--ponythreads", "1"],
    ["--ponythreads=1"],
    ["--ponynoblock"],
    ["--ponypinasio", "--ponynoscale"],
    ["--ponymaxthreads", "4", "--ponygcfactor=2.0"],
]


@pytest.mark.parametrize("pony", PONY, ids=" ".join)
@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        (sender, ["--host", "127.0.0.1:7010", "--messages", "10", "--repeat"]),
        (receiver, ["--listen", "127.0.0.1:7002", "--framed"]),
        (external, ["--external", "127.0.0.1:5050", "cluster-status-query"]),
    ],
    ids=["sender", "receiver", "external"],
)
def test_options_of_the_originals_runtime_are_ignored(
    command: click.Command, arguments: list[str], pony: list[str]
) -> None:
    plain = command.make_context("tool", list(arguments)).params
    assert command.make_context("tool", [*pony, *arguments]).params == plain
    assert command.make_context("tool", [*arguments, *pony]).params == plain


def test_other_unknown_options_are_refused_still() -> None:
    with pytest.raises(click.NoSuchOption):
        sender.make_context("tool", ["--host", "127.0.0.1:7010", "--pny"])
