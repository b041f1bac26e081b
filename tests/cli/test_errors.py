import click
import pytest
from click.testing import CliRunner, Result

from wallaroo.errors import ClusterError, ConfigError
from wallaroo_cli.errors import report_errors


def outcome_of(error: BaseException) -> Result:
    @click.command()
    @report_errors
    def command() -> None:
        raise error

    return CliRunner().invoke(command)


def test_an_error_of_ours_becomes_two_lines_on_stderr() -> None:
    result = outcome_of(ClusterError("port 7 is taken", hint="choose another"))
    assert result.stderr == "Error: port 7 is taken\nhint: choose another\n"
    assert result.stdout == ""


def test_without_a_hint_there_is_no_hint_line() -> None:
    assert outcome_of(ClusterError("gone")).stderr == "Error: gone\n"


@pytest.mark.parametrize(("error", "status"), [(ClusterError("x"), 1), (ConfigError("x"), 2)])
def test_the_error_chooses_the_exit_status(error: Exception, status: int) -> None:
    assert outcome_of(error).exit_code == status


def test_ctrl_c_ends_quietly_with_the_status_shells_expect() -> None:
    result = outcome_of(KeyboardInterrupt())
    assert (result.exit_code, result.output) == (130, "")


def test_a_bug_keeps_its_traceback() -> None:
    assert isinstance(outcome_of(ZeroDivisionError()).exception, ZeroDivisionError)
