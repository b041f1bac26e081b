"""Every command tells its version."""

from importlib.metadata import version

import click
import pytest
from click.testing import CliRunner

from wallaroo_cli import checkpoints, cluster, dead_letters, receive, run, send


@pytest.mark.parametrize(
    "command",
    [run.main, send.main, receive.main, checkpoints.main, cluster.main, dead_letters.main],
)
def test_a_command_tells_its_version(command: click.Command) -> None:
    told = CliRunner().invoke(command, ["--version"])
    assert (told.exit_code, told.stdout.split()[-1]) == (0, version("wallaroo-streams"))
