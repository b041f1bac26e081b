"""``wallaroo-run alphabet.py``: which module that is, where it is, and what is left for it."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from wallaroo.errors import ConfigError
from wallaroo_cli.application_choice import (
    application_named,
    split_application,
    with_plan_form,
)
from wallaroo_cli.checkpoints import main as checkpoints
from wallaroo_cli.cluster import main as cluster
from wallaroo_cli.receive import main as receiver
from wallaroo_cli.run import main as run
from wallaroo_cli.send import main as sender


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in (
        "alphabet.py",
        "my.app.py",
        "apps/letters.py",
        "package/__init__.py",
        "package/inner/__init__.py",
        "package/inner/votes.py",
    ):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return tmp_path


@pytest.mark.parametrize(
    ("text", "module", "where"),
    [
        ("alphabet", "alphabet", None),
        ("package.inner.votes", "package.inner.votes", None),
        ("missing", "missing", None),
        ("alphabet.py", "alphabet", "."),
        ("./alphabet.py", "alphabet", "."),
        ("./alphabet", "alphabet", "."),
        ("apps/letters.py", "letters", "apps"),
        ("apps/letters", "letters", "apps"),
        ("apps/../apps/letters.py", "letters", "apps"),
        ("package/inner/votes.py", "package.inner.votes", "."),
        ("package/inner/__init__.py", "package.inner", "."),
        ("package/inner", "package.inner", "."),
        ("package/inner/", "package.inner", "."),
    ],
)
def test_an_application_is_named_by_its_module_or_its_file(
    folder: Path, text: str, module: str, where: str | None
) -> None:
    wanted = None if where is None else str((folder / where).resolve())
    assert application_named(text) == (module, wanted)


def test_a_file_is_found_by_its_absolute_path(folder: Path) -> None:
    path = str(folder / "apps/letters.py")
    assert application_named(path) == ("letters", str(folder / "apps"))


@pytest.mark.parametrize(
    ("text", "what", "hint"),
    [
        ("alphbet.py", "the file alphbet.py does not exist", "did you mean alphabet.py?"),
        ("apps/leters", "the file apps/leters.py does not exist", "did you mean apps/letters.py?"),
        ("nowhere/x.py", "the file nowhere/x.py does not exist", "give the path"),
        ("my.app.py", "has a dot in it", "rename it, for example to my_app.py"),
    ],
)
def test_a_file_that_cannot_be_imported_is_refused(
    folder: Path, text: str, what: str, hint: str
) -> None:
    with pytest.raises(ConfigError, match=what) as caught:
        application_named(text)
    assert caught.value.hint.startswith(hint)


@pytest.mark.parametrize(
    ("arguments", "rest"),
    [
        (["votes"], ()),
        (["votes", "--in", "a:1"], ("--in", "a:1")),
        (["--in", "a:1", "votes", "--out", "b:2"], ("--in", "a:1", "--out", "b:2")),
        (["--in=a:1", "--letters=5", "votes", "more"], ("--in=a:1", "--letters=5", "more")),
    ],
)
def test_the_first_argument_that_is_not_an_option_is_the_application(
    arguments: list[str], rest: tuple[str, ...]
) -> None:
    assert split_application(arguments, ["--workers", "--application-module"]) == ("votes", rest)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "No application to run"),
        (["--in", "a:1"], "No application to run"),
        # Perhaps the value of an option that only the application knows.
        (["--letters", "votes"], "No application to run"),
        (["--aplication-module", "votes"], "Did you mean '--application-module'"),
        (["--application_module=votes"], "Did you mean '--application-module'"),
        (["--Application-Module", "votes"], "Did you mean '--application-module'"),
        (["--worker", "2", "votes"], "Did you mean '--workers'"),
        (["--module", "votes"], "Did you mean '--application-module'"),
        (["--in", "a:1", "-application-module", "votes"], "Did you mean '--application-module'"),
    ],
)
def test_without_an_application_the_option_that_may_be_meant_is_named(
    arguments: list[str], said: str
) -> None:
    with pytest.raises(click.UsageError, match=said):
        split_application(arguments, ["--workers", "--application-module"])
    ended = CliRunner().invoke(run, arguments)
    assert ended.exit_code == 2
    assert said in ended.output


def test_an_application_behind_plan_is_not_the_form_of_the_plan(folder: Path) -> None:
    assert with_plan_form(["--plan", "alphabet"]) == ["--plan=text", "alphabet"]
    assert with_plan_form(["--plan", "other.py"]) == ["--plan=text", "other.py"]
    for same in (["--plan", "dot"], ["--plan", "votes"], ["--plan"], ["alphabet", "--plan"]):
        assert with_plan_form(same) == same


@pytest.mark.parametrize(
    ("command", "arguments", "meant"),
    [
        (sender, ["--hots", "a:1"], "--host"),
        (receiver, ["--listn", "a:1"], "--listen"),
        (checkpoints, ["verfy", "state"], "verify"),
        (checkpoints, ["list", "--jsn", "state"], "--json"),
        (cluster, ["statsu"], "status"),
        (cluster, ["grow", "--worker", "1"], "--workers"),
        (cluster, ["certificates", "certs", "--host", "a"], "--hosts"),
        (run, ["--aplication-module", "votes"], "--application-module"),
    ],
)
def test_every_command_says_what_a_misspelled_word_may_mean(
    command: click.Command, arguments: list[str], meant: str
) -> None:
    ended = CliRunner().invoke(command, arguments)
    assert ended.exit_code == 2
    assert "Did you mean" in ended.output
    assert repr(meant) in ended.output
