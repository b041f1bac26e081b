"""No option of any command takes ``nan``, ``inf`` or what is as large."""

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from wallaroo_cli import checkpoints, cluster, dead_letters, receive, run, send
from wallaroo_cli.tools.numbers import NUMBER_MAX, Number

COMMANDS = {
    "wallaroo-run": run.main,
    "wallaroo-cluster": cluster.main,
    "wallaroo-checkpoints": checkpoints.main,
    "wallaroo-dead-letters": dead_letters.main,
    "wallaroo-sender": send.main,
    "wallaroo-receiver": receive.main,
}


def options_of(
    command: click.Command, words: list[str]
) -> Iterator[tuple[list[str], click.Option]]:
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from options_of(inner, [*words, name])
    for each in command.params:
        if isinstance(each, click.Option):
            yield words, each


NUMBERS = [
    (name, words, option)
    for name, command in COMMANDS.items()
    for words, option in options_of(command, [])
    if isinstance(option.type, click.types.FloatParamType | Number)
]


def test_all_options_with_a_fraction_have_the_one_type() -> None:
    assert {name for name, _, _ in NUMBERS} >= {"wallaroo-run", "wallaroo-cluster"}
    for name, words, option in NUMBERS:
        assert isinstance(option.type, Number), f"{name} {words} {option.opts}"


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e999", "Infinity", "1e10", "-1", "x"])
@pytest.mark.parametrize(
    ("name", "words", "option"),
    NUMBERS,
    ids=[" ".join([name, *words, option.opts[-1]]) for name, words, option in NUMBERS],
)
def test_what_cannot_be_used_is_a_mistake_on_the_command_line(
    name: str, words: list[str], option: click.Option, text: str
) -> None:
    ended = CliRunner().invoke(COMMANDS[name], [*words, f"{option.opts[-1]}={text}"])
    assert ended.exit_code == 2
    assert option.opts[-1] in ended.output
    assert "Traceback" not in ended.output


INTEGERS = [
    (name, words, option)
    for name, command in COMMANDS.items()
    for words, option in options_of(command, [])
    if isinstance(option.type, click.types.IntParamType)
]


@pytest.mark.parametrize("text", ["nan", "inf", "1e3", "9" * 5000])
@pytest.mark.parametrize(
    ("name", "words", "option"),
    INTEGERS,
    ids=[" ".join([name, *words, option.opts[-1]]) for name, words, option in INTEGERS],
)
def test_an_option_with_a_whole_number_takes_no_other(
    name: str, words: list[str], option: click.Option, text: str
) -> None:
    ended = CliRunner().invoke(COMMANDS[name], [*words, f"{option.opts[-1]}={text}"])
    assert ended.exit_code == 2
    assert "Traceback" not in ended.output


def test_what_can_be_used_is_taken() -> None:
    assert Number().convert("0.25", None, None) == 0.25
    assert Number(above_zero=False).convert("0", None, None) == 0.0
    assert Number().convert(str(NUMBER_MAX), None, None) == NUMBER_MAX
