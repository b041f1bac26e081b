"""Options about checkpoints: refused where there are none."""

import click
import pytest
from click.testing import CliRunner

from wallaroo.errors import ConfigError
from wallaroo_cli.checkpoint_options import ABOUT_CHECKPOINTS, check_checkpoints
from wallaroo_cli.run import main


def test_these_are_options_of_the_command() -> None:
    names = {parameter.name for parameter in main.params if isinstance(parameter, click.Option)}
    assert set(ABOUT_CHECKPOINTS) <= names


def test_what_would_do_nothing_is_refused() -> None:
    check_checkpoints("state", ABOUT_CHECKPOINTS)
    check_checkpoints(None, ["worker_count"])
    for name in ABOUT_CHECKPOINTS:
        with pytest.raises(ConfigError, match="--resilience-dir is not given"):
            check_checkpoints(None, [name])


@pytest.mark.parametrize("option", ["--from-checkpoint=3", "--keep-checkpoints=3"])
def test_the_command_says_so_before_it_looks_for_the_application(option: str) -> None:
    ended = CliRunner().invoke(main, ["--application-module", "nowhere", option])
    assert ended.exit_code == 2
    name = option.partition("=")[0]
    assert f"Error: {name} needs checkpoints, and --resilience-dir is not given" in ended.stderr
    assert f"hint: add --resilience-dir DIR, or leave out {name}" in ended.stderr
